"""What a detector is trained on: photos with boxes and class labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from satchel.arrays import Floats, Ints
from satchel.images import RGB, decode

Sample = tuple[RGB, Floats, Ints]
"""Pixels; boxes, shape (n, 4), float32: left, top, right, bottom in pixels; labels, shape (n,),
int64: places in the list of classes. n may be 0: a photo that shows no object of any class."""


class Samples(Protocol):
    """A sequence of samples, such as a list, a torch data set, or photos composed on demand.

    Item i must be the same whenever it is asked for, since a resumed run repeats batches, and is
    asked for from several threads at once.

    One with an attribute `main_first` that is true says by it that the first box of each sample is
    its main good's.
    """

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """The sample at a place from 0."""


def says_main(samples: Samples) -> bool:
    """Whether the first box of each sample is its main good's; see `Samples`."""
    return bool(getattr(samples, "main_first", False))


@dataclass(frozen=True, slots=True)
class BoxedPhoto:
    """A photo that is read when it is needed.

    Attributes:
        name: for messages.
        read: its bytes.
        boxes: shape (n, 4), float32, xyxy as fractions of the upright photo.
        labels: shape (n,), int64.
    """

    name: str
    read: Callable[[], bytes]
    boxes: Floats
    labels: Ints


class BoxedPhotos:
    """Samples decoded from files; see `Samples`.

    Args:
        min_side_px: neither side is decoded smaller than this.
    """

    def __init__(self, photos: Sequence[BoxedPhoto], *, min_side_px: int) -> None:
        self._photos = photos
        self._min_side_px = min_side_px

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Sample:
        photo = self._photos[index]
        pixels = decode(photo.read(), min_side_px=self._min_side_px)
        height, width = pixels.shape[:2]
        sides = np.array([width, height, width, height], np.float32)
        return pixels, photo.boxes * sides, photo.labels
