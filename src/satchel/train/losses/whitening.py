"""Whitening in front of a loss, so that it compares embeddings by Mahalanobis distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class WhiteningLayer(torch.nn.Module):
    """A fixed linear map x → W x in float32, W of `distances.WithinClassWhitening`.

    Before a loss with the distance "unnormalised" it makes Mahalanobis of Euclidean; before one
    that normalises, the cosine of whitened embeddings. W is a buffer, not learned: set it again
    when the embeddings have changed.
    """

    matrix: Tensor

    def __init__(self, matrix: npt.NDArray[np.floating[Any]]) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(np.array(matrix, np.float32)))

    def set(self, matrix: npt.NDArray[np.floating[Any]]) -> None:
        """Replace W by another of the same shape."""
        self.matrix.copy_(torch.from_numpy(np.array(matrix, np.float32)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings, shape (n, d) → shape (n, d)."""
        return embeddings @ self.matrix.to(embeddings.dtype).T
