"""Products whose pictures are near each other, as the ranking sees them.

Two products are near where, asked with the very picture of one, the ranking leaves the other more
than a given chance between the two: by the same vectors, colours and fitted weights that answer.
Where the catalogue gives them different colours, which a photo shows, it takes more. Measured in
docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from satchel.catalog.products import ProductKind
from satchel.confidence.model import Rankings, shares
from satchel.encode.card import Confidence
from satchel.files import write_atomically
from satchel.search.index import GalleryIndex
from satchel.search.rules import LookAlikeRules

Rows = npt.NDArray[np.int64]

Pair = tuple[int, int]
"""Database ids of two products, the smaller first."""


@dataclass(frozen=True, slots=True)
class Near:
    """How near two products are: by their nearest pictures.

    Attributes:
        cosine: of the two pictures.
        photos: SHA-256 of each, in the order of the pair.
    """

    cosine: float
    photos: tuple[str, str]


Pairs = dict[Pair, Near]
"""Products that are near."""

ROWS: Final = 512
"""Pictures searched at once."""

CELLS: Final = 2**21
"""Neighbours held at once, at most."""

NEIGHBOURS: Final = 32
"""Pictures first looked at around each; doubled until all near ones are seen."""

MOST_NEAR: Final = 32
"""Products near one picture that are looked at: more would not come into a group anyway."""


def least_cosine(confidence: Confidence, chance: float) -> float:
    """Return the cosine of two pictures from which on they are near.

    Asked with one picture, its own product scores 1 and the other's the cosine of the two. Between
    the two, the other one's chance falls with the gap; see `satchel.confidence.model`.

    Args:
        chance: that the other one is left with at least, in (0, 0.5].
    """
    gaps = np.linspace(0, 1, 4001)
    scores = np.stack([np.ones_like(gaps), 1 - gaps], axis=1)
    two = Rankings(scores, np.ones(len(gaps), np.int64), np.full((*scores.shape, 2), np.nan))
    near = shares(confidence, two)[:, 1] >= chance - 1e-9
    return float(1 - gaps[max(0, int(near.argmin()) - 1)]) if not near.all() else 0.0


class Least(NamedTuple):
    """Cosine in the index's space from which on pictures of two products are near.

    Attributes:
        usual: see `least_cosine`.
        coloured: where the catalogue gives the products different colours.
    """

    usual: float
    coloured: float

    @classmethod
    def of(cls, confidence: Confidence, rules: LookAlikeRules) -> Least:
        """What a workspace's rules mean, by the confidence that it answers with."""
        return cls(
            least_cosine(confidence, rules.chance), least_cosine(confidence, rules.colour_chance)
        )

    def between(self, one: ProductKind, other: ProductKind) -> float:
        """For two products; more than any cosine where they are of different kinds.

        Colours that share a word are not different: "black, gold", "black, silver".
        """
        known = ((one.brand, other.brand), (one.category, other.category))
        if any(a and b and a != b for a, b in known):
            return float("inf")
        different = one.colours and other.colours and one.colours.isdisjoint(other.colours)
        return self.coloured if different else self.usual


class Journal:
    """Blocks of a search that are done, in a file with a line for each, so that it can go on.

    The first line says of which gallery, limits and kinds; the file of another search, a damaged
    one, and a last line that is torn, count for nothing.
    """

    def __init__(self, path: Path, search: str) -> None:
        self._path = path
        self._search = search

    @classmethod
    def of(
        cls, path: Path, index: GalleryIndex, least: Least, kinds: Mapping[int, ProductKind]
    ) -> Journal:
        """The journal of one search at `path`, whose folder must exist."""
        told = [(i, kind.brand, kind.category, sorted(kind.colours)) for i, kind in kinds.items()]
        of_kinds = zlib.crc32(json.dumps(sorted(told)).encode())
        gallery = f"{index.encoder} {index.gallery.revision} {index.rules.model_dump_json()}"
        return cls(path, f"{gallery} {tuple(least)} {of_kinds} {ROWS}")

    def read(self) -> tuple[int, Pairs]:
        """Return how many rows are done, and what was found among them; begin the file if none."""
        try:
            return self._read()
        except (ValueError, TypeError):  # damaged, or of another search
            write_atomically(self._path, f"{self._search}\n".encode())
            return 0, {}

    def _read(self) -> tuple[int, Pairs]:
        lines = self._path.read_text().split("\n") if self._path.exists() else []
        if len(lines) < 2 or lines[0] != self._search:
            raise ValueError("it is not of this search")
        done, found = 0, Pairs()
        for line in lines[1:-1]:  # after the last line's end there is nothing, or a torn line
            done, block = json.loads(line)
            _merge(found, {(a, b): Near(cosine, (one, two)) for a, b, cosine, one, two in block})
        if lines[-1]:
            write_atomically(self._path, "\n".join([*lines[:-1], ""]).encode())
        return done, found

    def add(self, done: int, block: Pairs) -> None:
        """Write down one block, up to the row `done`."""
        pairs = [[*pair, near.cosine, *near.photos] for pair, near in block.items()]
        with self._path.open("a") as file:
            file.write(json.dumps([done, pairs]) + "\n")

    def forget(self) -> None:
        """Remove the file: the search is over."""
        self._path.unlink(missing_ok=True)


