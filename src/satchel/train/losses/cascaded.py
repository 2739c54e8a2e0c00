"""Hard-aware cascaded embedding: contrastive losses at several depths of one network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from satchel.train.losses import options
from satchel.train.losses.base import Loss, mean_of_positive, zero
from satchel.train.losses.contrastive import negative_cost, positive_cost
from satchel.train.losses.pair_distance import pair_distance


class Cascaded(Loss):
    """Contrastive losses at several depths, each on the pairs that the depth before found hardest.

    Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017: the first depth gets
    all pairs of the batch, the second half of them and the third a fifth (`hard_cascade`). D and
    max(0, m − D) of L2-normalised embeddings, the mean over pairs with a cost above zero, summed
    over depths with weights. Embeddings come from `CascadedHeads`, which joins them for search.

    Args:
        margin: m, in [0, 2].
        squared: half the squares of the costs.
        fractions: of the pairs, for each depth, in (0, 1], not increasing.
        weights: of the depths, in [0, 1000].
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 1.0,
        squared: bool = False,
        fractions: Sequence[float] = (1.0, 0.5, 0.2),
        weights: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.margin = options.number("margin", margin, 0, 2)
        self.squared = options.boolean("squared", squared)
        self.fractions = options.numbers("fractions", fractions, 1e-6, 1)
        self.weights = options.numbers("weights", weights, 0, 1e3)
        if list(self.fractions) != sorted(self.fractions, reverse=True):
            raise ValueError(f"expected fractions that do not increase, got {self.fractions}")
        if not 2 <= len(self.fractions) == len(self.weights):
            raise ValueError(
                "expected a fraction and a weight for each of at least two depths, got "
                f"{len(self.fractions)} and {len(self.weights)}"
            )
        self.depths = len(self.fractions)
        self.distance = pair_distance("euclidean")

    def compute(self, embeddings: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Weighted sum over the depths."""
        distances = [self.distance(e) for e in embeddings]
        chosen = hard_cascade(distances, labels, self.fractions)
        total = zero(*embeddings)
        for own, weight, (positive, negative) in zip(distances, self.weights, chosen, strict=True):
            positives = positive_cost(own[positive[:, 0], positive[:, 1]], squared=self.squared)
            negatives = negative_cost(
                own[negative[:, 0], negative[:, 1]], margin=self.margin, squared=self.squared
            )
            total = total + weight * (mean_of_positive(positives) + mean_of_positive(negatives))
        return total


def hard_cascade(
    distances: Sequence[Tensor], labels: Tensor, fractions: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """Choose the pairs that each depth is trained on: those that the depth before found hardest.

    Args:
        distances: of each depth, shape (n, n); those of a depth choose the pairs of the next.
        labels: shape (n,).
        fractions: of all positive pairs, and of all negative ones, for each depth, rounded up; not
            increasing. The first depth, unless it gets all pairs, chooses by its own distances.

    Returns:
        For each depth two tensors of shape (k, 2), rows i < j: positive pairs, the farthest
        apart first, and negative pairs, the closest first; ties in row order.
    """
    rows = torch.triu_indices(len(labels), len(labels), 1, device=labels.device).T
    same = labels[rows[:, 0]] == labels[rows[:, 1]]
    positive, negative = rows[same], rows[~same]
    n_positive, n_negative = len(positive), len(negative)
    chosen = []
    for depth, fraction in enumerate(fractions):
        before = distances[max(depth - 1, 0)].detach()
        positive = _hardest(positive, before, math.ceil(fraction * n_positive), farthest=True)
        negative = _hardest(negative, before, math.ceil(fraction * n_negative), farthest=False)
        chosen.append((positive, negative))
    return chosen


def _hardest(pairs: Tensor, distances: Tensor, count: int, *, farthest: bool) -> Tensor:
    ordered = pairs[(pairs[:, 0] * len(distances) + pairs[:, 1]).argsort()]
    hardness = distances[ordered[:, 0], ordered[:, 1]]
    return ordered[hardness.argsort(descending=farthest, stable=True)[:count]]


class CascadedHeads(torch.nn.Module):
    """Feature maps of several depths → one embedding of each: global average pooling, linear.

    Any timm network gives the maps, as `forward_intermediates(x, indices=3,
    intermediates_only=True)`.

    Args:
        channels: of each depth's map.
        dimension: of each depth's embedding.
        weights: of each depth in the joined embedding.
    """

    def __init__(
        self, channels: Sequence[int], dimension: int, *, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        weights = weights or (1.0,) * len(channels)
        if len(weights) != len(channels):
            raise ValueError(f"expected {len(channels)} weights, one a depth, got {len(weights)}")
        self.weights = options.numbers("weights", weights, 0, 1e3)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(c, dimension) for c in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, shape (n, channels, h, w) each → embeddings, shape (n, dimension) each."""
        return [head(m.mean((2, 3))) for head, m in zip(self.heads, maps, strict=True)]

    def joined(self, embeddings: Sequence[Tensor]) -> Tensor:
        """One L2-normalised embedding, shape (n, depths × dimension), for search.

        The depths' embeddings, each normalised and multiplied by its weight w_k, concatenated:
        the cosine of two is the mean of the depths' cosines, weighted by w_k².
        """
        scaled = [
            w * functional.normalize(e) for w, e in zip(self.weights, embeddings, strict=True)
        ]
        return functional.normalize(torch.cat(scaled, 1))
