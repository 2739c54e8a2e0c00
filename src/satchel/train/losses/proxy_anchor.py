"""Proxy Anchor loss: one learned proxy for each product."""

from __future__ import annotations

from pytorch_metric_learning import losses

from satchel.train.losses import options
from satchel.train.losses.base import PmlClassLoss


class ProxyAnchor(PmlClassLoss):
    """Each product's proxy attracts its photos and repels all others, the hardest most.

    Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, equation 4:
    mean over the products present of log(1 + Σ exp(−α (cos − δ))) over their photos, plus mean
    over all products of log(1 + Σ exp(α (cos + δ))) over the others' photos.

    Args:
        margin: δ, in [0, 1].
        alpha: α, in [0.001, 10,000].
    """

    def __init__(
        self, products: int, dimension: int, *, margin: float = 0.1, alpha: float = 32.0
    ) -> None:
        loss = losses.ProxyAnchorLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=options.number("margin", margin, 0, 1),
            alpha=options.number("alpha", alpha, 1e-3, 1e4),
        )
        super().__init__(products, loss)
