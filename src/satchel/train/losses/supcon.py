"""Supervised contrastive loss."""

from __future__ import annotations

from pytorch_metric_learning import losses
from torch import Tensor

from satchel.train.losses import options
from satchel.train.losses.base import Loss


class SupCon(Loss):
    """−log softmax(cosine / temperature) of the positives among all other photos of the batch.

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2: the mean over an
    anchor's positives, then over the anchors that have any.

    Args:
        temperature: in [0.001, 1000].
    """

    def __init__(self, products: int, dimension: int, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.loss = losses.SupConLoss(
            temperature=options.number("temperature", temperature, 1e-3, 1e3)
        )

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the anchors that have a positive."""
        return self.loss(embeddings, labels)
