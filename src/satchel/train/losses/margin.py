"""Margin loss: pairs on either side of a learned boundary, negatives sampled by distance."""

from __future__ import annotations

from pytorch_metric_learning import losses
from torch import Tensor

from satchel.train.losses import options
from satchel.train.losses.base import check_range, zero
from satchel.train.losses.mining import FARTHEST, NEAREST, SamplingLoss


class Margin(SamplingLoss):
    """max(0, D(a, p) − β + α) + max(0, β − D(a, n) + α), negatives sampled by distance.

    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4. The sum over
    the triplets is divided by the number of pairs with a cost above zero, as in the authors' code.
    β (parameter `loss.beta`) needs a larger learning rate than a network.

    Args:
        margin: α, in [0, 2].
        beta: β at the start, in [0, 2].
        learn_beta: whether each product's β is learned; else it is constant.
        nu: ν, weight of the regularisation ν β, in [0, 1000].
        nearest, farthest: cut-offs of the sampling, Euclidean, 0.001 ≤ nearest ≤ farthest < 2.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 0.2,
        beta: float = 1.2,
        learn_beta: bool = True,
        nu: float = 0.0,
        nearest: float = NEAREST,
        farthest: float = FARTHEST,
    ) -> None:
        super().__init__()
        self.products = products
        self.nearest = options.number("nearest", nearest, 1e-3, 1.9)
        self.farthest = options.number("farthest", farthest, self.nearest, 1.999)
        self.loss = losses.MarginLoss(
            margin=options.number("margin", margin, 0, 2),
            nu=options.number("nu", nu, 0, 1e3),
            beta=options.number("beta", beta, 0, 2),
            learn_beta=options.boolean("learn_beta", learn_beta),
            num_classes=products if learn_beta else None,
        )

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Sum over the triplets, divided by the number of pairs with a cost above zero."""
        check_range(labels, self.products)
        triplets = self.sample(embeddings, labels, self.nearest, self.farthest)
        if not len(triplets[0]):
            return zero(embeddings, *self.parameters())
        # Distributed training needs a gradient of every parameter from every batch.
        return self.loss(embeddings, labels, triplets) + zero(embeddings, *self.parameters())
