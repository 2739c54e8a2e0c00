"""Center loss: cross-entropy plus the distance of embeddings to their product's centre."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from satchel.train.losses import options
from satchel.train.losses.base import ClassLoss
from satchel.train.losses.softmax import Softmax


class Center(ClassLoss):
    """Softmax plus λ/2 × the squared distance to the centre of the photo's product.

    Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016:
    equation 5 over equations 1 and 2. Centres start at zero and are no parameters: after each
    training batch, c_j −= α Σ (c_j − x_i) / (1 + count_j) over its photos of product j (equation
    4), over the photos of all processes in distributed training. Mean over the photos.

    Args:
        weight: λ, in [0, 1000].
        centre_rate: α, in [0, 1].
        label_smoothing: of the softmax, in [0, 0.99].
    """

    centres: Tensor

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        weight: float = 0.003,
        centre_rate: float = 0.5,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(products)
        self.weight = options.number("weight", weight, 0, 1e3)
        self.centre_rate = options.number("centre_rate", centre_rate, 0, 1)
        self.softmax = Softmax(products, dimension, label_smoothing=label_smoothing)
        self.register_buffer("centres", torch.zeros(products, dimension))

    def class_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos; updates the centres when training."""
        to_centre = embeddings - self.centres[labels].to(embeddings.dtype)
        spread = to_centre.square().sum(1).mean() / 2
        if self.training:
            self._update_centres(embeddings.detach(), labels)
        return self.softmax.class_loss(embeddings, labels) + self.weight * spread

    def _update_centres(self, embeddings: Tensor, labels: Tensor) -> None:
        # A matrix product, not index_add, whose order of summation varies on a GPU.
        member = functional.one_hot(labels, self.products).to(self.centres.dtype)
        counts, sums = member.sum(0), member.T @ embeddings.to(self.centres.dtype)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        step = (counts[:, None] * self.centres - sums) / (1 + counts[:, None])
        # A new tensor: the old one may be part of a graph that is still to be differentiated.
        self.centres = self.centres - self.centre_rate * step

    def logits(self, embeddings: Tensor) -> Tensor:
        """Logits of the softmax."""
        return self.softmax.logits(embeddings)
