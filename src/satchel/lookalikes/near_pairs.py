"""Search for near-duplicate products by comparing all photos of the gallery.

Two products are near-duplicates where the model gives the other product a posterior above `chance`
when queried with a gallery photo of the first, between the two of them, with the vectors, colours
and fitted weights that answers are given with. Products of different colours in the catalogue need
a higher posterior, as a photo shows colours. Measured in docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from satchel.catalog.products import ProductKind
from satchel.confidence.features import Rankings
from satchel.confidence.model import conditional_probabilities
from satchel.encode.card import Confidence
from satchel.files import write_atomically
from satchel.progress import SILENT, Progress
from satchel.search.index import GalleryIndex
from satchel.search.rules import LookAlikeRules

Rows = npt.NDArray[np.int64]

Pair = tuple[int, int]
"""Database ids of two products, the smaller first."""


@dataclass(frozen=True, slots=True)
class Near:
    """The nearest photos of two products.

    Attributes:
        cosine: of the two photos, standard, in [-1, 1].
        photos: SHA-256 of each, in the order of the pair.
    """

    cosine: float
    photos: tuple[str, str]


Pairs = dict[Pair, Near]
"""Near-duplicate products."""

BLOCK_ROWS: Final = 512
"""Photos searched at once."""

MAX_CELLS: Final = 2**21
"""Neighbours in memory at once."""

NEIGHBOURS: Final = 32
"""Neighbours retrieved of each photo at first; doubled until all near ones are among them."""

MAX_NEAR: Final = 32
"""Near products kept of one photo: more would not come into a group anyway."""


def least_cosine(confidence: Confidence, chance: float) -> float:
    """Return the least cosine of two photos at which the posterior reaches `chance`.

    Queried with one photo, its own product scores 1 and the other the cosine of the two. Between
    the two, the posterior of the other falls with the gap; see `satchel.confidence.model`.

    Args:
        chance: least posterior of the other product, in (0, 0.5].
    """
    gaps = np.linspace(0, 1, 4001)
    scores = np.stack([np.ones_like(gaps), 1 - gaps], axis=1)
    two = Rankings(scores, np.ones(len(gaps), np.int64), np.full((*scores.shape, 2), np.nan))
    near = conditional_probabilities(confidence, two)[:, 1] >= chance - 1e-9
    return float(1 - gaps[max(0, int(near.argmin()) - 1)]) if not near.all() else 0.0


class LeastCosine(NamedTuple):
    """Standard cosine in the index's space from which on two products are near-duplicates.

    Attributes:
        usual: see `least_cosine`.
        coloured: for products of different colours in the catalogue.
    """

    usual: float
    coloured: float

    @classmethod
    def of(cls, confidence: Confidence, rules: LookAlikeRules) -> LeastCosine:
        """Convert a workspace's rules to cosines, by its confidence model."""
        return cls(
            least_cosine(confidence, rules.chance), least_cosine(confidence, rules.colour_chance)
        )

    def between(self, one: ProductKind, other: ProductKind) -> float:
        """Return it for two products; infinity where brand or category differ.

        Colours that share a word are not different: "black, gold", "black, silver".
        """
        known = ((one.brand, other.brand), (one.category, other.category))
        if any(a and b and a != b for a, b in known):
            return float("inf")
        different = one.colours and other.colours and one.colours.isdisjoint(other.colours)
        return self.coloured if different else self.usual


class Journal:
    """Results of a search so far, one line of a file for each block, from which it resumes.

    The first line identifies gallery, limits and kinds; the file of another search, a damaged one,
    and an incomplete last line are ignored.
    """

    def __init__(self, path: Path, search: str) -> None:
        self._path = path
        self._search = search

    @classmethod
    def of(
        cls, path: Path, index: GalleryIndex, least: LeastCosine, kinds: Mapping[int, ProductKind]
    ) -> Journal:
        """Return the journal of one search at `path`, whose folder must exist."""
        described = [
            (i, kind.brand, kind.category, sorted(kind.colours)) for i, kind in kinds.items()
        ]
        of_kinds = zlib.crc32(json.dumps(sorted(described)).encode())
        measured = f"{index.rules.model_dump_json()} {index.fit.model_dump_json()}"
        gallery = f"{index.encoder} {index.gallery.revision} {measured}"
        return cls(path, f"{gallery} {tuple(least)} {of_kinds} {BLOCK_ROWS}")

    def read(self) -> tuple[int, Pairs]:
        """Return how many rows are finished and their pairs; create the file if there is none."""
        try:
            return self._read()
        except (ValueError, TypeError):  # damaged, or of another search
            write_atomically(self._path, f"{self._search}\n".encode())
            return 0, {}

    def _read(self) -> tuple[int, Pairs]:
        lines = self._path.read_text().split("\n") if self._path.exists() else []
        if len(lines) < 2 or lines[0] != self._search:
            raise ValueError("it belongs to another search")
        done, pairs = 0, Pairs()
        for line in lines[1:-1]:  # after the last line's end there is nothing, or a torn line
            done, block = json.loads(line)
            _merge(pairs, {(a, b): Near(cosine, (one, two)) for a, b, cosine, one, two in block})
        if lines[-1]:
            write_atomically(self._path, "\n".join([*lines[:-1], ""]).encode())
        return done, pairs

    def add(self, done: int, block: Pairs) -> None:
        """Append one block, up to the row `done`."""
        pairs = [[*pair, near.cosine, *near.photos] for pair, near in block.items()]
        with self._path.open("a") as file:
            file.write(json.dumps([done, pairs]) + "\n")

    def remove(self) -> None:
        """Remove the file at the end of the search."""
        self._path.unlink(missing_ok=True)


