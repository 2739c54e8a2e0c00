"""Calibrating on feedback: from answers to a fitted confidence, without the photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SHAPES, jpeg
from satchel.catalog.feedback import Feedback, FeedbackCandidate, FeedbackPhoto
from satchel.confidence.stored import calibration_path
from satchel.encode.encoder import Encoder
from satchel.evaluate.offline import Query, rank_pairs
from satchel.identify import Identifier
from satchel.workspace import Workspace
from support.cli import satchel


@pytest.fixture
def answered(filled: Workspace) -> Workspace:
    """A workspace with feedback on 24 photos: 20 that one can name, 4 of nothing it knows."""
    identifier = Identifier.open(filled)
    for number in range(24):
        shape = SHAPES[number % 5]
        (embedding,) = identifier.embed([jpeg(shape, 100 + number)])
        found = identifier.identify_embedded([embedding])
        code = f"M{number % 5}" if number < 20 else None
        filled.catalogue.feedback.put(
            Feedback(
                answer=f"answer {number}",
                code=code,
                encoder=identifier.space.id,
                verdict=found.verdict,
                in_catalogue=found.in_catalogue,
                candidates=tuple(
                    FeedbackCandidate(one.product.code, one.score, one.confidence)
                    for one in found.candidates
                ),
                photos=(FeedbackPhoto.of(f"{number:064x}", embedding, by_hand=False),),
            )
        )
    return filled


def test_confidence_is_fitted_on_feedback(answered: Workspace, encoder: Encoder) -> None:
    done = satchel(answered.folder, "calibrate", "--feedback")
    assert done.returncode == 0, done.stderr
    assert "photos of products in the catalogue" in done.stdout
    stored = json.loads(calibration_path(answered.models, encoder.id).read_text())
    assert stored["confidence"]["queries"] == 20
    assert stored["source"].startswith("feedback, ")


def test_stored_embeddings_rank_as_their_photos_did(answered: Workspace) -> None:
    identifier = Identifier.open(answered)
    ids = answered.catalogue.ids_of_codes()
    for one in list(answered.catalogue.feedback.all())[:5]:
        assert one.code is not None
        query = Query(one.photos[0].embedding(None))
        (pair,) = rank_pairs(identifier.searcher, [query], [ids[one.code]])
        assert [found.score for found in pair.there] == pytest.approx(
            [shown.score for shown in one.candidates], abs=2e-3
        )
        assert ids[one.code] not in {found.product for found in pair.without}


def test_an_exported_file_fits_the_same(answered: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    printed = satchel(answered.folder, "feedback", "export")
    written = satchel(answered.folder, "feedback", "export", str(file))
    assert "24 written" in written.stderr
    assert printed.stdout == file.read_text()
    here = satchel(answered.folder, "calibrate", "--feedback")
    there = satchel(answered.folder, "calibrate", "--feedback", str(file))
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout
    with file.open("a") as more:
        more.write("no feedback\n")
    again = satchel(answered.folder, "calibrate", "--feedback", str(file))
    assert again.returncode == 1
    assert "feedback.jsonl, line 25" in again.stderr
    assert again.stdout == here.stdout


def test_what_cannot_be_used_is_left_out_and_said(answered: Workspace) -> None:
    store = answered.catalogue.feedback
    some = list(store.all())
    own = answered.catalogue.photos_of("M0")[0].sha256
    elsewhere = {"name": [SHAPES[1].title()]}
    extra = [
        replace(some[0], answer="other encoder", encoder="f" * 64, photos=named(some[0], 50)),
        replace(some[0], answer="gone", code="GONE", photos=named(some[0], 51)),
        replace(some[0], answer="filter", where={"brand": ["Gone"]}, photos=named(some[0], 52)),
        replace(some[0], answer="left out", where=elsewhere, photos=named(some[0], 53)),
        replace(some[0], answer="own", photos=(replace(some[0].photos[0], sha256=own),)),
        replace(some[23], answer="again"),  # the same photo as before
    ]
    for one in extra:
        store.put(one)
    done = satchel(answered.folder, "calibrate", "--feedback")
    assert done.returncode == 0, done.stderr
    for line in (
        "1 embedded by another encoder",
        "3 about products that the index no longer has, or that the filter leaves out",
        "1 with a photo that the catalogue has",
        "1 said again later",
    ):
        assert line in done.stderr


def named(feedback: Feedback, number: int) -> tuple[FeedbackPhoto, ...]:
    return (replace(feedback.photos[0], sha256=f"{number:064x}"),)


def test_too_little_feedback(filled: Workspace) -> None:
    done = satchel(filled.folder, "calibrate", "--feedback")
    assert done.returncode == 2
    assert "expected 20 or more answers" in done.stderr
    assert "got 0 and 5" in done.stderr


def test_wrong_usage(filled: Workspace, tmp_path: Path) -> None:
    both = satchel(filled.folder, "calibrate", "--feedback", "--forget")
    assert (both.returncode, "--forget alone" in both.stderr) == (2, True)
    missing = satchel(filled.folder, "calibrate", "--feedback", str(tmp_path / "none"))
    assert (missing.returncode, "cannot read" in missing.stderr) == (2, True)
    nowhere = satchel(filled.folder, "feedback", "export", str(tmp_path / "no" / "file"))
    assert (nowhere.returncode, "cannot write" in nowhere.stderr) == (2, True)
    assert satchel(filled.folder, "feedback", "export").stdout == ""
