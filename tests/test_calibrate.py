from __future__ import annotations

from pathlib import Path

import pytest

from conftest import SHAPES, fill, jpeg
from satchel.calibrate import calibrate
from satchel.catalog.importers import open_rows
from satchel.encode.calibration import (
    Calibration,
    calibration_path,
    confidence_of,
    read_calibration,
    write_calibration,
)
from satchel.encode.card import LITE
from satchel.encode.encoder import Encoder
from satchel.encode.serving import serve_model
from satchel.errors import EncoderError, UsageError
from satchel.identify import Identifier
from satchel.web.serving import Serving
from satchel.workspace import Workspace


def labelled(folder: Path, each: int, *, absent: int = 0) -> Path:
    """Unseen photos in a folder per code; `absent` ones under a code the catalogue has not."""
    for number, shape in enumerate(SHAPES):
        (folder / f"M{number}").mkdir(parents=True)
        for seed in range(each):
            (folder / f"M{number}" / f"{seed}.jpg").write_bytes(jpeg(shape, 100 + seed, (160, 120)))
    for seed in range(absent):
        (folder / "other").mkdir(exist_ok=True)
        (folder / "other" / f"{seed}.jpg").write_bytes(jpeg("none", seed, (160, 120)))
    return folder


def run(workspace: Workspace, encoder: Encoder, folder: Path) -> tuple[Calibration, list[str]]:
    problems: list[str] = []
    calibration, _ = calibrate(
        workspace,
        encoder,
        open_rows(folder),
        "made",
        on_progress=lambda _: None,
        on_problem=lambda name, _: problems.append(name),
    )
    return calibration, problems


def test_known_photos_make_answers_surer_or_less_sure(
    workspace: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    encoder = Encoder.load(LITE)  # whose card is the less sure of drawn shapes
    serve_model(workspace.models, LITE.stem)
    fill(workspace, catalogue_file, encoder)
    before = Identifier.open(workspace).identify(jpeg("disc", 50))
    folder = labelled(tmp_path / "known", 5, absent=2)
    (folder / "M0" / "broken.jpg").write_bytes(b"text")
    calibration, problems = run(workspace, encoder, folder)
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
    with pytest.raises(UsageError, match="20 or more photos of products in the index"):
        run(filled, encoder, labelled(tmp_path / "known", 3, absent=30))


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
    assert confidence_of(filled.models, encoder.card) == confidence
    other = encoder.card.model_copy(update={"sha256": "0" * 64})
    assert confidence_of(filled.models, other) == other.confidence
    path.rename(calibration_path(filled.models, "0" * 64))
    with pytest.raises(EncoderError, match="another encoder"):
        confidence_of(filled.models, other)
    calibration_path(filled.models, "0" * 64).write_text("{")
    with pytest.raises(EncoderError, match="is no calibration"):
        confidence_of(filled.models, other)


def test_a_running_server_follows(filled: Workspace, encoder: Encoder) -> None:
    serving = Serving(filled)
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
