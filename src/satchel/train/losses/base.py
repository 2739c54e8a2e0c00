"""Base classes of losses: validation of inputs, float32 arithmetic, the zero of an empty batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor


class Loss(torch.nn.Module, ABC):
    """A loss of a batch of embeddings.

    Attributes:
        depths: embeddings of a photo that it takes: 1; more for the cascaded loss.
        seed: of triplets that it samples; most losses sample nothing.
    """

    depths = 1
    seed = 0

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            embeddings: shape (n, dimension), floating, not normalised; for the cascaded loss a
                sequence of such, one of each depth.
            labels: shape (n,), integer: the number of each photo's product.

        Returns:
            shape (), float32 or, for float64 embeddings, float64.

        Raises:
            ValueError: shapes do not fit, or a label is not an integer.
        """
        by_depth = [embeddings] if torch.is_tensor(embeddings) else list(embeddings)
        _check_inputs(by_depth, labels, self.depths)
        labels = labels.to(by_depth[0].device, torch.int64)
        with torch.autocast(by_depth[0].device.type, enabled=False):
            wide = [e if e.dtype == torch.float64 else e.float() for e in by_depth]
            if not len(labels):
                return zero(*wide)
            return self.compute(wide[0] if self.depths == 1 else wide, labels).reshape(())

    @abstractmethod
    def compute(self, embeddings: Any, labels: Tensor) -> Tensor:
        """Loss of a validated, non-empty batch; of a list of embeddings where `depths` > 1."""


class ClassLoss(Loss):
    """A loss with weights for each product, which can also classify."""

    def __init__(self, products: int) -> None:
        super().__init__()
        self.products = products

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Check the labels' range, then compute the loss."""
        check_range(labels, self.products)
        return self.class_loss(embeddings, labels)

    @abstractmethod
    def class_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of labels known to be in range."""

    @abstractmethod
    def logits(self, embeddings: Tensor) -> Tensor:
        """Shape (n, products), without any margin; softmax gives probabilities."""


class PmlClassLoss(ClassLoss):
    """A loss of pytorch-metric-learning that has weights for each product."""

    def __init__(self, products: int, loss: Any) -> None:
        super().__init__(products)
        self.loss: Any = loss  # has methods that torch.nn.Module does not declare

    def class_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """As pytorch-metric-learning computes it."""
        return self.loss(embeddings, labels)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Scaled cosine to each product's weights."""
        return self.loss.get_logits(embeddings)


def zero(first: Tensor, *others: Tensor) -> Tensor:
    """0 with a (zero) gradient for each of these tensors."""
    total = (first * 0).sum()
    for other in others:
        total = total + (other * 0).sum()
    return total


def check_range(labels: Tensor, products: int) -> None:
    """Raise ValueError unless labels are in [0, products); a GPU would only report an assertion."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= products:
        raise ValueError(f"expected labels from 0 to {products - 1}, got {low} to {high}")


def mean_of_positive(costs: Tensor) -> Tensor:
    """Mean over the costs above zero, as pytorch-metric-learning averages; 0 if there are none."""
    positive = costs[costs > 0]
    return positive.mean() if len(positive) else costs.sum()


def _check_inputs(by_depth: list[Tensor], labels: Tensor, depths: int) -> None:
    if len(by_depth) != depths:
        raise ValueError(f"expected embeddings of {depths} depth(s), got {len(by_depth)}")
    for embeddings in by_depth:
        if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
            raise ValueError(
                "expected embeddings of shape (n, dimension) and labels of shape (n,), got "
                f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
            )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"expected integer labels, got {labels.dtype}")
