"""Look-alikes: products whose gallery pictures the ranking cannot tell apart, counted as one.

Two products are near where, asked with the very picture of one, the ranking leaves the other more
than a given chance between the two: by the same vectors, colours and fitted weights that answer.
Where the catalogue gives them different colours, which a photo shows, it takes more. Groups are of
products that are all near each other; chains do not make one. What is proposed here a person
confirms or rejects. Measured in docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from itertools import product as crossed
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from satchel.catalog.lookalikes import Decided, Proposal
from satchel.catalog.store import Catalogue, ProductKind
from satchel.encode.card import Confidence
from satchel.search.confidence import Rankings, shares
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

MOST_MEMBERS: Final = 12
"""Products of a group: more are not looked through by anybody."""


def least_cosine(confidence: Confidence, chance: float) -> float:
    """Return the cosine of two pictures from which on they are near.

    Asked with one picture, its own product scores 1 and the other's the cosine of the two. Between
    the two, the other one's chance falls with the gap; see `satchel.search.confidence`.

    Args:
        chance: that the other one is left with at least, in (0, 0.5].
    """
    gaps = np.linspace(0, 1, 4001)
    two = Rankings(np.stack([np.ones_like(gaps), 1 - gaps], axis=1), np.ones(len(gaps), np.int64))
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


def near_pairs(
    index: GalleryIndex,
    least: Least,
    kinds: Mapping[int, ProductKind],
    *,
    on_progress: Callable[[int], None],
) -> Pairs:
    """Find the products that have pictures at least so near, of one brand and category.

    Exact, block by block: memory grows with what is found, not with the square of the gallery.

    Args:
        kinds: of each product; one that is missing is of any kind.
        on_progress: called with the number of pictures done since the last call.
    """
    anything = ProductKind("", "", frozenset())
    found: Pairs = {}
    for first in range(0, len(index), ROWS):
        rows = np.arange(first, min(first + ROWS, len(index)))
        for row, near in _neighbours(index, rows, min(least)):
            own = int(index.gallery.products[row])
            for other, (there, cosine) in _other_products(index, near, own):
                if cosine < least.between(kinds.get(own, anything), kinds.get(other, anything)):
                    continue
                pair, pictures = (min(own, other), max(own, other)), (row, there)
                if pair not in found or cosine > found[pair].cosine:
                    in_order = pictures if own < other else pictures[::-1]
                    one, two = (index.gallery.photos[at].tobytes().hex() for at in in_order)
                    found[pair] = Near(cosine, (one, two))
        on_progress(len(rows))
    return found


def grouped(pairs: Pairs, decided: Decided, *, most: int = MOST_MEMBERS) -> list[tuple[int, ...]]:
    """Put near products into groups in which any two are near: complete linkage, nearest first.

    Of equally near pairs the one with the smaller ids comes first, so that the same pairs give the
    same groups. D. Defays, "An efficient algorithm for a complete link method", The Computer
    Journal 20(4), 1977, defines the linkage; here pairs are few and merged as they come.

    Args:
        decided: confirmed groups are held together, whatever the pairs say, and pairs that are said
            to be different never come together.
        most: members of a group, at most.

    Returns:
        ids, ascending, of each group that nobody has confirmed as it is.
    """
    members = {product: group for group in decided.same for product in group}
    for group in decided.same:
        members |= dict.fromkeys(group, group)
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair].cosine, pair)):
        one, other = (members.get(product, (product,)) for product in pair)
        across = [(min(a, b), max(a, b)) for a, b in crossed(one, other)]
        if (
            one != other
            and len(one) + len(other) <= most
            and all(pair in pairs and pair not in decided.different for pair in across)
        ):
            both = tuple(sorted(one + other))
            members |= dict.fromkeys(both, both)
    groups = sorted(set(members.values()) - set(decided.same))
    return [group for group in groups if len(group) > 1]


def propose(
    catalogue: Catalogue,
    index: GalleryIndex,
    confidence: Confidence,
    rules: LookAlikeRules,
    *,
    on_progress: Callable[[int], None],
) -> None:
    """Find look-alikes in the gallery and let them be what is proposed; decisions are kept.

    Args:
        confidence: by which answers are given.
        on_progress: called with the number of pictures done since the last call.
    """
    least = Least.of(confidence, rules)
    pairs = near_pairs(index, least, catalogue.product_kinds(), on_progress=on_progress)
    store = catalogue.look_alikes()
    store.propose(
        Proposal(group, *_shown(group, pairs)) for group in grouped(pairs, store.decided())
    )


def fold(
    products: Sequence[int], confidences: Sequence[float], groups: Iterable[Sequence[int]]
) -> list[tuple[int, ...]]:
    """Let look-alikes among ranked products be one candidate each, as sure as all of them together.

    Args:
        products: database ids, best first.
        confidences: of each, descending.
        groups: of ids; no two share one. Members that were not ranked do not matter.

    Returns:
        places in `products`, ascending, that make up each candidate; surest first, and of equally
        sure ones the one with the best product.
    """
    home = {product: at for at, group in enumerate(groups) for product in group}
    folded: dict[object, list[int]] = {}
    for place, product in enumerate(products):
        key = ("group", home[product]) if product in home else ("product", product)
        folded.setdefault(key, []).append(place)
    sums = {key: sum(confidences[place] for place in places) for key, places in folded.items()}
    return [tuple(folded[key]) for key in sorted(folded, key=lambda key: (-sums[key], folded[key]))]


def folded_likely(likely: int | None, folded: Sequence[Sequence[int]]) -> int | None:
    """Return how many of the folded candidates hold all of the first `likely` products.

    So they hold the right one at least as often as was measured for the products.
    """
    if likely is None:
        return None
    inside = [at for at, places in enumerate(folded) if min(places) < likely]
    return inside[-1] + 1 if inside else likely


# -- helpers ------------------------------------------------------------------------------------


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


def _shown(group: Sequence[int], pairs: Pairs) -> tuple[float, tuple[str | None, ...]]:
    """The least cosine of two members, and of each the picture that is nearest to another's."""
    known = [(pair, pairs[pair]) for pair in combinations(group, 2) if pair in pairs]
    photos: dict[int, str] = {}
    for pair, near in sorted(known, key=lambda one: -one[1].cosine):
        for product, photo in zip(pair, near.photos, strict=True):
            photos.setdefault(product, photo)
    least = min((near.cosine for _, near in known), default=1.0)
    return least, tuple(photos.get(product) for product in group)