def near_pairs(
    index: GalleryIndex,
    least: Least,
    kinds: Mapping[int, ProductKind],
    *,
    on_progress: Callable[[int], None],
    journal: Journal | None = None,
) -> Pairs:
    """Find the products that have pictures at least so near, of one brand and category.

    Exact, block by block: memory grows with what is found, not with the square of the gallery.

    Args:
        kinds: of each product; one that is missing is of any kind.
        on_progress: called with the number of pictures done since the last call.
        journal: goes on from what it holds, and holds each block as soon as it is done.
    """
    done, found = journal.read() if journal else (0, {})
    on_progress(done)
    for first in range(done, len(index), ROWS):
        rows = np.arange(first, min(first + ROWS, len(index)))
        block = _near_block(index, rows, least, kinds)
        _merge(found, block)
        if journal:
            journal.add(int(rows[-1]) + 1, block)
        on_progress(len(rows))
    return found


# -- helpers ------------------------------------------------------------------------------------


def _near_block(
    index: GalleryIndex, rows: Rows, least: Least, kinds: Mapping[int, ProductKind]
) -> Pairs:
    """The products that these pictures are near to."""
    anything = ProductKind("", "", frozenset())
    found: Pairs = {}
    for row, near in _neighbours(index, rows, min(least)):
        own = int(index.gallery.products[row])
        for other, (there, cosine) in _other_products(index, near, own):
            if cosine < least.between(kinds.get(own, anything), kinds.get(other, anything)):
                continue
            one, two = (row, there) if own < other else (there, row)
            photos = (index.photo(one), index.photo(two))
            _merge(found, {(min(own, other), max(own, other)): Near(cosine, photos)})
    return found


def _merge(found: Pairs, more: Pairs) -> None:
    """Take further pairs in; of the same pair the nearer pictures, or those seen first."""
    for pair, near in more.items():
        if pair not in found or near.cosine > found[pair].cosine:
            found[pair] = near


def _neighbours(
    index: GalleryIndex, rows: Rows, least: float
) -> Iterable[tuple[int, list[tuple[int, float]]]]:
    """Yield each row with the (row, cosine) of every picture that is near, nearest first.

    Of more than `MOST_NEAR` products only the nearest are certain to be there.
    """
    k, products = NEIGHBOURS, index.gallery.products
    while len(rows):
        k, unfinished = min(k, len(index)), []
        at_once = max(1, min(ROWS, CELLS // k))
        for first in range(0, len(rows), at_once):
            block = rows[first : first + at_once]
            cosines, found = index.search(index.gallery.vectors[block], k)
            for row, near, there in zip(block.tolist(), cosines, found, strict=True):
                seen = int((near >= least).sum())
                if seen == k < len(index) and len(np.unique(products[there])) <= MOST_NEAR:
                    unfinished.append(row)
                else:
                    yield row, list(zip(there[:seen].tolist(), near[:seen].tolist(), strict=True))
        rows = np.array(unfinished, np.int64)
        k *= 2


def _other_products(
    index: GalleryIndex, near: Iterable[tuple[int, float]], own: int
) -> list[tuple[int, tuple[int, float]]]:
    """The nearest other products, each with its nearest picture; ties by id."""
    best: dict[int, tuple[int, float]] = {}
    for row, cosine in near:
        product = int(index.gallery.products[row])
        if product != own:
            best.setdefault(product, (row, cosine))
    return sorted(best.items(), key=lambda one: (-one[1][1], one[0]))[:MOST_NEAR]
