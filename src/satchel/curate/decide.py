"""What becomes of each photo, and why: faults, copies, garbage, the best of each product.

Pure: figures, vectors and confirmed copies in, states and reasons out. Nothing is deleted; a photo
that is dropped is left out of the gallery until another run, with other rules, says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.catalog.curation import GalleryPhotos
from satchel.curate.duplicates import Groups, best_of
from satchel.curate.garbage import GarbageRules, Judgements, State, judge
from satchel.curate.geometry import DuplicateThresholds
from satchel.curate.integrity import Fault, IntegrityThresholds, PhotoFigures, faults
from satchel.curate.selection import BEST_N, best_n

Reasons = list[dict[str, Any]]

COPY: Final = "copy"
CONFLICT: Final = "two_codes"
BEYOND_BEST: Final = "beyond_best"
DROPPING: Final = frozenset({Fault.TOO_SMALL, Fault.BLANK, Fault.TEXT_SCREENSHOT})
"""Faults that leave nothing to recognise. The others are a matter for a person's eye."""

FAIR_SIDE_PX: Final = 400
FAIR_SHARPNESS: Final = 100.0


@dataclass(frozen=True, slots=True)
class CurationRules:
    """Everything that curation decides by.

    Attributes:
        best: photos kept of a product, at most.
    """

    best: int = BEST_N
    integrity: IntegrityThresholds = field(default_factory=IntegrityThresholds)
    duplicates: DuplicateThresholds = field(default_factory=DuplicateThresholds)
    garbage: GarbageRules = field(default_factory=GarbageRules)


@dataclass(slots=True)
class PhotoState:
    """State of one photo of one product; each reason a JSON object with a `kind`."""

    state: State
    reasons: Reasons

    def worsen(self, state: State, reason: dict[str, Any]) -> None:
        """Add a reason; the state never gets better by it."""
        order = (State.KEPT, State.DOUBTFUL, State.DROPPED)
        self.state = max(self.state, state, key=order.index)
        self.reasons.append(reason)


def decide(
    photos: GalleryPhotos, copies: npt.NDArray[np.int64], rules: CurationRules
) -> list[PhotoState]:
    """Decide on every photo.

    In this order: what is wrong with a photo by itself; copies, of which a product keeps the best,
    and which are doubtful where they stand under two codes; photos that do not show their product;
    and of what is left, the best few of each product.

    Args:
        photos: the gallery, dropped ones included.
        copies: shape (m, 2), int64: rows of `photos` that are confirmed to be one picture.

    Returns:
        a state for each photo, in their order.
    """
    states = [PhotoState(State.KEPT, []) for _ in range(len(photos))]
    figures = [PhotoFigures(**measured) for measured in photos.figures]
    _by_themselves(states, figures, rules)
    _as_copies(states, photos, figures, copies)
    _among_others(states, photos, rules)
    _best_of_each(states, photos, figures, rules)
    return states


def _by_themselves(
    states: Sequence[PhotoState], figures: Sequence[PhotoFigures], rules: CurationRules
) -> None:
    for state, measured in zip(states, figures, strict=True):
        for found in faults(measured, rules.integrity):
            state.worsen(
                State.DROPPED if found.kind in DROPPING else State.DOUBTFUL,
                {"kind": found.kind, "figure": found.figure, "threshold": found.threshold},
            )


def _as_copies(
    states: Sequence[PhotoState],
    photos: GalleryPhotos,
    figures: Sequence[PhotoFigures],
    copies: npt.NDArray[np.int64],
) -> None:
    for group in Groups.connected(len(photos), copies).members():
        kept = []
        for product in np.unique(photos.products[group]):
            rows = [int(row) for row in group if photos.products[row] == product]
            best = rows[
                best_of(
                    [figures[row].width * figures[row].height for row in rows],
                    [photos.size_bytes[row] for row in rows],
                )
            ]
            kept.append(best)
            for row in rows:
                if row != best:
                    states[row].worsen(State.DROPPED, {"kind": COPY, "of": photos.sha256[best]})
        codes = [photos.codes[row] for row in kept]
        for row in kept if len(kept) > 1 else []:
            others = [code for code in codes if code != photos.codes[row]]
            states[row].worsen(State.DOUBTFUL, {"kind": CONFLICT, "codes": others})


def _among_others(
    states: Sequence[PhotoState], photos: GalleryPhotos, rules: CurationRules
) -> None:
    rows = _in_question(states)
    if not len(rows):
        return
    judged = judge(
        photos.vectors[rows],
        photos.products[rows],
        whole=photos.whole[rows],
        rules=rules.garbage,
    )
    for place, row in enumerate(rows):
        for reason in judged.reasons_of(place):
            states[row].worsen(judged.state(place), {"kind": reason, **_figures_of(judged, place)})


def _figures_of(judged: Judgements, row: int) -> dict[str, float]:
    score = float(judged.score[row])
    return {
        "score": round(score, 3) if np.isfinite(score) else 0.0,
        "cosine_to_product": round(float(judged.centre[row]), 3),
        "cosine_to_other": round(float(judged.other[row]), 3),
    }


def _best_of_each(
    states: Sequence[PhotoState],
    photos: GalleryPhotos,
    figures: Sequence[PhotoFigures],
    rules: CurationRules,
) -> None:
    kept = np.array([row for row, s in enumerate(states) if s.state is State.KEPT], np.int64)
    for product in np.unique(photos.products[kept]):
        rows = kept[photos.products[kept] == product]
        if len(rows) <= rules.best:
            continue
        quality = np.array([_quality(figures[row]) for row in rows])
        chosen = set(rows[best_n(photos.vectors[rows], quality, rules.best)].tolist())
        for row in rows:
            if int(row) not in chosen:
                states[row].worsen(State.DROPPED, {"kind": BEYOND_BEST, "best": rules.best})


def _quality(figures: PhotoFigures) -> float:
    """Quality in (0, 1]: enough pixels and enough sharpness count alike; more adds nothing."""
    size = min(1.0, figures.shorter_side / FAIR_SIDE_PX)
    sharpness = min(1.0, figures.sharpness / FAIR_SHARPNESS)
    return max(0.01, (size + sharpness) / 2)


def _in_question(states: Sequence[PhotoState]) -> npt.NDArray[np.int64]:
    return np.array([row for row, s in enumerate(states) if s.state is not State.DROPPED], np.int64)
