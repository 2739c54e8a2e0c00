"""The photos and boxes of a run, frozen in its folder: a resumed run has the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field

from satchel.files import atomic_path
from satchel.train.locator.samples import BoxedPhoto, BoxedPhotos
from satchel.train.runs import Run, readable
from satchel.validation import StrictModel

PHOTOS: Final = "photos.jsonl"

Corners = tuple[float, float, float, float]


class FrozenPhoto(StrictModel):
    """A photo of a run.

    Attributes:
        photo: SHA-256 of a photo of the catalogue, or the path of a file.
        boxes: xyxy, as fractions of the upright photo; none: it shows no product.
        labels: the class of each box.
    """

    part: Literal["train", "val"]
    photo: str
    boxes: tuple[Corners, ...] = ()
    labels: tuple[str, ...] = Field(())


@dataclass(frozen=True, slots=True)
class FrozenPhotos:
    """All photos of a run."""

    photos: tuple[FrozenPhoto, ...]

    def of(self, part: str) -> list[FrozenPhoto]:
        """The photos of a part."""
        return [one for one in self.photos if one.part == part]

    def write(self, run: Run) -> None:
        """Write them into a run's folder, one line each."""
        with atomic_path(run.folder / PHOTOS) as path, path.open("w", encoding="utf-8") as file:
            for one in self.photos:
                file.write(json.dumps(one.model_dump(), ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, run: Run) -> FrozenPhotos:
        """Read what `write` wrote.

        Raises:
            UsageError: the file is missing or damaged.
        """
        path = run.folder / PHOTOS
        with readable(path), path.open(encoding="utf-8") as file:
            return cls(tuple(FrozenPhoto.model_validate_json(line) for line in file))


def samples_of(
    photos: Iterable[FrozenPhoto],
    classes: Sequence[str],
    read: Callable[[str], bytes],
    *,
    min_side_px: int,
) -> BoxedPhotos:
    """The photos as samples.

    Args:
        classes: labels become places in it; every label is there.
        read: photo → bytes.
    """
    place = {name: at for at, name in enumerate(classes)}

    def boxed(one: FrozenPhoto) -> BoxedPhoto:
        return BoxedPhoto(
            one.photo,
            lambda: read(one.photo),
            np.array(one.boxes, np.float32).reshape(-1, 4),
            np.array([place[label] for label in one.labels], np.int64),
        )

    return BoxedPhotos([boxed(one) for one in photos], min_side_px=min_side_px)
