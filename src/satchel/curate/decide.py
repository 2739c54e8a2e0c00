"""Decisions of curation: state and reasons of each photo, by faults, copies, outliers and quality.

Pure: measurements, vectors and confirmed copies in, states and reasons out. Nothing is deleted; a
dropped photo is left out of the gallery until another run, with other rules, keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from satchel.arrays import Ints
from satchel.catalog.curation import GalleryPhotos
from satchel.catalog.review import DECIDED
from satchel.curate.best_copy import CopyChoice
from satchel.curate.content import shown
from satchel.curate.garbage import REASONS, Classification, Reason, State, classify
from satchel.curate.integrity import Fault, PhotoFigures, faults
from satchel.curate.orientation import Copies
from satchel.curate.rules import CurationRules
from satchel.curate.selection import best_n

Reasons = list[dict[str, Any]]

COPY: Final = "copy"
CONFLICT: Final = "two_codes"
BEYOND_BEST: Final = "beyond_best"
LAST_PHOTO: Final = "last_photo"
"""Kind of the reason of a photo that stays because its product would have none without it."""

DROPPING: Final = frozenset({Fault.TOO_SMALL, Fault.BLANK, Fault.TEXT_SCREENSHOT})
"""Faults that leave nothing to recognise. The others a person has to check."""

SEARCHED: Final = frozenset((State.KEPT, State.DOUBTFUL))
"""States in which a photo is searched; doubtful ones where their product has no kept one."""

SEVERITY: Final = (State.KEPT, State.DOUBTFUL, State.DROPPED)

COPY_ROUNDS: Final = 4
"""Repetitions, at most, of the choice among copies, where the chosen one turned out not to show its
product: a crop enlarged beyond its original."""

FAIR_SIDE_PX: Final = 400
FAIR_SHARPNESS: Final = 100.0


@dataclass(slots=True)
class PhotoState:
    """State of one photo of one product; each reason a JSON object with a `kind`.

    Attributes:
        decided: a person set this state, and no reason changes it.
    """

    state: State
    reasons: Reasons
    decided: bool = False

    def downgrade(self, state: State, reason: dict[str, Any]) -> None:
        """Add a reason, unless a person decided; the state never improves."""
        if self.decided:
            return
        self.state = max(self.state, state, key=SEVERITY.index)
        self.reasons.append(reason)

    def stay(self) -> None:
        """Keep it in the gallery, whatever its reasons, until a person reviews it."""
        self.state = State.DOUBTFUL
        self.reasons.append({"kind": LAST_PHOTO})


def decide(
    photos: GalleryPhotos, copies: Copies, rules: CurationRules, *, scale: float = 1.0
) -> list[PhotoState]:
    """Decide on every photo.

    In this order: decisions of people, which nothing below changes; faults of a photo by itself;
    copies, of which a product keeps the best that shows it, and which are doubtful where they
    have two codes; photos that do not show their product; and of the rest, the best few of each
    product. A product that would have no photo left keeps the one with the least severe reasons,
    as doubtful: doubtful photos are searched where there is no kept one. Only people remove a
    product's last photo.

    Args:
        photos: the gallery, dropped ones included.
        copies: rows of `photos` that are confirmed to be one picture.
        scale: how many times the built-in encoder's distances those of the vectors are.

    Returns:
        a state for each photo, in their order.
    """
    figures = [PhotoFigures(**measured) for measured in photos.figures]
    choice = CopyChoice.of(photos, figures, copies)
    worse: dict[int, int] = {}
    for _ in range(COPY_ROUNDS):
        states = [_start(decided) for decided in photos.decided]
        _by_themselves(states, figures, rules)
        _by_content(states, photos, rules)
        chosen = _as_copies(states, photos, choice, worse)
        _among_others(states, photos, rules, scale)
        # A copy that does not show the product must not have displaced one that does.
        wrong = {row: _severity(states[row]) for row in chosen if _unlike_the_product(states[row])}
        if wrong.items() <= worse.items():
            break
        worse |= wrong
    _best_of_each(states, photos, figures, rules)
    _keep_findable(states, photos, figures)
    return states


def _unlike_the_product(state: PhotoState) -> bool:
    return any(reason["kind"] in REASONS for reason in state.reasons)


def _start(decided: str | None) -> PhotoState:
    if decided is None:
        return PhotoState(State.KEPT, [])
    return PhotoState(State(decided), [{"kind": DECIDED}], decided=True)


def _by_themselves(
    states: Sequence[PhotoState], figures: Sequence[PhotoFigures], rules: CurationRules
) -> None:
    for state, measured in zip(states, figures, strict=True):
        for fault in faults(measured, rules.integrity):
            state.downgrade(
                State.DROPPED if fault.kind in DROPPING else State.DOUBTFUL,
                {"kind": fault.kind, "figure": fault.figure, "threshold": fault.threshold},
            )


def _by_content(states: Sequence[PhotoState], photos: GalleryPhotos, rules: CurationRules) -> None:
    for state, content in zip(states, photos.contents, strict=True):
        if state.state is State.DROPPED:  # the contents of a page of text do not matter
            continue
        for kind, figure, limit in shown(content, rules.content):
            reason = {"kind": kind, "figure": round(figure, 3), "threshold": limit}
            state.downgrade(State.DOUBTFUL, reason)


def _as_copies(
    states: Sequence[PhotoState],
    photos: GalleryPhotos,
    choice: CopyChoice,
    worse: Mapping[int, int],
) -> list[int]:
    """Drop all but one of each product's copies; return the rows that were chosen over others.

    Args:
        worse: rows that were found not to show their product, and how severely: chosen only where
            there is no better one.
    """
    preferred = []
    for group in choice.groups:
        # What a person dropped is no candidate; what a person kept is kept with the best.
        rows = [int(row) for row in group if not _dropped_by_hand(states[row])]
        kept = []
        for product in sorted({int(photos.products[row]) for row in rows}):
            own = [row for row in rows if photos.products[row] == product]
            chosen = [row for row in own if states[row].decided] or [
                choice.best(_least_severe(own, states, worse))
            ]
            kept += chosen
            if len(own) > len(chosen):
                preferred += chosen
            for row in own:
                if row not in chosen:
                    states[row].downgrade(
                        State.DROPPED, {"kind": COPY, "of": photos.sha256[chosen[0]]}
                    )
        for row in kept:
            others = [other for other in kept if photos.products[other] != photos.products[row]]
            if others:
                states[row].downgrade(State.DOUBTFUL, _conflict(photos, others))
    return preferred


def _least_severe(
    rows: Sequence[int], states: Sequence[PhotoState], worse: Mapping[int, int]
) -> list[int]:
    """Return those of some copies with the least severe reasons.

    A collage and a page with the photo in it are copies, too, often with the most pixels.
    """
    own = {row: _severity(states[row]) for row in rows}
    against = {row: (max(own[row], worse.get(row, 0)), own[row]) for row in rows}
    least = min(against.values())
    return [row for row in rows if against[row] == least]


def _severity(state: PhotoState) -> int:
    return SEVERITY.index(state.state)


def _dropped_by_hand(state: PhotoState) -> bool:
    return state.decided and state.state is State.DROPPED


def _conflict(photos: GalleryPhotos, others: Sequence[int]) -> dict[str, Any]:
    return {
        "kind": CONFLICT,
        "codes": [photos.codes[row] for row in others],
        "photos": [photos.sha256[row] for row in others],
    }


def _among_others(
    states: Sequence[PhotoState], photos: GalleryPhotos, rules: CurationRules, scale: float
) -> None:
    rows = _in_question(states)
    if not len(rows):
        return
    code_of = dict(zip(photos.products.tolist(), photos.codes, strict=True))
    classified = classify(
        photos.vectors[rows],
        photos.products[rows],
        whole=photos.whole[rows],
        colours=photos.colours[rows],
        rules=rules.garbage,
        scale=scale,
    )
    for place, row in enumerate(rows):
        for kind in classified.reasons_of(place):
            reason = {"kind": kind, **_figures_of(classified, place)}
            if kind is Reason.OTHER_PRODUCT and classified.other_product[place] >= 0:
                reason["codes"] = [code_of[int(classified.other_product[place])]]
            states[row].downgrade(classified.state(place), reason)


def _figures_of(classified: Classification, row: int) -> dict[str, Any]:
    score = float(classified.score[row])
    return {
        "score": round(score, 3) if np.isfinite(score) else 0.0,
        "cosine_to_product": round(float(classified.centre[row]), 3),
        "cosine_to_other": round(float(classified.other[row]), 3),
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
        by_hand = np.flatnonzero([states[row].decided for row in rows])
        chosen = set(
            rows[best_n(photos.vectors[rows], quality, rules.best, chosen=by_hand)].tolist()
        )
        for row in rows:
            if int(row) not in chosen:
                states[row].downgrade(State.DROPPED, {"kind": BEYOND_BEST, "best": rules.best})


def _keep_findable(
    states: Sequence[PhotoState], photos: GalleryPhotos, figures: Sequence[PhotoFigures]
) -> None:
    """Keep the best photo of every product that has only dropped ones left."""

    def against(row: int) -> tuple[int, bool, float]:
        kinds = {reason["kind"] for reason in states[row].reasons}
        return len(kinds & DROPPING), COPY in kinds, -_quality(figures[row])

    left = {int(p) for p, s in zip(photos.products, states, strict=True) if s.state in SEARCHED}
    dropped: dict[int, list[int]] = {}
    for row, product in enumerate(photos.products.tolist()):
        if product not in left and not states[row].decided:
            dropped.setdefault(product, []).append(row)
    for rows in dropped.values():
        states[min(rows, key=against)].stay()


def _quality(figures: PhotoFigures) -> float:
    """Return a quality in (0, 1]: pixels and sharpness count the same, each up to a limit."""
    size = min(1.0, figures.shorter_side / FAIR_SIDE_PX)
    sharpness = min(1.0, figures.sharpness / FAIR_SHARPNESS)
    return max(0.01, (size + sharpness) / 2)


def _in_question(states: Sequence[PhotoState]) -> Ints:
    return np.array([row for row, s in enumerate(states) if s.state is not State.DROPPED], np.int64)
