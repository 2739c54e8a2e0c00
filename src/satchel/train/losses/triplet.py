"""Triplet loss with a choice of mining."""

from __future__ import annotations

from typing import Final

import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor

from satchel.train.losses import options
from satchel.train.losses.mining import SamplingLoss, Triplets
from satchel.train.losses.pair_distance import pair_distance

MINING: Final = ("all", "semihard", "hard", "distance_weighted")


class Triplet(SamplingLoss):
    """max(0, D(a, p) − D(a, n) + margin), over mined triplets.

    Schroff et al., "FaceNet", CVPR 2015: squared Euclidean distance, margin 0.2. The mean is over
    triplets with a cost above zero.

    Args:
        margin: in [0, 1000].
        mining: "all" triplets of the batch; "semihard", those with D(a, p) < D(a, n) ≤ D(a, p) +
            margin (FaceNet); "hard", the farthest positive and the nearest negative of each anchor
            (Hermans et al., "In Defense of the Triplet Loss", 2017); "distance_weighted" (see
            `mining`).
        distance: see `pair_distance`.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 0.2,
        mining: str = "semihard",
        distance: str = "squared_euclidean",
    ) -> None:
        super().__init__()
        between = pair_distance(distance)
        margin = options.number("margin", margin, 0, 1e3)
        self.mining = options.choice("mining", mining, MINING)
        self.miner: torch.nn.Module | None = None
        if mining == "semihard":
            self.miner = miners.TripletMarginMiner(
                margin=margin, type_of_triplets="semihard", distance=between
            )
        elif mining == "hard":
            self.miner = miners.BatchHardMiner(distance=between)
        self.loss = losses.TripletMarginLoss(margin=margin, distance=between)

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the triplets with a cost above zero."""
        return self.loss(embeddings, labels, self.mine(embeddings, labels))

    def mine(self, embeddings: Tensor, labels: Tensor) -> Triplets | None:
        """The triplets of a batch that the loss uses; None for all."""
        if self.mining == "distance_weighted":
            return self.sample(embeddings, labels)
        mined: Triplets | None = self.miner(embeddings, labels) if self.miner else None
        return mined