def near_pairs(
    index: GalleryIndex,
    least: LeastCosine,
    kinds: Mapping[int, ProductKind],
    *,
    journal: Journal | None = None,
    progress: Progress = SILENT,
) -> Pairs:
    """Find the near-duplicate products of one brand and category.

    Exact, block by block: memory grows with what is found, not with the square of the gallery.

    Args:
        kinds: of each product; one that is missing is of any kind.
        journal: the search resumes from it, and appends each finished block to it.
    """
    done, pairs = journal.read() if journal else (0, {})
    progress.begin("compare", len(index), done)
    for first in range(done, len(index), BLOCK_ROWS):
        rows = np.arange(first, min(first + BLOCK_ROWS, len(index)))
        block = _near_block(index, rows, least, kinds)
        _merge(pairs, block)
        if journal:
            journal.add(int(rows[-1]) + 1, block)
        progress.advance(len(rows))
    return pairs


# -- helpers ------------------------------------------------------------------------------------


def _near_block(
    index: GalleryIndex, rows: Rows, least: LeastCosine, kinds: Mapping[int, ProductKind]
) -> Pairs:
    """Return the products that these photos are near to."""
    anything = ProductKind("", "", frozenset())
    pairs: Pairs = {}
    for row, near in _neighbours(index, rows, min(least)):
        own = int(index.gallery.products[row])
        for other, (there, cosine) in _other_products(index, near, own):
            if cosine < least.between(kinds.get(own, anything), kinds.get(other, anything)):
                continue
            one, two = (row, there) if own < other else (there, row)
            photos = (index.photo(one), index.photo(two))
            _merge(pairs, {(min(own, other), max(own, other)): Near(cosine, photos)})
    return pairs


def _merge(pairs: Pairs, more: Pairs) -> None:
    """Add further pairs; of the same pair the nearer photos win, or those found first."""
    for pair, near in more.items():
        if pair not in pairs or near.cosine > pairs[pair].cosine:
            pairs[pair] = near


def _neighbours(
    index: GalleryIndex, rows: Rows, least: float
) -> Iterable[tuple[int, list[tuple[int, float]]]]:
    """Yield each row with the (row, cosine) of every near photo, nearest first.

    Of more than `MAX_NEAR` products only the nearest are certain to be there.
    """
    k, products = NEIGHBOURS, index.gallery.products
    while len(rows):
        k, unfinished = min(k, len(index)), []
        at_once = max(1, min(BLOCK_ROWS, MAX_CELLS // k))
        for first in range(0, len(rows), at_once):
            block = rows[first : first + at_once]
            found, photos = index.search(index.gallery.vectors[block], k)
            cosines = index.standard(found)
            for row, near, there in zip(block.tolist(), cosines, photos, strict=True):
                n_near = int((near >= least).sum())
                if n_near == k < len(index) and len(np.unique(products[there])) <= MAX_NEAR:
                    unfinished.append(row)
                else:
                    yield (
                        row,
                        list(zip(there[:n_near].tolist(), near[:n_near].tolist(), strict=True)),
                    )
        rows = np.array(unfinished, np.int64)
        k *= 2


def _other_products(
    index: GalleryIndex, near: Iterable[tuple[int, float]], own: int
) -> list[tuple[int, tuple[int, float]]]:
    """Return the nearest other products, each with its nearest photo; ties by id."""
    best: dict[int, tuple[int, float]] = {}
    for row, cosine in near:
        product = int(index.gallery.products[row])
        if product != own:
            best.setdefault(product, (row, cosine))
    return sorted(best.items(), key=lambda one: (-one[1][1], one[0]))[:MAX_NEAR]
