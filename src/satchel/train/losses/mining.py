"""Distance-weighted sampling of negatives for triplets.

pytorch-metric-learning's DistanceWeightedMiner is not used: it scales the weights by the largest
of the whole batch, so that from 256 dimensions on one pair of near-duplicates makes those of all
other photos vanish and leaves them out (62 photos of 64, see the tests); and it draws from the
process's global generator, which makes a run depend on everything else that draws.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from satchel.train.losses.base import Loss

Triplets = tuple[Tensor, Tensor, Tensor]
"""Anchors, positives and negatives: rows of a batch, shape (t,), int64 each."""

NEAREST: Final = 0.5
FARTHEST: Final = 1.4
"""Cut-offs of distance-weighted sampling, from its authors' code."""


def distance_weighted_triplets(
    embeddings: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    *,
    nearest: float = NEAREST,
    farthest: float = FARTHEST,
) -> Triplets:
    """Give every positive pair (a, p) a negative of a, drawn by `negative_log_weights`.

    Where all of a's negatives are beyond `farthest`, they are equally likely, as in the authors'
    code.

    Args:
        embeddings: shape (n, dimension), of any length.
        labels: shape (n,).
        rng: draws one number for each positive pair.
    """
    with torch.no_grad():
        same = labels[:, None] == labels[None]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        has_negative = (~same).any(1, keepdim=True)
        anchors, positives = torch.where(same & ~itself & has_negative)
        unit = functional.normalize(embeddings)
        log_weights = negative_log_weights(
            torch.cdist(unit, unit), embeddings.shape[1], nearest=nearest, farthest=farthest
        ).masked_fill(same, -math.inf)
        all_far = log_weights.isneginf().all(1, keepdim=True) & ~same
        cumulative = log_weights.masked_fill(all_far, 0.0)[anchors].softmax(1).cumsum(1)
        drawn = torch.from_numpy(rng.random((len(anchors), 1))).to(cumulative.device)
        negatives = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)[:, 0]
    return anchors, positives, negatives


def negative_log_weights(
    distances: Tensor, dimension: int, *, nearest: float = NEAREST, farthest: float = FARTHEST
) -> Tensor:
    """Log-probability of each negative under distance-weighted sampling, up to a constant.

    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4: proportional
    to min(λ, 1/q(d)), where points drawn uniformly on the unit sphere lie d apart with density
    q(d) ∝ d^(dimension − 2) (1 − d²/4)^((dimension − 3)/2).

    Args:
        distances: Euclidean between L2-normalised embeddings, in [0, 2].
        nearest: smaller distances count as this one: λ is 1/q(nearest).
        farthest: at this distance and beyond a negative is never drawn.
    """
    near = distances.clamp(nearest, farthest).double()
    log_q = (dimension - 2) * near.log() + (dimension - 3) / 2 * (1 - near.square() / 4).log()
    return (-log_q).masked_fill(distances >= farthest, -math.inf)


class SamplingLoss(Loss):
    """A loss that samples triplets, reproducibly: draws depend on the seed and the number of draws.

    That number is part of the state, so that a resumed run continues as the interrupted one would
    have. In evaluation it does not change: the same batch gives the same loss.
    """

    draws: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def sample(
        self,
        embeddings: Tensor,
        labels: Tensor,
        nearest: float = NEAREST,
        farthest: float = FARTHEST,
    ) -> Triplets:
        """Draw triplets with `distance_weighted_triplets`."""
        rng = np.random.default_rng([self.seed, int(self.draws)])
        if self.training:
            self.draws += 1
        return distance_weighted_triplets(
            embeddings, labels, rng, nearest=nearest, farthest=farthest
        )
