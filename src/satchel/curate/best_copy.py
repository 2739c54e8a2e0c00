"""Which of several copies of one picture to keep: the upright, whole, well exposed original.

Measured in benchmarks/kept_copy.py: neither pixels nor bytes tell the original. An enlargement has
more of both, and so has a copy that was saved again at a higher quality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from satchel.arrays import Ints
from satchel.catalog.curation import GalleryPhotos
from satchel.curate.duplicates import Groups
from satchel.curate.fineness import KEY as FINENESS
from satchel.curate.integrity import PhotoFigures
from satchel.curate.orientation import Copies, Way, familiarity, ways

ALMOST: Final = 0.95
"""Share of the largest visible area from which on a copy shows as much as the largest."""

ENLARGED: Final = 0.75
"""A larger copy with less than this share of a smaller one's fineness was enlarged: enlarging by
1.3 to 1.8 leaves 0.3 to 0.7, the original of a crop has 0.8 of its fineness or more."""

LEAST_ENLARGED: Final = 1.2
MOST_ENLARGED: Final = 2.5
"""Larger ÷ smaller side between which that holds: a thumbnail is fine, too, and shows less."""

UNSURE: Final = 0.006
"""Difference of familiarity that says nothing: one picture saved twice has up to 0.008."""

UNSURE_LYING: Final = 0.02
"""The same for two ways of lying; half of the pictures on their side differ by more."""


@dataclass(frozen=True)
class CopyChoice:
    """Chooses among copies.

    Attributes:
        photos: the gallery.
        figures: of its photos.
        groups: rows of every group of copies; ascending, int64.
        lying: how the photos of the groups lie, compared with the first of their group.
        familiar: how like others of the catalogue they are; see `familiarity`.
    """

    photos: GalleryPhotos
    figures: Sequence[PhotoFigures]
    groups: Sequence[Ints]
    lying: Mapping[int, Way]
    familiar: Mapping[int, float]

    @classmethod
    def of(
        cls, photos: GalleryPhotos, figures: Sequence[PhotoFigures], copies: Copies
    ) -> CopyChoice:
        """Group the copies, and compare them with the rest of the gallery."""
        connected = Groups.connected(len(photos), np.array(list(copies), np.int64).reshape(-1, 2))
        groups = connected.members()
        lying = _lying(groups, copies)
        rows = sorted(lying)
        familiar = familiarity(photos.vectors, connected.labels, rows).tolist()
        return cls(photos, figures, groups, lying, dict(zip(rows, familiar, strict=True)))

    def best(self, rows: Sequence[int]) -> int:
        """Return which of some copies of one picture to keep."""
        for choose in self._rules:
            rows = choose(rows)
        # What is left is one picture saved several times: the smallest file was saved last.
        return min(rows, key=lambda row: (self.photos.size_bytes[row], row))

    @cached_property
    def _rules(self) -> tuple[Callable[[Sequence[int]], Sequence[int]], ...]:
        return (self._upright, self._not_enlarged, self._whole, self._unframed, self._familiar)

    def _upright(self, rows: Sequence[int]) -> Sequence[int]:
        """Keep those that lie the way that is most like the catalogue's photos.

        Where that is not clear, the way that most lie: copies are made of what lies as it should.
        """
        by_way: dict[Way, list[int]] = {}
        for row in rows:
            by_way.setdefault(self.lying[row], []).append(row)

        def familiar(own: Sequence[int]) -> float:
            return max(self.familiar[row] for row in own)

        most = max(map(familiar, by_way.values()))
        likely = [own for own in by_way.values() if familiar(own) >= most - UNSURE_LYING]
        return max(likely, key=lambda own: (len(own), familiar(own)))

    def _not_enlarged(self, rows: Sequence[int]) -> Sequence[int]:
        """Leave out enlargements of a smaller one, which have more pixels and no more detail."""

        def enlarges(row: int, other: int) -> bool:
            larger = (self._pixels(row) / self._pixels(other)) ** 0.5
            fine, coarse = self._fineness(other), self._fineness(row)
            within = LEAST_ENLARGED <= larger <= MOST_ENLARGED
            return within and coarse < ENLARGED * fine

        return [row for row in rows if not any(enlarges(row, other) for other in rows)]

    def _whole(self, rows: Sequence[int]) -> Sequence[int]:
        """Keep those of about the largest visible area: the others are cut or made smaller."""
        areas = {row: self._pixels(row) * (1 - self.figures[row].border) for row in rows}
        return [row for row in rows if areas[row] >= ALMOST * max(areas.values())]

    def _unframed(self, rows: Sequence[int]) -> Sequence[int]:
        """Leave out those in a frame."""
        frame = min(self.figures[row].border for row in rows)
        return [row for row in rows if self.figures[row].border <= frame + (1 - ALMOST)]

    def _familiar(self, rows: Sequence[int]) -> Sequence[int]:
        """Leave out those that are less like the catalogue: exposed wrongly, recompressed."""
        most = max(self.familiar[row] for row in rows)
        return [row for row in rows if self.familiar[row] >= most - UNSURE]

    def _pixels(self, row: int) -> int:
        return self.figures[row].width * self.figures[row].height

    def _fineness(self, row: int) -> float:
        return float(self.photos.contents[row].get(FINENESS, 0.0))


def _lying(groups: Sequence[Ints], copies: Copies) -> dict[int, Way]:
    """How the photos of each group lie, compared with the first of the group."""
    of_row = {int(row): at for at, group in enumerate(groups) for row in group}
    own: list[dict[tuple[int, int], Way]] = [{} for _ in groups]
    for pair, way in copies.items():
        own[of_row[pair[0]]][pair] = way
    lying: dict[int, Way] = {}
    for group, pairs in zip(groups, own, strict=True):
        lying |= ways(group.tolist(), pairs)
    return lying
