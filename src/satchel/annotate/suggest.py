"""Which photos to label: those whose boxes would teach a locator most, spread over the catalogue.

Active learning by uncertainty (B. Settles, "Active Learning Literature Survey", University of
Wisconsin–Madison, 2009): least confidence, and detections that contradict each other. Photos that
are alike teach the same, so a product's and a category's further photos count less.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from satchel.records import Detection

SAME_OBJECT: Final = 0.5
"""Overlap (IoU) from which two boxes are of one object."""


@dataclass(frozen=True, slots=True)
class UnlabelledPhoto:
    """A photo that could be labelled.

    Attributes:
        photo: SHA-256.
        value: what its boxes would teach, in [0, 1]; see `teaching_value`.
        detections: what the locator finds in it, best first.
    """

    photo: str
    code: str
    category: str | None
    value: float = 1.0
    detections: tuple[Detection, ...] = ()


def teaching_value(detections: Sequence[Detection]) -> float:
    """Return how unsure a locator is of a photo, in [0, 1]; 1 where it finds nothing.

    1 − (score of the best detection) × (1 − the strongest contradiction to it).
    """
    if not detections:
        return 1.0
    best = max(detections, key=lambda one: one.score)
    against = (contradiction(best, one) for one in detections if one is not best)
    return 1 - best.score * (1 - max(against, default=0.0))


def contradiction(best: Detection, other: Detection) -> float:
    """Return how much a detection contradicts a better one, in [0, 1].

    Two boxes far from each other are two goods, and no contradiction. Two of one place and another
    class are one, and so are two that overlap by half: where does the good end?
    """
    overlap = best.box.iou(other.box)
    ratio = min(1.0, other.score / best.score) if best.score else 1.0
    if overlap >= SAME_OBJECT and other.category != best.category:
        return ratio
    return ratio * 4 * overlap * (1 - overlap)


def choose(
    photos: Sequence[UnlabelledPhoto], count: int, labelled: Iterable[tuple[str, str | None]] = ()
) -> list[UnlabelledPhoto]:
    """Choose the photos to label next, the most valuable first.

    One after the other, the photo with the largest value / ((1 + p) √(1 + c)) is chosen: p photos
    of its product and c of its category are labelled or chosen already. Of equal ones the first.

    Args:
        labelled: product and category of each photo that is labelled.
    """
    products: Counter[str] = Counter()
    categories: Counter[str | None] = Counter()
    for code, category in labelled:
        products[code] += 1
        categories[category] += 1

    def gain(one: UnlabelledPhoto) -> float:
        return one.value / ((1 + products[one.code]) * sqrt(1 + categories[one.category]))

    # Gains only fall as photos are chosen: the top of the heap, once up to date, is the largest.
    heap = [(-gain(one), at) for at, one in enumerate(photos)]
    heapq.heapify(heap)
    chosen: list[UnlabelledPhoto] = []
    while heap and len(chosen) < count:
        stored, at = heapq.heappop(heap)
        now = -gain(photos[at])
        if now > stored:
            heapq.heappush(heap, (now, at))
            continue
        chosen.append(photos[at])
        products[photos[at].code] += 1
        categories[photos[at].category] += 1
    return chosen
