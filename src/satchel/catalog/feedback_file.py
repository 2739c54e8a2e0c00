"""Feedback as JSON Lines, to keep or to calibrate another workspace with."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from satchel.catalog.feedback import Feedback, FeedbackCandidate, FeedbackPhoto
from satchel.errors import UsageError
from satchel.records import Box, Problem, Verdict
from satchel.validation import StrictModel, reason

MAX_LINE_BYTES: Final = 4_000_000
"""Longest line: eight photos with a thousand local features each are shorter."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Base64 = Annotated[str, Field(max_length=500_000)]
Code = Annotated[str, Field(max_length=200)]


class Candidate(StrictModel):
    """One candidate that was shown."""

    code: Code
    score: float
    confidence: float


class Photo(StrictModel):
    """One photo of the item, without the photo; vectors in Base64."""

    sha256: Sha256
    box: tuple[float, float, float, float]
    by_hand: bool
    vector: Base64
    colours: Base64
    patches: Base64 | None


class Line(StrictModel):
    """One line: what a person said of one answer."""

    answer: Annotated[str, Field(max_length=64)]
    at: datetime
    code: Code | None = Field(description="the right product's; null for none of these")
    verdict: Verdict
    in_catalogue: float
    where: dict[str, list[str]]
    candidates: list[Candidate]
    encoder: Sha256
    photos: Annotated[list[Photo], Field(min_length=1)]


def to_line(feedback: Feedback) -> str:
    """One JSON object, without a line break."""
    return Line(
        answer=feedback.answer,
        at=feedback.at,
        code=feedback.code,
        verdict=feedback.verdict,
        in_catalogue=feedback.in_catalogue,
        where={name: list(values) for name, values in feedback.where.items()},
        candidates=[
            Candidate(code=one.code, score=one.score, confidence=one.confidence)
            for one in feedback.candidates
        ],
        encoder=feedback.encoder,
        photos=[
            Photo(
                sha256=photo.sha256,
                box=photo.box.xyxy,
                by_hand=photo.by_hand,
                vector=_encoded(photo.vector),
                colours=_encoded(photo.colours),
                patches=None if photo.patches is None else _encoded(photo.patches),
            )
            for photo in feedback.photos
        ],
    ).model_dump_json()


def from_line(text: bytes) -> Feedback:
    """Read one line.

    Raises:
        ValueError: it is malformed.
    """
    line = Line.model_validate_json(text)
    return Feedback(
        line.answer,
        line.code,
        line.encoder,
        line.verdict,
        line.in_catalogue,
        tuple(FeedbackCandidate(one.code, one.score, one.confidence) for one in line.candidates),
        tuple(
            FeedbackPhoto(
                photo.sha256,
                Box(*photo.box),
                photo.by_hand,
                _decoded(photo.vector),
                _decoded(photo.colours),
                None if photo.patches is None else _decoded(photo.patches),
            )
            for photo in line.photos
        ),
        line.where,
        line.at,
    )


def read_lines(path: Path) -> Iterator[Feedback | Problem]:
    """Read a file line by line; one that is malformed is a problem and costs no other.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if text.strip():
                    yield _checked(f"{path.name}, line {number}", text)
                if len(text) > MAX_LINE_BYTES:
                    return  # the rest of it is no line
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read {path}: {why}; check the path") from None


def _checked(name: str, text: bytes) -> Feedback | Problem:
    if len(text) > MAX_LINE_BYTES:
        return Problem(name, f"expected at most {MAX_LINE_BYTES:,} bytes in a line, got more")
    try:
        return from_line(text)
    except ValidationError as error:
        return Problem(name, f"is no feedback: {reason(error)}")
    except ValueError as error:
        return Problem(name, f"is no feedback: {error}")


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
