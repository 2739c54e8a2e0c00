"""Multi-Similarity loss over mined pairs."""

from __future__ import annotations

from pytorch_metric_learning import losses, miners
from torch import Tensor

from satchel.train.losses import options
from satchel.train.losses.base import Loss, zero


class MultiSimilarity(Loss):
    """log(1 + Σ exp(−α (s_p − λ)))/α + log(1 + Σ exp(β (s_n − λ)))/β over mined pairs.

    Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    CVPR 2019, with the constants of their code; s is the cosine. A positive counts if its cosine is
    below the hardest negative's + ε, a negative if its cosine is above the hardest positive's − ε.
    Mean over all photos.

    Args:
        alpha, beta: α and β, in [0.001, 1000].
        base: λ, in [−1, 1].
        epsilon: ε, in [0, 2].
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
    ) -> None:
        super().__init__()
        self.miner = miners.MultiSimilarityMiner(epsilon=options.number("epsilon", epsilon, 0, 2))
        self.loss = losses.MultiSimilarityLoss(
            alpha=options.number("alpha", alpha, 1e-3, 1e3),
            beta=options.number("beta", beta, 1e-3, 1e3),
            base=options.number("base", base, -1, 1),
        )

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        pairs = self.miner(embeddings, labels)
        if not len(pairs[0]) and not len(pairs[2]):
            return zero(embeddings)
        return self.loss(embeddings, labels, pairs)
