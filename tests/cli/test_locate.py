from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import jpeg
from satchel.cli.app import app
from satchel.images import decode
from satchel.workspace import Workspace
from support.cli import satchel
from support.crashing_decoder import crash_over_marked_photos, mark
from support.stub_detector import write_detector


@pytest.fixture
def shop(filled: Workspace) -> Workspace:
    """A workspace whose detector gives light photos two boxes: their halves."""
    write_detector(filled.folder, fit="stretch")
    (filled.folder / "satchel.toml").write_text('[locate]\nmodel = "stub.json"\n')
    return filled


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "disc.jpg"
    path.write_bytes(jpeg("disc", 50))
    return path


def test_a_table_of_detections(shop: Workspace, photo: Path) -> None:
    done = satchel(shop.folder, "locate", str(photo))
    assert done.returncode == 0, done.stderr
    assert "320 × 240" in done.stdout
    assert "0, 0" in done.stdout
    assert "160, 240" in done.stdout
    assert done.stdout.count("main") == 1
    assert done.stdout.count("50%") == 2


def test_json_and_pictures(shop: Workspace, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drawn" / "here"
    done = satchel(
        shop.folder, "locate", "--json", "--draw", str(folder), str(photo), str(photo), "none.jpg"
    )
    assert done.returncode == 1
    assert "none.jpg" in done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["width"], first["height"]) == (320, 240)
    assert [one["main"] for one in first["detections"]].count(True) == 1
    assert {one["category"] for one in first["detections"]} <= {"red", "green", "blue"}
    main = next(one for one in first["detections"] if one["main"])
    assert first["box"] == main["box"]
    assert first["drawn"] != second["drawn"]
    for one in (first, second):
        assert decode(Path(one["drawn"]).read_bytes()).shape == (240, 320, 3)


def test_a_photo_that_crashes_its_decoder_costs_no_other(
    shop: Workspace, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_marked_photos(monkeypatch)
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(photo.read_bytes())
    mark(bad)
    done = satchel(shop.folder, "locate", "--json", str(bad), str(photo))
    assert done.returncode == 1
    assert "bad.jpg: the photo is damaged" in done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["photo"] == str(photo)


def test_no_product_is_said_plainly(shop: Workspace, photo: Path) -> None:
    (shop.folder / "satchel.toml").write_text('[locate]\nmodel = "stub.json"\nscore = 1.0\n')
    done = satchel(shop.folder, "locate", str(photo))
    assert done.stdout.strip() == f"{photo}: no product found"
    (line,) = satchel(shop.folder, "locate", "--json", str(photo)).stdout.splitlines()
    assert json.loads(line)["detections"] == []
    assert json.loads(line)["box"] is None


def test_saliency_has_one_box(filled: Workspace, photo: Path, tmp_path: Path) -> None:
    done = satchel(filled.folder, "locate", "--json", "--draw", str(tmp_path), str(photo))
    found = json.loads(done.stdout)
    assert found["detections"] is None
    assert found["box"]["x0"] < 0.5 < found["box"]["x1"]
    assert Path(found["drawn"]).exists()
    assert "object" in satchel(filled.folder, "locate", str(photo)).stdout


def test_another_model_needs_no_workspace(photo: Path, tmp_path: Path) -> None:
    card = write_detector(tmp_path)
    result = CliRunner().invoke(app, ["locate", "--model", str(card), "--json", str(photo)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["detections"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "none.json"], "expected a model card at"),
        (["--model", "weights.pt"], "Darknet .cfg, got 'weights.pt'"),
        (["--draw", "{photo}/below"], "cannot make the folder"),
    ],
)
def test_what_is_wrong_is_said(
    shop: Workspace, photo: Path, arguments: list[str], message: str
) -> None:
    given = [one.format(photo=photo) for one in arguments]
    done = satchel(shop.folder, "locate", *given, str(photo))
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stdout == ""


def test_identification_tells_what_was_found(shop: Workspace, photo: Path) -> None:
    assert satchel(shop.folder, "index").returncode == 0
    (line,) = satchel(shop.folder, "identify", "--json", str(photo)).stdout.splitlines()
    answer = json.loads(line)
    (detections,) = answer["detections"]
    assert [one["box"] for one in detections if one["main"]] == answer["boxes"]
    (shop.folder / "satchel.toml").write_text('[locate]\nmodel = "stub.json"\nscore = 1.0\n')
    assert satchel(shop.folder, "index").returncode == 0
    done = satchel(shop.folder, "identify", str(photo))
    assert "no product found in the photo: all of it was compared" in done.stdout
    assert "M0" in done.stdout
    done = satchel(shop.folder, "identify", "--item", str(photo), str(photo))
    assert "no product found in photo 1, 2" in done.stdout
