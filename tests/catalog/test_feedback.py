"""Feedback in the database and as JSON Lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from satchel.catalog.feedback import Feedback, FeedbackCandidate, FeedbackPhoto
from satchel.catalog.feedback_file import MAX_LINE_BYTES, from_line, read_lines, to_line
from satchel.catalog.store import Catalogue
from satchel.errors import UsageError
from satchel.records import Box, PhotoEmbedding, Problem, Verdict


def embedded(seed: int, *, patches: bool = True) -> PhotoEmbedding:
    rng = np.random.default_rng(seed)
    vector, colours = (rng.normal(size=n).astype(np.float32) for n in (8, 5))
    own = rng.integers(-127, 128, (3, 4), np.int8) if patches else None
    return PhotoEmbedding(Box(0.1, 0.2, 0.5, 0.75), vector, vector, colours, own)


def feedback(seed: int = 0, *, photos: int = 2, code: str | None = "가방/7") -> Feedback:
    return Feedback(
        answer=f"token-{seed}",
        code=code,
        encoder="e" * 64,
        verdict=Verdict.UNCERTAIN,
        in_catalogue=0.75,
        candidates=(FeedbackCandidate("A", 0.5, 0.4), FeedbackCandidate("가방/7", 0.4, 0.1)),
        photos=tuple(
            FeedbackPhoto.of(
                f"{seed + at:064x}", embedded(seed + at, patches=at == 0), by_hand=at == 1
            )
            for at in range(photos)
        ),
        where={"brand": ["Dior", "셀린느"]},
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue.open(tmp_path / "satchel.db", create=True)


def test_what_is_stored_is_read(catalogue: Catalogue) -> None:
    given = [feedback(0), feedback(10, photos=1, code=None)]
    for one in given:
        catalogue.feedback.put(one)
    assert list(catalogue.feedback.all()) == given
    assert catalogue.feedback.count() == 2


def test_an_embedding_is_kept_to_the_precision_of_a_gallery() -> None:
    original = embedded(3)
    packed = FeedbackPhoto.of("0" * 64, original, by_hand=False)
    read = packed.embedding(4)
    np.testing.assert_allclose(read.vector, original.vector, atol=2e-3)
    np.testing.assert_array_equal(read.vector, read.whole)
    np.testing.assert_array_equal(read.patches, original.patches)
    assert packed.embedding(None).patches is None
    with pytest.raises(ValueError, match="reshape"):
        packed.embedding(5)


def test_the_last_word_on_an_answer_counts(catalogue: Catalogue) -> None:
    catalogue.feedback.put(feedback(0))
    catalogue.feedback.put(feedback(10))
    catalogue.feedback.put(replace(feedback(0), code=None))
    assert [(one.answer, one.code) for one in catalogue.feedback.all()] == [
        ("token-10", "가방/7"),
        ("token-0", None),
    ]


def test_feedback_is_no_change_of_what_is_searched(catalogue: Catalogue) -> None:
    before = catalogue.revision()
    catalogue.feedback.put(feedback())
    assert catalogue.revision() == before


def test_a_line_is_read_as_it_was_written() -> None:
    given = feedback()
    line = to_line(given)
    assert "\n" not in line
    assert from_line(line.encode()) == given


def damaged(**changes: object) -> bytes:
    return json.dumps({**json.loads(to_line(feedback())), **changes}).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"no json",
        b"\xff\xfe",
        b"[" * 100_000,
        damaged(photos=[]),
        damaged(encoder="x"),
        damaged(verdict="sure"),
        damaged(more=1),
        damaged(code="x" * 201),
        damaged(photos=[{**json.loads(to_line(feedback()))["photos"][0], "vector": "%%%"}]),
        damaged(photos=[{**json.loads(to_line(feedback()))["photos"][0], "box": [1, 0, 0, 1]}]),
        b"x" * (MAX_LINE_BYTES + 10),
    ],
)
def test_a_bad_line_costs_no_other(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_bytes(to_line(feedback(1)).encode() + b"\n\n" + line + b"\n")
    good, bad = read_lines(file)
    assert isinstance(good, Feedback)
    assert isinstance(bad, Problem)
    assert bad.what == "feedback.jsonl, line 3"
    assert len(bad.reason) < 1_000


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        list(read_lines(tmp_path / "none.jsonl"))
    with pytest.raises(UsageError, match="is a directory"):
        list(read_lines(tmp_path))
