"""Records of collecting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal


class State(StrEnum):
    """What became of a candidate."""

    WAITING = "waiting"
    SPARE = "spare"
    """Not among the most promising; fetched when these do not suffice."""
    FETCHED = "fetched"
    """Received, and not yet stored."""
    STORED = "stored"
    DUPLICATE = "duplicate"
    """Its photo was one of the product's already."""
    REFUSED = "refused"
    """The site does not want it, or it is no photo that can be used."""
    FAILED = "failed"
    """It was not answered, or not found."""
    REJECTED = "rejected"
    """A person does not want it: it is never fetched."""


HAVE_PHOTO: Final = (State.FETCHED, State.STORED, State.DUPLICATE)


class Decision(StrEnum):
    """What a person decided on a candidate that has brought no photo."""

    ACCEPT = "accept"
    """It is fetched before those that nobody chose, and whatever the product has already."""
    REJECT = "reject"


CandidateChoice = Literal["accept", "reject", "move"]
"""What a person decides on candidates, whether they have brought a photo or not."""


@dataclass(frozen=True, slots=True)
class Found:
    """A photo's URL, as a source names it.

    Attributes:
        line: of the list, from 1; 0 where there is none.
        rank: place among the answers to the query, from 1.
        page: that shows the photo.
        title: of the page or the photo.
        thumbnail: URL of a small version.
        product: values of `PRODUCT_FIELDS`, which a new product gets.
    """

    code: str
    url: str
    line: int = 0
    query: str | None = None
    rank: int | None = None
    page: str | None = None
    license: str | None = None
    title: str | None = None
    thumbnail: str | None = None
    product: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the table; see `satchel.collect.tables.CandidateRow`."""

    id: int
    code: str
    url: str
    host: str
    page: str | None
    license: str | None
    attempts: int
    sha256: str | None = None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A candidate's new state; what is None stays as it is."""

    id: int
    state: State
    reason: str | None = None
    attempts: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of candidates.

    Attributes:
        found: all of them.
        fetched: those whose bytes were received and are a usable photo.
        new: those of which the product has a new photo.
    """

    found: int
    waiting: int
    fetched: int
    refused: int
    failed: int
    new: int
    duplicate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCount(Counts):
    """Candidates of one host."""

    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount(Counts):
    """Candidates of one product that one source found."""

    code: str
    source: str


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often candidates ended in a state for a reason, with one of their URLs."""

    state: State
    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Spare:
    """A candidate that is not fetched yet, with what is known of its worth.

    Attributes:
        score: likeness to the product's photos, a cosine; None where it is not known.
    """

    id: int
    code: str
    url: str
    source: str
    query: str | None
    rank: int | None
    thumbnail: str | None
    score: float | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """What curation made of a photo that a candidate brought.

    Attributes:
        state: kept, doubtful or dropped.
        reasons: kinds of the reasons.
    """

    code: str
    source: str
    query: str | None
    rank: int | None
    title: str | None
    round: int
    state: str
    reasons: tuple[str, ...]
