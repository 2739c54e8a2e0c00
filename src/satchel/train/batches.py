"""Photos → batches of crops, decoded and augmented in threads while the network computes.

Every batch is a pure function of the settings, the epoch and its place in it, so that a run that
was killed resumes with exactly the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from satchel.arrays import Bytes, Ints
from satchel.images import RGB, crop, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.records import WHOLE_PHOTO, Box
from satchel.train.augment import RECIPES
from satchel.train.settings import TrainSettings

ENCODED_AT_ONCE: Final = 8
"""Photos encoded together, four crops each with their mirror images. On a CPU more are
slower (their maps leave its caches): 8.9 ms a crop in batches of 32, 20.8 in batches of 128, which
take three times the memory, too."""

DECODE_MARGIN: Final = 1.3
"""Photos are decoded with a shorter side of at least this times the crop's: crops enlarge."""


@dataclass(frozen=True, slots=True)
class TrainingPhotos:
    """Photos with their labels, read when they are needed.

    Attributes:
        names: SHA-256 of each.
        labels: shape (n,), int64: places in the list of products.
        boxes: of the object in each; the whole photo where it was not embedded.
        read: SHA-256 → bytes.
    """

    names: tuple[str, ...]
    labels: Ints
    boxes: tuple[Box, ...]
    read: Callable[[str], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def decoded(self, row: int, side_px: int) -> RGB:
        """Pixels of one photo, decoded at least at this size."""
        return decode(self.read(self.names[row]), min_side_px=round(side_px * DECODE_MARGIN))


@dataclass(frozen=True, slots=True)
class Step:
    """The photos of one training step, and their input side.

    Attributes:
        epoch, number: of the step in its epoch; both from 0.
        epochs: that there will be; 0 while that is not known yet.
    """

    epoch: int
    number: int
    rows: Ints
    side_px: int
    epochs: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of training crops.

    Attributes:
        crops: shape (n, side, side, 3), uint8.
        labels: shape (n,), int64.
        others: shape (n,), int64: labels of what was blended in.
        share: mixing coefficient of the photo itself, in [0.5, 1]; 1 where nothing was blended in.
    """

    crops: Bytes
    labels: Ints
    others: Ints
    share: float

    def __len__(self) -> int:
        return len(self.labels)

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of `satchel.train.fitting.Trainable`."""
        return self.crops, self.labels, self.others, self.share


def training_batches(
    photos: TrainingPhotos,
    steps: Iterable[Step],
    *,
    recipe: str,
    mix: float,
    seed: int,
) -> Iterator[Batch]:
    """Yield the batches of these steps, a few ahead of the consumer."""

    def work(step: Step) -> Batch:
        augment = RECIPES[recipe]
        crops = np.empty((len(step.rows), step.side_px, step.side_px, 3), np.uint8)
        for at, row in enumerate(step.rows.tolist()):
            rng = np.random.default_rng([seed, step.epoch, step.number, at])
            pixels = photos.decoded(row, step.side_px)
            crops[at] = augment(pixels, photos.boxes[row], step.side_px, rng)
        labels = photos.labels[step.rows]
        rng = np.random.default_rng([seed, step.epoch, step.number, len(step.rows)])
        if rng.random() < mix:
            return _blended(crops, labels, rng)
        return Batch(crops, labels, labels, 1.0)

    yield from map_in_order(work, steps, workers=cores(), ahead=1)


def shown_batches(
    photos: TrainingPhotos, settings: TrainSettings
) -> Callable[[Iterable[Step]], Iterator[Batch]]:
    """Steps → batches of these photos, augmented as the settings say."""
    return partial(
        training_batches, photos, recipe=settings.recipe, mix=settings.mix, seed=settings.seed
    )


def two_pass_crops(
    photos: TrainingPhotos, side_px: int, *, batch: int = ENCODED_AT_ONCE
) -> Iterator[Bytes]:
    """Yield the crops of two encoder passes: the whole photo, and the object in it.

    Yields:
        shape (n, 2, side, side, 3), uint8, n ≤ `batch`; all photos in their order.
    """

    def work(rows: list[int]) -> Bytes:
        crops = []
        for row in rows:
            pixels = photos.decoded(row, side_px)
            crops.append([crop(pixels, box, side_px) for box in (WHOLE_PHOTO, photos.boxes[row])])
        return np.array(crops, np.uint8)

    yield from map_in_order(work, batched(range(len(photos)), batch), workers=cores(), ahead=1)


def _blended(crops: Bytes, labels: Ints, rng: np.random.Generator) -> Batch:
    """Blend each photo with its counterpart from the other end of the batch.

    By transparency (Zhang et al., "mixup", ICLR 2018) or by a pasted rectangle (Yun et al.,
    "CutMix", ICCV 2019), either with probability one half.
    """
    others = crops[::-1].copy()
    share = 0.5 + abs(0.5 - float(rng.beta(1, 1)))  # the larger part is the photo's own
    if rng.random() < 0.5:
        blended = (crops * np.float32(share) + others * np.float32(1 - share)).astype(np.uint8)
        return Batch(blended, labels, labels[::-1].copy(), share)
    side = crops.shape[1]
    cut = max(1, round(side * float(np.sqrt(1 - share))))
    y, x = rng.integers(0, side - cut + 1, 2)
    crops[:, y : y + cut, x : x + cut] = others[:, y : y + cut, x : x + cut]
    return Batch(crops, labels, labels[::-1].copy(), 1 - (cut / side) ** 2)
