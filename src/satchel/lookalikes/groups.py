"""Look-alikes: near products put into groups, and groups counted as one candidate.

Groups are of products that are all near each other (`satchel.lookalikes.near_pairs`); chains do
not make one. What is proposed here a person confirms or rejects. Measured in
docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from itertools import product as crossed
from pathlib import Path
from typing import Final

from satchel.catalog.lookalike_groups import Decided, Proposal
from satchel.catalog.store import Catalogue
from satchel.encode.card import Confidence
from satchel.lookalikes.near_pairs import Journal, Least, Pairs, near_pairs
from satchel.search.index import GalleryIndex
from satchel.search.rules import LookAlikeRules

MOST_MEMBERS: Final = 12
"""Products of a group: more are not looked through by anybody."""


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
    journal: Path,
    *,
    on_progress: Callable[[int], None],
) -> None:
    """Find look-alikes in the gallery and let them be what is proposed; decisions are kept.

    Killed at any moment, the next call goes on from there.

    Args:
        confidence: by which answers are given.
        journal: file that holds what is found so far; gone afterwards.
        on_progress: called with the number of pictures done since the last call.
    """
    least, kinds = Least.of(confidence, rules), catalogue.product_kinds()
    kept = Journal.of(journal, index, least, kinds)
    pairs = near_pairs(index, least, kinds, on_progress=on_progress, journal=kept)
    store = catalogue.look_alikes
    store.propose(
        Proposal(group, *_shown(group, pairs)) for group in grouped(pairs, store.decided())
    )
    kept.forget()


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


def _shown(group: Sequence[int], pairs: Pairs) -> tuple[float, tuple[str | None, ...]]:
    """The least cosine of two members, and of each the picture that is nearest to another's."""
    known = [(pair, pairs[pair]) for pair in combinations(group, 2) if pair in pairs]
    photos: dict[int, str] = {}
    for pair, near in sorted(known, key=lambda one: -one[1].cosine):
        for product, photo in zip(pair, near.photos, strict=True):
            photos.setdefault(product, photo)
    least = min((near.cosine for _, near in known), default=1.0)
    return least, tuple(photos.get(product) for product in group)
