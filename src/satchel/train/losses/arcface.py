"""ArcFace: softmax over cosines with an additive angular margin, with one centre or several."""

from __future__ import annotations

import math
from typing import Final

from pytorch_metric_learning import distances, losses
from torch import Tensor

from satchel.train.losses import options
from satchel.train.losses.base import PmlClassLoss

COSINE_LIMIT: Final = 1 - 1e-6
"""Cosines are kept this far from ±1, where the derivative of arccos is infinite."""


class ArcFace(PmlClassLoss):
    """Cross-entropy of s cos(θ_y + m) for the photo's product, s cos θ_j for the others.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
    equation 3. Beyond θ = π − m the target's logit is s (cos θ − m sin m), as in their code, so
    that it keeps falling.

    Args:
        margin_rad: m, in [0, π/2].
        scale: s, in [0.001, 10,000].
    """

    def __init__(
        self, products: int, dimension: int, *, margin_rad: float = 0.5, scale: float = 64.0
    ) -> None:
        loss = losses.ArcFaceLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=_degrees(margin_rad),
            scale=options.number("scale", scale, 1e-3, 1e4),
            distance=_ClampedCosine(),
        )
        super().__init__(products, loss)


class SubcenterArcFace(PmlClassLoss):
    """ArcFace with several centres for each product, of which the nearest counts.

    Deng et al., "Sub-center ArcFace", ECCV 2020: cos θ_j = max over the sub-centres of j. For
    products whose photos form clusters (a bag open and closed), and for noisy labels.

    Args:
        margin_rad: in [0, π/2].
        scale: in [0.001, 10,000].
        sub_centers: of each product, at least 1.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin_rad: float = 0.5,
        scale: float = 64.0,
        sub_centers: int = 3,
    ) -> None:
        loss = losses.SubCenterArcFaceLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=_degrees(margin_rad),
            scale=options.number("scale", scale, 1e-3, 1e4),
            sub_centers=options.integer("sub_centers", sub_centers, 1),
            distance=_ClampedCosine(),
        )
        super().__init__(products, loss)


class _ClampedCosine(distances.CosineSimilarity):  # type: ignore[misc] # not read by mypy
    """Cosines kept off ±1: an embedding that equals its product's centre has a finite gradient."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        return super().compute_mat(query_emb, ref_emb).clamp(-COSINE_LIMIT, COSINE_LIMIT)


def _degrees(margin_rad: float) -> float:
    return math.degrees(options.number("margin_rad", margin_rad, 0, math.pi / 2))
