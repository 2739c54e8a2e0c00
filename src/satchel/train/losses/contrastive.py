"""Contrastive loss over all pairs of a batch."""

from __future__ import annotations

from pytorch_metric_learning import losses
from torch import Tensor
from torch.nn import functional

from satchel.train.losses import options
from satchel.train.losses.base import Loss
from satchel.train.losses.pair_distance import pair_distance


class Contrastive(Loss):
    """D²/2 for a positive pair, max(0, m − D)²/2 for a negative one.

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR
    2006, equation 4. The mean over the positive pairs with a cost above zero plus the same mean
    over the negative ones.

    Args:
        margin: m, in [0, 1000].
        squared: False for D and max(0, m − D).
        distance: see `pair_distance`.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 1.0,
        squared: bool = True,
        distance: str = "euclidean",
    ) -> None:
        super().__init__()
        linear = not options.boolean("squared", squared)
        kind = losses.ContrastiveLoss if linear else _SquaredContrastive
        self.loss = kind(
            neg_margin=options.number("margin", margin, 0, 1e3), distance=pair_distance(distance)
        )

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the pairs with a cost above zero."""
        return self.loss(embeddings, labels)


def positive_cost(distances: Tensor, *, squared: bool) -> Tensor:
    """Cost of positive pairs: the distance, or half its square."""
    return distances.square() / 2 if squared else distances


def negative_cost(distances: Tensor, *, margin: float, squared: bool) -> Tensor:
    """Cost of negative pairs: how far they are within the margin, or half its square."""
    inside = functional.relu(margin - distances)
    return inside.square() / 2 if squared else inside


class _SquaredContrastive(losses.ContrastiveLoss):  # type: ignore[misc] # not read by mypy
    """pytorch-metric-learning has only the linear form."""

    def pos_calc(self, pos_pair_dist: Tensor, margin: float) -> Tensor:
        return positive_cost(functional.relu(pos_pair_dist - margin), squared=True)

    def neg_calc(self, neg_pair_dist: Tensor, margin: float) -> Tensor:
        return negative_cost(neg_pair_dist, margin=margin, squared=True)
