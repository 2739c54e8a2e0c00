"""Whether a photo that is to be identified is a picture of the catalogue, or a copy of one.

As in curation, embeddings propose and `satchel.curate.geometry` confirms: an embedding alone cannot
separate a copy from a colour variant in the same pose. Small grey copies are compared in between,
so that other photos cost little. Measured in docs/decisions/0037-own-pictures.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from satchel.curate.geometry import SIDE_PX, PictureFeatures, compare, describe
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.embed import as_query
from satchel.encode.fit import from_standard
from satchel.errors import CatalogueError, PhotoError
from satchel.images import RGB, decode, shrunk
from satchel.records import PhotoEmbedding

MIN_COSINE: Final = 0.8
"""Standard cosine of a photo and any view of a catalogue photo from which pixels are compared."""

NEAREST: Final = 5
"""Catalogue photos that a photo is compared with, at most."""

MIN_RESEMBLANCE: Final = 0.94
"""Correlation of two small copies from which keypoints are compared: all of 825 recompressed,
resized, cropped and brightened copies have 0.949 or more, 6 of 1,800 other pairs 0.95 or more."""

NEARLY: Final = 0.3
"""Further difference up to which other pictures count as the same: two codes may share one."""

_SMALL_PX: Final = 40
_CROPS: Final = [
    (width, height)
    for width in range(_SMALL_PX - 5, _SMALL_PX + 1)
    for height in range(_SMALL_PX - 5, _SMALL_PX + 1)
    if abs(width - height) <= 2
]
"""Sizes of what a copy shows of the picture, whole or cropped by an eighth at most."""


@dataclass(frozen=True, slots=True)
class OwnPictures:
    """Compares photos with those of the catalogue. Safe to use from several threads.

    Attributes:
        stored: reads the embeddings of stored photos by their SHA-256.
        n_passes: of the encoder.
        read: reads a stored photo's bytes.
        rules: when two photos are copies; no stamp is allowed for, since faint colour variants pass
            for one.
        scale: how many times the built-in encoder's distances those of the vectors are.
    """

    stored: Callable[[Sequence[str]], Mapping[str, PhotoEmbedding]]
    n_passes: int
    read: Callable[[str], bytes]
    rules: DuplicateThresholds
    scale: float = 1.0

    def copied(self, photo: PhotoEmbedding, near: Sequence[str]) -> frozenset[str]:
        """Return those catalogue photos of which this one is a copy.

        Args:
            photo: with its `picture`; without one, nothing is a copy.
            near: SHA-256 of the catalogue's photos that may be, nearest first.
        """
        picture = photo.picture
        if picture is None:
            return frozenset()
        pixels = {name: self._read(name) for name in self._proposed(photo, near)}
        alike = {
            name: stored
            for name, stored in pixels.items()
            if stored is not None and resemblance(stored, picture) >= MIN_RESEMBLANCE
        }
        if not alike:
            return frozenset()
        features = describe(picture)
        apart = {
            name: self._difference(describe(stored), features) for name, stored in alike.items()
        }
        limit = min(apart.values()) + NEARLY
        return frozenset(name for name, one in apart.items() if one <= limit and one < np.inf)

    def _proposed(self, photo: PhotoEmbedding, near: Sequence[str]) -> list[str]:
        """Those of the nearest of which some view resembles the photo.

        A copy may be seen in another way than its picture: whole, where that shows its main good.
        """
        names = list(dict.fromkeys(near))[:NEAREST]
        least = from_standard(MIN_COSINE, self.scale)
        found = self.stored(names)
        return [
            name
            for name in names
            if (one := found.get(name)) is not None
            and max(
                float(view @ photo.vector)
                for view in (as_query(one, self.n_passes).vector, one.whole, one.vector)
            )
            >= least
        ]

    def _read(self, name: str) -> RGB | None:
        try:
            return shrunk(decode(self.read(name), min_side_px=SIDE_PX), SIDE_PX)
        except (PhotoError, CatalogueError):  # removed since, or damaged: nothing to say of it
            return None

    def _difference(self, stored: PictureFeatures, features: PictureFeatures) -> float:
        """How far a copy's pixels are from a picture's; infinite where it is no copy."""
        rules = self.rules.model_copy(update={"max_marked": 0.0})
        way = compare(stored, features, rules).fitting(rules)
        return np.inf if way is None else way.difference


def resemblance(picture: RGB, copy: RGB) -> float:
    """Correlation of a picture and what may be a copy of it, whole or cropped a little.

    Args:
        picture, copy: upright RGB pixels.

    Returns:
        in [-1, 1]: the best over all crops of small grey copies.
    """
    whole, shown = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (picture, copy))
    small = cv2.resize(whole, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    double = cv2.resize(shown, (2 * _SMALL_PX, 2 * _SMALL_PX), interpolation=cv2.INTER_AREA)
    return max(
        float(
            cv2.matchTemplate(
                small,
                cv2.resize(double, size, interpolation=cv2.INTER_AREA),
                cv2.TM_CCOEFF_NORMED,
            ).max()
        )
        for size in _CROPS
    )


def with_picture(embedding: PhotoEmbedding, pixels: RGB) -> PhotoEmbedding:
    """Add a photo's small copy to its embedding, as `OwnPictures` compares it."""
    return replace(embedding, picture=shrunk(pixels, SIDE_PX))
