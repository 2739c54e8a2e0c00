"""Cross-entropy losses: a linear classifier, and a cosine classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from satchel.train.losses import options
from satchel.train.losses.base import ClassLoss


class Softmax(ClassLoss):
    """Cross-entropy of a linear classifier with label smoothing.

    The target is 1 − ε + ε/products for the photo's product, ε/products for each other (Szegedy
    et al., "Rethinking the Inception Architecture", CVPR 2016, section 7). Mean over the photos.

    Args:
        label_smoothing: ε, in [0, 0.99].
    """

    def __init__(self, products: int, dimension: int, *, label_smoothing: float = 0.1) -> None:
        super().__init__(products)
        self.label_smoothing = options.number("label_smoothing", label_smoothing, 0, 0.99)
        self.classifier = torch.nn.Linear(dimension, products)

    def class_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        return functional.cross_entropy(
            self.logits(embeddings), labels, label_smoothing=self.label_smoothing
        )

    def logits(self, embeddings: Tensor) -> Tensor:
        """W x + b."""
        dtype = embeddings.dtype
        return functional.linear(
            embeddings, self.classifier.weight.to(dtype), self.classifier.bias.to(dtype)
        )


class CosineSoftmax(ClassLoss):
    """Cross-entropy of scale × cosine to each product's weights, without a margin.

    Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019: scale
    1/0.05. pytorch-metric-learning's NormalizedSoftmaxLoss is the same without label smoothing.
    Mean over the photos.

    Args:
        scale: cosines → logits, in [0.001, 10,000].
        label_smoothing: in [0, 0.99].
    """

    def __init__(
        self, products: int, dimension: int, *, scale: float = 20.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(products)
        self.scale = options.number("scale", scale, 1e-3, 1e4)
        self.label_smoothing = options.number("label_smoothing", label_smoothing, 0, 0.99)
        self.weight = torch.nn.Parameter(torch.randn(products, dimension))

    def class_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        return functional.cross_entropy(
            self.logits(embeddings), labels, label_smoothing=self.label_smoothing
        )

    def logits(self, embeddings: Tensor) -> Tensor:
        """Scale × cosine."""
        weight = functional.normalize(self.weight.to(embeddings.dtype))
        return self.scale * functional.normalize(embeddings) @ weight.T
