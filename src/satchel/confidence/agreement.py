"""Whether several photos of one item seem to show different items, by what each says alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeVar

from satchel.confidence.model import PROBABLE

Key = TypeVar("Key", bound=Hashable)

UNLIKELY: Final = 0.05
"""Confidence up to which a photo speaks against the candidate that another one shows."""


def different_items(photos: Sequence[Mapping[Key, float]]) -> tuple[tuple[int, ...], ...]:
    """Group photos that seem to show different items.

    A photo is of a group where its first candidate is probable. Two groups are different only if
    each of their photos gives the other's candidate `UNLIKELY` at most; a photo that is not sure is
    of no group. Measured in docs/research/different-items.md.

    Args:
        photos: for each photo alone, candidate → confidence.

    Returns:
        numbers of the photos of each group, from 1, ascending; empty where there is one item.
    """
    groups: dict[Key, list[int]] = {}
    for at, confidences in enumerate(photos):
        first = max(confidences, key=lambda key: confidences[key], default=None)
        if first is not None and confidences[first] >= PROBABLE:
            groups.setdefault(first, []).append(at)
    apart = all(
        photos[at].get(other, 0.0) <= UNLIKELY
        for key, places in groups.items()
        for at in places
        for other in groups
        if other != key
    )
    if len(groups) < 2 or not apart:
        return ()
    return tuple(tuple(at + 1 for at in places) for places in groups.values())
