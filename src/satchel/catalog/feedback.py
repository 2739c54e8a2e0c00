"""Feedback in the database: what people said of answers.

With each answer that a person confirmed or rejected, the embeddings of its photos are kept, so that
confidence can be calibrated on them later, in the catalogue of that day and without the photos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Engine, delete, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import FeedbackPhotoRow, FeedbackRow, now
from satchel.records import Box, PhotoEmbedding, Verdict


@dataclass(frozen=True, slots=True)
class FeedbackCandidate:
    """One candidate of the answer that was shown."""

    code: str
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class FeedbackPhoto:
    """One photo of the item.

    Attributes:
        sha256: of the file that was sent; the photo itself is not kept.
        by_hand: whether a person gave the box.
        vector, colours, patches: as `PhotoEmbedding` has them, rounded to float16 and int8.
    """

    sha256: str
    box: Box
    by_hand: bool
    vector: bytes
    colours: bytes
    patches: bytes | None

    @classmethod
    def of(cls, sha256: str, embedding: PhotoEmbedding, *, by_hand: bool) -> FeedbackPhoto:
        """Pack an embedded photo."""
        patches = embedding.patches
        return cls(
            sha256,
            embedding.box,
            by_hand,
            embedding.vector.astype("<f2").tobytes(),
            embedding.colours.astype("<f2").tobytes(),
            None if patches is None else patches.tobytes(),
        )

    def embedding(self, patch_dimension: int | None) -> PhotoEmbedding:
        """The embedding, as that of a query.

        Args:
            patch_dimension: length of a local feature; None where the encoder has none.

        Raises:
            ValueError: the patches are of another length.
        """
        vector = np.frombuffer(self.vector, "<f2").astype(np.float32)
        colours = np.frombuffer(self.colours, "<f2").astype(np.float32)
        patches = None
        if self.patches and patch_dimension:
            patches = np.frombuffer(self.patches, np.int8).reshape(-1, patch_dimension)
        return PhotoEmbedding(self.box, vector, vector, colours, patches)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of one answer.

    Attributes:
        answer: token of the answer; of each, the last feedback counts.
        code: the right product's; None for "none of these".
        encoder: SHA-256 of what the embeddings belong to; see `satchel.encode.embedder`.
        candidates: as they were shown, likeliest first.
        where: filter of the answer.
        at: UTC, without a time zone.
    """

    answer: str
    code: str | None
    encoder: str
    verdict: Verdict
    in_catalogue: float
    candidates: tuple[FeedbackCandidate, ...]
    photos: tuple[FeedbackPhoto, ...]
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at: datetime = field(default_factory=now)


class FeedbackStore:
    """Reads and writes feedback."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, feedback: Feedback, *, awaited: bool = False) -> int:
        """Store feedback in place of earlier one on the same answer; return its number.

        Args:
            awaited: an expert was asked: it counts once `settle` says which product it is.
        """
        row = insert(FeedbackRow).values(
            answer=feedback.answer,
            code=feedback.code,
            encoder=feedback.encoder,
            verdict=feedback.verdict.value,
            in_catalogue=feedback.in_catalogue,
            candidates=[[one.code, one.score, one.confidence] for one in feedback.candidates],
            filter={name: list(values) for name, values in feedback.where.items()},
            given_at=feedback.at,
            awaited=awaited,
        )
        with writing(self._engine) as connection:
            connection.execute(delete(FeedbackRow).where(FeedbackRow.answer == feedback.answer))
            number = inserted_id(connection, row)
            connection.execute(
                insert(FeedbackPhotoRow),
                [_columns(number, at, photo) for at, photo in enumerate(feedback.photos)],
            )
            connection.commit()
        return number

    def settle(self, answer: str, code: str | None) -> None:
        """Say of an answer that there is feedback on which product is right, None for none."""
        values = {"code": code, "awaited": False, "given_at": now()}
        with writing(self._engine) as connection:
            connection.execute(
                update(FeedbackRow).where(FeedbackRow.answer == answer).values(values)
            )
            connection.commit()

    def remove(self, answer: str) -> None:
        """Delete the feedback on an answer, if there is some."""
        with writing(self._engine) as connection:
            connection.execute(delete(FeedbackRow).where(FeedbackRow.answer == answer))
            connection.commit()

    def count(self) -> int:
        """Count the answers that people have said something of."""
        chosen = select(func.count()).select_from(FeedbackRow).where(~FeedbackRow.awaited)
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def all(self) -> Iterator[Feedback]:
        """Yield all feedback, the first one first; one is in memory at a time."""
        chosen = (
            select(FeedbackRow.__table__, FeedbackPhotoRow.__table__)
            .join(FeedbackPhotoRow, FeedbackPhotoRow.feedback_id == FeedbackRow.id)
            .where(~FeedbackRow.awaited)
            .order_by(FeedbackRow.id, FeedbackPhotoRow.position)
        )
        with self._engine.connect() as connection:
            rows = connection.execution_options(yield_per=100).execute(chosen)
            for _, of_one in groupby(rows, key=lambda row: row.id):
                yield _feedback(list(of_one))


def _columns(number: int, position: int, photo: FeedbackPhoto) -> dict[str, Any]:
    return {
        "feedback_id": number,
        "position": position,
        "sha256": photo.sha256,
        **dict(zip(("x0", "y0", "x1", "y1"), photo.box.xyxy, strict=True)),
        "by_hand": photo.by_hand,
        "vector": photo.vector,
        "colours": photo.colours,
        "patches": photo.patches,
    }


def _feedback(rows: Sequence[Any]) -> Feedback:
    first = rows[0]
    return Feedback(
        first.answer,
        first.code,
        first.encoder,
        Verdict(first.verdict),
        first.in_catalogue,
        tuple(FeedbackCandidate(*one) for one in first.candidates),
        tuple(
            FeedbackPhoto(
                row.sha256,
                Box(row.x0, row.y0, row.x1, row.y1),
                row.by_hand,
                row.vector,
                row.colours,
                row.patches,
            )
            for row in rows
        ),
        first.filter,
        first.given_at,
    )
