"""Metric-learning and classification losses: embeddings and product labels → one number.

    loss = make_loss("triplet", products=81, dimension=512, mining="semihard")
    value = loss(embeddings, labels)        # embeddings as the network gives them, not normalised
    trained = [*network.parameters(), *loss.parameters()]

Every loss takes unnormalised embeddings and normalises them itself where its paper does. Whatever
the precision of the network, a loss is computed in float32 (float64 stays). A degenerate batch (one
photo of each product, one product alone) gives a differentiable zero, never NaN. Sums over a batch
are means, so that a learning rate does not depend on the batch size. pytorch-metric-learning (pml)
provides what it has correctly.

To add a loss:

1. Write a subclass of `base.Loss` (or `base.ClassLoss`, if it has weights for each product) in a
   file of its own. `compute(embeddings, labels)` returns the loss; options are keyword-only
   arguments of the constructor, checked with `options`.
2. Add one line to `registry.LOSSES`.
3. Test it against a naive loop in `tests/train/losses/`; gradients, degenerate batches and mixed
   precision are tested for every registered loss.
4. Train with it: `satchel train encoder --loss NAME`.
"""

from satchel.train.losses.base import ClassLoss, Loss
from satchel.train.losses.registry import LOSSES, known_options, make_loss

__all__ = ["LOSSES", "ClassLoss", "Loss", "known_options", "make_loss"]
