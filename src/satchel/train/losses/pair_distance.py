"""Distances between embeddings for pair and triplet losses, as pytorch-metric-learning has them."""

from __future__ import annotations

from typing import Any, Final

from pytorch_metric_learning import distances
from torch import Tensor

from satchel.train.losses import options

DISTANCES: Final = ("euclidean", "squared_euclidean", "cosine", "unnormalised")


def pair_distance(name: str) -> Any:
    """Return a distance that pytorch-metric-learning's losses and miners take.

    Args:
        name: "euclidean", "squared_euclidean" or "cosine" (1 − cosine, half of the squared one),
            of L2-normalised embeddings; or "unnormalised": Euclidean of the embeddings as given,
            which is Mahalanobis behind `satchel.train.losses.whitening.WhiteningLayer`.
    """
    match options.choice("distance", name, DISTANCES):
        case "euclidean":
            return distances.LpDistance()
        case "squared_euclidean":
            return distances.LpDistance(power=2)
        case "cosine":
            return _CosineDistance()
        case _:
            return distances.LpDistance(normalize_embeddings=False)


class _CosineDistance(distances.DotProductSimilarity):  # type: ignore[misc] # not read by mypy
    """1 − cosine: small for similar photos, so that margins mean what they mean elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.is_inverted = False

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        return 1 - super().compute_mat(query_emb, ref_emb)
