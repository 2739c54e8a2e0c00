"""The task of adapting: a catalogue's photos, some products held out for validation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from satchel.arrays import Bools, Ints
from satchel.encode.embed import PhotoEncoder
from satchel.errors import UsageError
from satchel.locate.locator import Locator
from satchel.train.batches import TrainingPhotos


@dataclass(frozen=True, slots=True)
class AdaptTask:
    """A catalogue's photos, those of some products held out.

    Attributes:
        photos: all of them, labelled by place in the list of all products.
        trained: shape (t,): rows of `photos` that are trained on.
        classes: shape (products,): class of each product; -1 where it is held out.
        look_alikes: groups of products that people confirmed as look-alikes.
        locator: of the workspace; None where saliency locates.
        real: shape (r,): rows of `photos` that sellers took, as experts certified them.
        served: the encoder that answers now; None where it is the one that is adapted.
    """

    photos: TrainingPhotos
    trained: Ints
    classes: Ints
    look_alikes: tuple[Ints, ...] = ()
    locator: Locator | None = None
    real: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    served: PhotoEncoder | None = None

    @classmethod
    def of(
        cls,
        photos: TrainingPhotos,
        trained: Ints,
        products: int,
        look_alikes: tuple[Ints, ...] = (),
        locator: Locator | None = None,
        *,
        real: Ints | None = None,
    ) -> AdaptTask:
        """Number the classes of the trained rows.

        Raises:
            UsageError: there are fewer than two.
        """
        known = np.unique(photos.labels[trained])
        if len(known) < 2:
            raise UsageError(
                f"expected two products or more to train on, got {len(known)}; import more, or "
                "pass --set val_share=0"
            )
        classes = np.full(products, -1, np.int64)
        classes[known] = np.arange(len(known))
        none = np.empty(0, np.int64)
        return cls(photos, trained, classes, look_alikes, locator, none if real is None else real)

    @property
    def val_products(self) -> Ints:
        """Products that are not trained on."""
        return np.flatnonzero(self.classes < 0)

    @property
    def paired(self) -> Ints:
        """Classes that have sellers' photos to train on, and others."""
        is_real, classes = self.is_real, self.trained_classes
        return np.intersect1d(classes[is_real], classes[~is_real])

    @property
    def has_pairs(self) -> bool:
        """Whether there are real pairs to train on: of two products at least."""
        return len(self.paired) > 1

    @property
    def trained_classes(self) -> Ints:
        """Class of each trained row."""
        classes: Ints = self.classes[self.photos.labels[self.trained]]
        return classes

    @property
    def is_real(self) -> Bools:
        """Of each trained row, whether a seller took it."""
        return np.isin(self.trained, self.real)

    @property
    def trained_names(self) -> list[str]:
        """SHA-256 of the photo of each trained row."""
        return [self.photos.names[row] for row in self.trained]

    @property
    def look_alike_classes(self) -> list[Ints]:
        """Classes that are trained on, of each group of look-alikes."""
        groups = (self.classes[group] for group in self.look_alikes)
        return [group[group >= 0] for group in groups]
