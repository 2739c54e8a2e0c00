"""Look-alikes: near-duplicate products clustered into groups, and groups folded into candidates.

Any two products of a group are near-duplicates (`satchel.lookalikes.near_pairs`): complete linkage,
so that chains do not form a group. People confirm or reject the proposals. Measured in
docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from itertools import product as crossed
from pathlib import Path
from typing import Final

from satchel.catalog.lookalike_groups import Decided, Proposal
from satchel.catalog.store import Catalogue
from satchel.encode.card import Confidence
from satchel.lookalikes.near_pairs import Journal, LeastCosine, Pairs, near_pairs
from satchel.progress import SILENT, Progress
from satchel.search.index import GalleryIndex
from satchel.search.rules import LookAlikeRules

MAX_MEMBERS: Final = 12
"""Most products of a group: larger ones could not be reviewed."""


def cluster(
    pairs: Pairs, decided: Decided, *, max_members: int = MAX_MEMBERS
) -> list[tuple[int, ...]]:
    """Cluster near-duplicate products by complete linkage, nearest pairs first.

    Of equally near pairs the one with the smaller ids comes first, so that the same pairs give the
    same groups. Source: D. Defays, "An efficient algorithm for a complete link method", The
    Computer Journal 20(4), 1977; here pairs are few and merged one by one.

    Args:
        decided: confirmed groups stay together whatever the pairs are, and pairs that were decided
            to be different never come into one group.
        max_members: of a group.

    Returns:
        ids, ascending, of each group that nobody has confirmed unchanged.
    """
    members = {product: group for group in decided.same for product in group}
    for group in decided.same:
        members |= dict.fromkeys(group, group)
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair].cosine, pair)):
        one, other = (members.get(product, (product,)) for product in pair)
        across = [(min(a, b), max(a, b)) for a, b in crossed(one, other)]
        if (
            one != other
            and len(one) + len(other) <= max_members
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
    progress: Progress = SILENT,
) -> None:
    """Find look-alikes in the gallery and replace the proposals by them; decisions are kept.

    Args:
        confidence: the model that answers are given with.
        journal: file of the results so far, from which a killed run resumes; removed at the end.
    """
    least, kinds = LeastCosine.of(confidence, rules), catalogue.product_kinds()
    kept = Journal.of(journal, index, least, kinds)
    pairs = near_pairs(index, least, kinds, journal=kept, progress=progress)
    store = catalogue.look_alikes
    store.propose(
        Proposal(group, *_shown(group, pairs)) for group in cluster(pairs, store.decided())
    )
    kept.remove()


def fold(
    products: Sequence[int], confidences: Sequence[float], groups: Iterable[Sequence[int]]
) -> list[tuple[int, ...]]:
    """Fold look-alikes among ranked products into one candidate each, confidences summed.

    Args:
        products: database ids, best first.
        confidences: of each, descending.
        groups: of ids; no two share one. Members that were not ranked do not matter.

    Returns:
        places in `products`, ascending, of each candidate's members; by confidence, descending,
        and of equals the one with the best product first.
    """
    home = {product: at for at, group in enumerate(groups) for product in group}
    folded: dict[object, list[int]] = {}
    for place, product in enumerate(products):
        key = ("group", home[product]) if product in home else ("product", product)
        folded.setdefault(key, []).append(place)
    sums = {key: sum(confidences[place] for place in places) for key, places in folded.items()}
    return [tuple(folded[key]) for key in sorted(folded, key=lambda key: (-sums[key], folded[key]))]


# -- helpers ------------------------------------------------------------------------------------


def _shown(group: Sequence[int], pairs: Pairs) -> tuple[float, tuple[str | None, ...]]:
    """Return the least cosine of two members, and of each the photo nearest to another's."""
    known = [(pair, pairs[pair]) for pair in combinations(group, 2) if pair in pairs]
    photos: dict[int, str] = {}
    for pair, near in sorted(known, key=lambda one: -one[1].cosine):
        for product, photo in zip(pair, near.photos, strict=True):
            photos.setdefault(product, photo)
    least = min((near.cosine for _, near in known), default=1.0)
    return least, tuple(photos.get(product) for product in group)
