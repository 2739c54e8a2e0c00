from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import SHAPES, draw, fill, jpeg
from satchel.catalog.importers import open_rows
from satchel.cli.app import app
from satchel.confidence.stored import (
    Calibration,
    calibration_path,
    confidence_of,
    read_calibration,
    write_calibration,
)
from satchel.encode.card import LITE
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model
from satchel.errors import EncoderError, UsageError
from satchel.identify import Identifier
from satchel.images import decode, encode_jpeg
from satchel.web.state import ServerState
from satchel.workflows.calibrate import STEPS, LeftOut, calibrate
from satchel.workspace import Workspace
from support.crashing_decoder import crash_over_marked_photos, mark
from support.pictures import rgb
from support.progress import Counter


def elsewhere(shape: str, seed: int) -> np.ndarray:
    """A shape on a ground of its own: another photo of it, and no copy of any."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 256, (9, 12, 3)).astype(np.uint8)
    ground = cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC)
    drawn = draw(shape, seed)
    is_shape = (drawn.max(2).astype(int) - drawn.min(2) > 40)[..., None]
    return np.where(is_shape, drawn, ground).astype(np.uint8)


def labelled(folder: Path, each: int, *, absent: int = 0) -> Path:
    """Unseen photos in a folder per code; `absent` ones under a code the catalogue has not."""
    for number, shape in enumerate(SHAPES):
        (folder / f"M{number}").mkdir(parents=True)
        for seed in range(each):
            data = encode_jpeg(elsewhere(shape, 100 * number + seed), 92)
            (folder / f"M{number}" / f"{seed}.jpg").write_bytes(data)
    for seed in range(absent):
        (folder / "other").mkdir(exist_ok=True)
        data = encode_jpeg(elsewhere("none", 1000 + seed), 92)
        (folder / "other" / f"{seed}.jpg").write_bytes(data)
    return folder


def run(
    workspace: Workspace, encoder: Encoder, folder: Path
) -> tuple[Calibration, LeftOut, list[str]]:
    problems: list[str] = []
    progress = Counter()
    rows = open_rows(folder)
    calibration, _, left_out = calibrate(
        workspace,
        Embedder(encoder),
        rows,
        "made",
        progress=progress,
        on_problem=lambda problem: problems.append(problem.what),
    )
    assert progress.done == progress.total == STEPS * rows.total
    return calibration, left_out, problems


@pytest.mark.flow
def test_known_photos_make_answers_surer_or_less_sure(
    workspace: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    encoder = Encoder.load(LITE)  # whose card is the less sure of drawn shapes
    serve_model(workspace.models, LITE.stem)
    fill(workspace, catalogue_file, encoder)
    before = Identifier.open(workspace).identify(jpeg("disc", 50))
    folder = labelled(tmp_path / "known", 5, absent=2)
    (folder / "M0" / "broken.jpg").write_bytes(b"text")
    calibration, left_out, problems = run(workspace, encoder, folder)
    assert left_out == LeftOut()
    assert [Path(name).name for name in problems] == ["broken.jpg"]
    assert calibration.figures["queries"] == 25
    assert calibration.figures["right"] == 1.0  # drawn shapes are easy
    assert calibration.encoder == encoder.id
    write_calibration(workspace.models, calibration)
    after = Identifier.open(workspace).identify(jpeg("disc", 50))
    assert after.candidates[0].confidence > before.candidates[0].confidence
    assert [c.product for c in after.candidates] == [c.product for c in before.candidates]


def test_too_few_known_photos_change_nothing(
    filled: Workspace, encoder: Encoder, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"expected 20 or more usable photos .*, got 15 \(45 given\); nothing"
    ):
        run(filled, encoder, labelled(tmp_path / "known", 3, absent=30))


def test_a_photo_that_crashes_its_decoder_costs_no_other(
    filled: Workspace, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_marked_photos(monkeypatch)
    folder = labelled(tmp_path / "known", 5)
    mark(folder / "M0" / "0.jpg")
    calibration, _, problems = run(filled, encoder, folder)
    assert [Path(name).name for name in problems] == ["0.jpg"]
    assert calibration.figures["queries"] == 24


def changed(data: bytes, how: str) -> bytes:
    """A copy of a photo: re-encoded, resized, cropped or mirrored."""
    pixels = decode(data)
    height, width = pixels.shape[:2]
    match how:
        case "re-encoded":
            return encode_jpeg(pixels, 60)
        case "resized":
            return encode_jpeg(rgb(cv2.resize(pixels, (width // 2, height // 2))), 90)
        case "cropped":
            return encode_jpeg(np.ascontiguousarray(pixels[8:-8, 10:-10]), 90)
        case "mirrored":
            return encode_jpeg(np.ascontiguousarray(pixels[:, ::-1]), 90)
    return data


HOW = ("the file", "re-encoded", "resized", "cropped", "mirrored")


@pytest.mark.flow
def test_the_catalogues_own_photos_and_copies_say_nothing(
    unpromoted: Workspace, shipped_encoder: Encoder, tmp_path: Path
) -> None:
    fill(unpromoted, labelled(tmp_path / "catalogue", 2), shipped_encoder)
    known = tmp_path / "known"
    labelled(known, 7)  # the catalogue's two of each, and five others
    for number in range(len(SHAPES)):
        photo = (known / f"M{number}" / "0.jpg").read_bytes()
        for how in HOW[1:]:
            (known / f"M{number}" / f"0 {how}.jpg").write_bytes(changed(photo, how))
    photo = (known / "M3" / "6.jpg").read_bytes()
    for how in HOW:
        (known / "M3" / f"6 {how}.jpg").write_bytes(changed(photo, how))
    (known / "M9").mkdir()  # under another code it is the same photo
    (known / "M9" / "mine.jpg").write_bytes((known / "M0" / "1.jpg").read_bytes())
    calibration, left_out, problems = run(unpromoted, shipped_encoder, known)
    assert problems == []
    assert left_out == LeftOut(known=5 * (2 + 4) + 1, repeated=len(HOW))
    assert calibration.figures["queries"] == 25
    assert str(left_out) == (
        "left out: 31 that the catalogue has, or has a copy of, "
        "5 that are copies of others among them"
    )


@pytest.mark.flow
def test_the_catalogues_own_photos_alone_change_nothing(
    unpromoted: Workspace, shipped_encoder: Encoder, tmp_path: Path
) -> None:
    folder = labelled(tmp_path / "catalogue", 5)
    fill(unpromoted, folder, shipped_encoder)
    for index, photo in enumerate(sorted(folder.glob("*/*.jpg"))):
        photo.write_bytes(changed(photo.read_bytes(), HOW[index % len(HOW)]))
    command = ["--workspace", str(unpromoted.folder), "calibrate", str(folder)]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, UsageError)
    assert "got 0 (25 given; left out: 25 that the catalogue has, or has a copy of)" in str(
        done.exception
    )
    assert read_calibration(unpromoted.models, shipped_encoder.id) is None


def test_a_calibration_belongs_to_one_encoder(filled: Workspace, encoder: Encoder) -> None:
    confidence = encoder.card.confidence.model_copy(update={"identified_at": 0.5})
    own = Calibration(
        encoder=encoder.id,
        made_at="2026-01-01T00:00:00Z",
        source="made",
        products=5,
        confidence=confidence,
        figures={},
    )
    assert read_calibration(filled.models, encoder.id) is None
    path = write_calibration(filled.models, own)
    assert confidence_of(filled.models, EmbeddingSpace(encoder.card)) == confidence
    other = encoder.card.model_copy(update={"sha256": "0" * 64})
    assert confidence_of(filled.models, EmbeddingSpace(other)) == other.confidence
    path.rename(calibration_path(filled.models, "0" * 64))
    with pytest.raises(EncoderError, match="another encoder"):
        confidence_of(filled.models, EmbeddingSpace(other))
    calibration_path(filled.models, "0" * 64).write_text("{")
    with pytest.raises(EncoderError, match="is not a valid calibration"):
        confidence_of(filled.models, EmbeddingSpace(other))


def test_a_running_server_follows(filled: Workspace, encoder: Encoder) -> None:
    serving = ServerState(filled)
    assert serving.indexed() == 10
    before = serving._up_to_date().identifier
    confidence = encoder.card.confidence
    write_calibration(
        filled.models,
        Calibration(
            encoder=encoder.id,
            made_at="2026-01-01T00:00:00Z",
            source="made",
            products=5,
            confidence=confidence,
            figures={},
        ),
    )
    assert serving._up_to_date().identifier is not before
