"""Numbers of the scenes: what shows how often, and how large. All in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

Range = tuple[float, float]

SPRITE_SHARES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "emoji goods": 0.12,
        "emoji others": 0.2,
        "street": 0.3,
        "rendered": 0.13,
        "people": 0.12,
        "glasses": 0.13,
    }
)
"""Source of goods → how often one is taken from it, relative to the others."""

BALANCED: Final = frozenset({"emoji goods", "rendered"})
"""Sources from which every other good is drawn by class: most of theirs are of one."""


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How scenes are composed. Shares of scenes are in [0, 1]; sizes are shares of the frame.

    Attributes:
        side_px: longer side of a scene.
        zoomed: share of scenes that are street photos, cut around one good.
        whole: share that are whole street photos.
        studio: share with one good on an even background.
        shelves: share with several goods of one class in rows; the rest are composites of one main
            good and others.
        zoomed_size, main_size, studio_size: area of the main good's box, drawn evenly in its
            logarithm but for `studio_size`.
        large: share of composites whose main good has `large_size` and may be larger than the
            frame.
        cut_off: share of composites whose main good reaches beyond the frame's edge.
        pairs: share of the smaller shoes that are two.
        pair_size: two shoes of a street photo have one box from this share of the scene on, as
            sellers show them; smaller ones have one each.
        cases: share of the glasses that lie on their case.
        crowded, hands, stands: share of composites with other goods behind the main one, with a
            hand that holds it, with a box or cloth under it.
        shadows: share of scenes with shadows.
        degradation: see `satchel.adapt.settings.SynthSettings`.
    """

    side_px: int = 256
    zoomed: float = 0.28
    whole: float = 0.14
    studio: float = 0.13
    shelves: float = 0.06
    zoomed_size: Range = (0.03, 0.95)
    main_size: Range = (0.03, 0.7)
    studio_size: Range = (0.2, 0.9)
    large: float = 0.3
    large_size: Range = (0.5, 1.3)
    cut_off: float = 0.1
    pairs: float = 0.5
    pair_size: float = 0.025
    cases: float = 0.4
    crowded: float = 0.5
    hands: float = 0.22
    stands: float = 0.12
    shadows: float = 0.6
    degradation: float = 0.8
