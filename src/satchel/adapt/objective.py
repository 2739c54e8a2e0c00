"""Loss of adapting: cosine softmax with margin over one prototype for each product.

Wang et al., "CosFace", CVPR 2018, eq. 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from satchel.adapt.settings import AdaptSettings
from satchel.adapt.task import AdaptTask
from satchel.arrays import Bools, Floats, Ints

COMPARED_AT_ONCE = 1024


class MarginSoftmax(torch.nn.Module):
    """Cross-entropy of scaled cosines to the prototypes, the right one less a margin (CosFace).

    Inseparable products are no negatives of each other: they are left out of the sum.

    Args:
        prototypes: shape (p, d), initial vector of each product; any length.
        inseparable: shape (p, p), bool, symmetric, False on the diagonal.
    """

    inseparable: torch.Tensor

    def __init__(
        self, prototypes: torch.Tensor, inseparable: torch.Tensor, *, scale: float, margin: float
    ) -> None:
        super().__init__()
        unit = torch.nn.functional.normalize(prototypes.float(), dim=1)
        self.prototypes = torch.nn.Parameter(unit)
        self.register_buffer("inseparable", inseparable, persistent=False)
        self.scale = scale
        self.margin = margin

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Mean loss of a batch; vectors, shape (n, d); labels, shape (n,), int64."""
        unit = torch.nn.functional.normalize
        cosines = unit(vectors, dim=1) @ unit(self.prototypes, dim=1).T
        right = torch.nn.functional.one_hot(labels, len(self.prototypes))
        logits = self.scale * (cosines - self.margin * right)
        logits = logits.masked_fill(self.inseparable[labels], float("-inf"))
        loss: torch.Tensor = torch.nn.functional.cross_entropy(logits, labels)
        return loss


def make_objective(
    task: AdaptTask,
    vectors: Floats,
    settings: AdaptSettings,
    *,
    scale: float,
    prototype_centering: float,
) -> MarginSoftmax:
    """The loss of a task; its prototypes begin with vectors of the trained photos, shape (t, d)."""
    classes = task.trained_classes
    count = int(classes.max()) + 1
    inseparable = inseparable_products(
        vectors,
        task.trained_names,
        classes,
        count,
        cosine=settings.duplicate_cosine,
        look_alikes=task.look_alike_classes,
    )
    return MarginSoftmax(
        torch.from_numpy(initial_prototypes(vectors, classes, count, prototype_centering)),
        torch.from_numpy(inseparable),
        scale=scale,
        margin=settings.margin,
    )


def inseparable_products(
    vectors: Floats,
    names: Sequence[str],
    labels: Ints,
    products: int,
    *,
    cosine: float,
    look_alikes: Iterable[Ints] = (),
) -> Bools:
    """Pairs of products that share a photo, have near-duplicates, or are confirmed look-alikes.

    Args:
        vectors: shape (n, d), of length 1, of the photos.
        names: of the photos; equal for equal ones.
        labels: shape (n,): products of the photos.
        cosine: from which two photos are near-duplicates.
        look_alikes: groups of labels.

    Returns:
        shape (products, products), bool, symmetric, False on the diagonal.
    """
    alike = np.zeros((products, products), np.bool_)
    for first in range(0, len(vectors), COMPARED_AT_ONCE):
        some = vectors[first : first + COMPARED_AT_ONCE]
        rows, columns = np.nonzero(some @ vectors.T >= cosine)
        alike[labels[rows + first], labels[columns]] = True
    by_name: dict[str, int] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        alike[label, by_name.setdefault(name, label)] = True
    for group in look_alikes:
        alike[np.ix_(group, group)] = True
    alike |= alike.T
    np.fill_diagonal(alike, False)
    return alike


def initial_prototypes(
    vectors: Floats, labels: Ints, products: int, prototype_centering: float
) -> Floats:
    """Mean vector of each product's photos, less what all have in common; shape (products, d).

    Args:
        prototype_centering: share of the mean of all means that is subtracted: what every photo
            has in common distinguishes no product.
    """
    sums = np.zeros((products, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    centred: Floats = (means - prototype_centering * means.mean(0)).astype(np.float32)
    return centred
