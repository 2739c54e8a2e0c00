"""Ranked queries with ground truth, on which confidences are fitted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles, Ints
from satchel.confidence.features import Rankings
from satchel.search.ranking import RankedProduct

ABSENT_SHARE: Final = 0.33
"""Default share of items that are not in the catalogue."""

NOT_THERE: Final = -1
"""Product id of an item that is not in the catalogue."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Rankings of n items whose right product is known.

    Attributes:
        ranked: of the items.
        place: shape (n,), int64, of the right product among the ranked, from 0; -1 where it is
            not among them.
        known: shape (n,), whether the right product is in the catalogue.
        group: shape (n,), int64: items of one group (a product) stay together in cross-validation.
        weight: shape (n,), > 0, how often an item counts.
    """

    ranked: Rankings
    place: Ints
    known: Bools
    group: Ints
    weight: Doubles

    def __len__(self) -> int:
        return len(self.place)

    def rows(self, chosen: Ints | Bools) -> Outcomes:
        """Some of the items."""
        return Outcomes(
            self.ranked.rows(chosen),
            self.place[chosen],
            self.known[chosen],
            self.group[chosen],
            self.weight[chosen],
        )


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Concatenate outcomes of several catalogues; groups of different parts stay apart."""
    offsets = np.cumsum([0, *(int(part.group.max(initial=0)) + 1 for part in parts)])
    return Outcomes(
        Rankings.joined([part.ranked for part in parts]),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([p.group + offset for p, offset in zip(parts, offsets, strict=False)]),
        np.concatenate([part.weight for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class RankedPair:
    """A query ranked twice: in the full gallery, and with its product left out.

    Attributes:
        right: id of its product; `NOT_THERE` for an item that is not in the catalogue, whose two
            rankings are the same.
        there, without: at least one product each.
    """

    right: int
    there: Sequence[RankedProduct]
    without: Sequence[RankedProduct]


def places(rankings: Sequence[Sequence[RankedProduct]], right: Sequence[int]) -> Ints:
    """Place of each right product in its ranking, from 0; -1 where it is not among those ranked."""
    places = []
    for ranked, product in zip(rankings, right, strict=True):
        products = [one.product for one in ranked]
        places.append(products.index(product) if product in products else -1)
    return np.array(places, np.int64)


def outcomes_of(pairs: Sequence[RankedPair], *, absent_share: float = ABSENT_SHARE) -> Outcomes:
    """Outcomes of pairs; see `paired_outcomes`."""
    right = [pair.right for pair in pairs]
    there = [pair.there for pair in pairs]
    return paired_outcomes(
        Rankings.of(there),
        places(there, right),
        Rankings.of([pair.without for pair in pairs]),
        np.array(right),
        absent_share=absent_share,
    )


def paired_outcomes(
    there: Rankings,
    place: Ints,
    without: Rankings,
    right: Ints,
    *,
    absent_share: float = ABSENT_SHARE,
) -> Outcomes:
    """Count each query twice: as ranked, and as ranked with its product left out of the gallery.

    So each query gives an item in the catalogue and an item not in it, from the same photo.
    A query without a right product counts as the second kind alone.

    Args:
        there: of n queries.
        place: shape (n,), of the right product in them, from 0; -1 where it is not among them.
        without: of the same queries, the right product being left out.
        right: shape (n,), id of the right product; `NOT_THERE` for an item that is not in the
            catalogue.
        absent_share: share of the weight that the second kind has.

    Raises:
        ValueError: no query, or shapes disagree.
    """
    counts = {len(there.scores), len(place), len(without.scores), len(right)}
    if len(counts) > 1 or not len(right):
        raise ValueError(f"expected two rankings of some queries, got {sorted(counts)} of them")
    known, count = right != NOT_THERE, len(right)
    group = np.where(known, right, right.max() + 1 + np.arange(count))
    parts = [
        Outcomes(there, place, known, group, np.full(count, 1 - absent_share)).rows(known),
        Outcomes(
            without,
            np.full(count, -1),
            np.zeros(count, np.bool_),
            group,
            np.full(count, absent_share),
        ),
    ]
    return replace(joined(parts), group=np.concatenate([part.group for part in parts]))
