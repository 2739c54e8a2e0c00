"""Summary of a curation run: counts by state, by reason, and stage by stage.

The stages are those of the seed's table (crawled, unrelated photos removed, partial views and
noise removed, the best few kept), so that a catalogue can be compared with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from satchel.catalog.curation import GalleryPhotos, PhotoCounts
from satchel.catalog.review import DECIDED
from satchel.curate.content import Shown
from satchel.curate.decide import BEYOND_BEST, CONFLICT, COPY, SEARCHED, PhotoState
from satchel.curate.garbage import Reason, State
from satchel.curate.integrity import Fault
from satchel.curate.rules import CurationRules

EXAMPLES: Final = 5


class Unfindable(StrEnum):
    """Why a product cannot be found."""

    NO_PHOTO = "no_photo"
    BY_PEOPLE = "dropped_by_people"
    UNREADABLE = "unreadable"


STAGES: Final[dict[str, frozenset[str]]] = {
    "all photos, as imported": frozenset(),
    "readable, without duplicates": frozenset(
        (Fault.TOO_SMALL, Fault.WRONG_ASPECT, Fault.BLANK, COPY, CONFLICT)
    ),
    "first pass: nothing unrelated": frozenset(
        (
            Fault.TEXT_SCREENSHOT,
            Reason.FAR_FROM_PRODUCT,
            Reason.ISOLATED,
            Reason.OTHER_PRODUCT,
            Reason.OTHER_COLOURS,
            Reason.FEW_PHOTOS,
            DECIDED,
        )
    ),
    "second pass: no partial views, no noise": frozenset((*Fault, Reason.PARTIAL_VIEW, *Shown)),
    "the best of each product": frozenset((BEYOND_BEST,)),
}
"""Stage → reasons by which a photo leaves the gallery in it."""


@dataclass(frozen=True, slots=True)
class StageCount:
    """Photos left after a stage.

    Attributes:
        products: with at least one photo.
        each: photos of such a product: fewest, median, most.
    """

    stage: str
    products: int
    photos: int
    each: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Example:
    """A photo that has a reason.

    Attributes:
        other: SHA-256 of the photo that it is a copy of, or that conflicts with it.
        codes: of the products that it also belongs to, or is nearer to.
    """

    code: str
    sha256: str
    other: str | None = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CurationSummary:
    """Decisions of a run.

    Attributes:
        photos: counts by state.
        reasons: how many photos have each reason.
        examples: up to `EXAMPLES` photos for each reason.
        stages: photos left after each stage, the first being all photos.
        short: products with fewer kept photos than wanted, with how many they have.
        changed: photos whose state or reasons changed.
        unfindable: products without a photo that is searched, with the reason why.
    """

    photos: dict[str, int]
    reasons: dict[str, int]
    examples: dict[str, list[Example]]
    stages: list[StageCount]
    short: dict[str, int]
    changed: int
    unfindable: dict[str, Unfindable] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        return asdict(self)


def summarise(
    photos: GalleryPhotos,
    states: Sequence[PhotoState],
    rules: CurationRules,
    changed: int,
    counts: Mapping[str, PhotoCounts],
) -> CurationSummary:
    """Count states and reasons, pick examples, and find the products short of photos.

    Args:
        counts: of every product of the catalogue, by code.
    """
    examples: dict[str, list[Example]] = defaultdict(list)
    kept = Counter(dict.fromkeys(photos.codes, 0))
    for code, name, state in zip(photos.codes, photos.sha256, states, strict=True):
        for kind, reason in {str(reason["kind"]): reason for reason in state.reasons}.items():
            examples[kind].append(_example(code, name, reason))
        kept[code] += state.state is State.KEPT
    reasons = Counter({kind: len(found) for kind, found in examples.items()})
    return CurationSummary(
        photos={state.value: sum(s.state is state for s in states) for state in State},
        reasons=dict(reasons.most_common()),
        examples=_varied(examples),
        stages=count_stages(photos.codes, states),
        short={code: count for code, count in sorted(kept.items()) if count < rules.best},
        changed=changed,
        unfindable=unfindable(photos.codes, states, counts),
    )


def unfindable(
    codes: Sequence[str], states: Sequence[PhotoState], counts: Mapping[str, PhotoCounts]
) -> dict[str, Unfindable]:
    """Find the products without a photo that is searched, and why, by code.

    A product that is neither searched nor dropped by people has no readable file: `decide` drops
    no product's last photo.
    """
    searched = {code for code, state in zip(codes, states, strict=True) if state.state in SEARCHED}

    def why(count: PhotoCounts) -> Unfindable:
        if not count.photos:
            return Unfindable.NO_PHOTO
        by_people = count.dropped_by_people == count.photos
        return Unfindable.BY_PEOPLE if by_people else Unfindable.UNREADABLE

    return {code: why(count) for code, count in sorted(counts.items()) if code not in searched}


def _example(code: str, sha256: str, reason: Mapping[str, Any]) -> Example:
    conflicting = reason.get("photos", [None])[0]
    return Example(code, sha256, reason.get("of", conflicting), tuple(reason.get("codes", ())))


def _varied(examples: Mapping[str, Sequence[Example]]) -> dict[str, list[Example]]:
    """Choose a few examples of each reason, the commonest reason first.

    Of different products, and not the same photo for every reason; the rarest reasons choose
    first. The choice depends on the photos alone.
    """
    shown: Counter[str] = Counter()
    chosen: dict[str, list[Example]] = {}
    for kind in sorted(examples, key=lambda kind: len(examples[kind])):
        turns: Counter[str] = Counter()
        in_turn = []
        for example in sorted(examples[kind], key=lambda one: (shown[one.sha256], one.sha256)):
            in_turn.append((turns[example.code], example))
            turns[example.code] += 1
        in_turn.sort(key=lambda one: one[0])
        chosen[kind] = [example for _, example in in_turn[:EXAMPLES]]
        shown.update(example.sha256 for example in chosen[kind])
    return dict(reversed(chosen.items()))


def count_stages(codes: Sequence[str], states: Sequence[PhotoState]) -> list[StageCount]:
    """Count the photos left after each stage; a photo leaves in the first that has its reason."""
    leaves = [_leaves_in(state) for state in states]
    counts = []
    for place, stage in enumerate(STAGES):
        left = Counter(code for code, out in zip(codes, leaves, strict=True) if out > place)
        each = sorted(left.values()) or [0]
        counts.append(
            StageCount(stage, len(left), left.total(), (each[0], each[len(each) // 2], each[-1]))
        )
    return counts


def _leaves_in(state: PhotoState) -> int:
    """Return the stage in which a photo leaves; beyond the last where it is kept."""
    if state.state is State.KEPT:
        return len(STAGES)
    kinds = {str(reason["kind"]) for reason in state.reasons}
    for place, reasons in enumerate(STAGES.values()):
        if kinds & reasons:
            return place
    return len(STAGES) - 1
