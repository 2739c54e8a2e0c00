"""Copies between new photos and the catalogue's, and among the new ones.

As in curation, embeddings propose pairs and `satchel.curate.geometry` confirms them, by the same
rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.curate.duplicates import Groups, duplicate_candidates
from satchel.curate.geometry import PictureFeatures, compare, describe
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.fit import from_standard
from satchel.errors import CatalogueError, PhotoError
from satchel.images import RGB
from satchel.nearest import nearest_rows
from satchel.parallel import cores, map_in_order

CACHED_FEATURES: Final = 500
"""Photos whose keypoints are cached: about 150 MB."""

Vectors = npt.NDArray[np.float32]


class KnownPictures:
    """Compares new photos with known ones, and with each other.

    Args:
        new: shape (n, d), float32, of length 1: vectors of the new photos.
        known: shape (g, d), float32, of length 1: vectors of the known photos.
        read_new, read_known: return the pixels of a row of either.
        rules: when two photos are copies.
        scale: how many times the built-in encoder's distances those of the vectors are.
    """

    def __init__(
        self,
        new: Vectors,
        known: Vectors,
        read_new: Callable[[int], RGB],
        read_known: Callable[[int], RGB],
        rules: DuplicateThresholds,
        *,
        scale: float = 1.0,
    ) -> None:
        self._rules = rules
        self._new = lru_cache(CACHED_FEATURES)(lambda row: _described(read_new, row))
        self._known = lru_cache(CACHED_FEATURES)(lambda row: _described(read_known, row))
        least = from_standard(rules.min_cosine, scale)
        self._near_known = _neighbours(new, known, rules.neighbours, least)
        self._near_new = duplicate_candidates(new, rules.neighbours, least)
        self._count = len(new)

    def is_known(self, row: int) -> bool:
        """Whether a new photo is a copy of a known one."""
        return any(self._same(self._new(row), self._known(at)) for at in self._near_known[row])

    def repeated(self) -> set[int]:
        """Return the new photos that are copies of earlier new ones, or copies of such copies."""

        def same(pair: tuple[int, int]) -> bool:
            return self._same(*map(self._new, pair))

        pairs = [(int(a), int(b)) for a, b in self._near_new]
        same_picture = np.array(list(map_in_order(same, pairs, workers=cores(), ahead=8)), bool)
        labels = Groups.connected(self._count, self._near_new[same_picture]).labels
        return set(np.flatnonzero(labels != np.arange(self._count)).tolist())

    def _same(self, a: PictureFeatures | None, b: PictureFeatures | None) -> bool:
        return (
            a is not None and b is not None and bool(compare(a, b, self._rules).same(self._rules))
        )


def _described(read: Callable[[int], RGB], row: int) -> PictureFeatures | None:
    """Compute the features of a photo; None where it cannot be read any more."""
    try:
        return describe(read(row))
    except (PhotoError, CatalogueError):
        return None


def _neighbours(
    new: Vectors, known: Vectors, neighbours: int, min_cosine: float
) -> Sequence[Sequence[int]]:
    """Return the known rows near each new one, the nearest first."""
    k = min(neighbours, len(known))
    if not len(new) or not k:
        return [[]] * len(new)
    cosines, rows = nearest_rows(new, known, k)
    near = cosines >= min_cosine
    return [own[held].tolist() for own, held in zip(rows, near, strict=True)]
