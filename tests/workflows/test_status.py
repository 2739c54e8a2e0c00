"""`satchel status` and `satchel doctor`: counts, what waits, what is broken."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.collect.codes import add_products
from satchel.confidence.stored import calibration_path
from satchel.records import Product
from satchel.served import served_space
from satchel.train.runs import Run, RunRecord
from satchel.workflows.doctor import Health, diagnose
from satchel.workflows.status import IndexState, read_status
from satchel.workspace import Workspace
from support.cli import satchel


def test_an_empty_workspace_says_to_import(workspace: Workspace) -> None:
    status = read_status(workspace)
    assert (status.products, status.photos, status.index) == (0, 0, IndexState.MISSING)
    (step,) = status.next_steps()
    assert "satchel import" in step


def test_products_without_photos_are_to_be_collected(workspace: Workspace) -> None:
    add_products([Product("S1")], workspace.catalogue)
    first, *_ = read_status(workspace).next_steps()
    assert "satchel collect" in first


def test_a_filled_workspace_has_nothing_to_index(filled: Workspace) -> None:
    status = read_status(filled)
    assert status.index is IndexState.CURRENT
    assert (status.unembedded, sum(status.photos_by_state.values())) == (0, status.photos)
    assert not any("satchel index" in step for step in status.next_steps())
    assert any("satchel calibrate" in step for step in status.next_steps())


def test_what_was_imported_since_waits_for_the_index(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "new.jpg").write_bytes(jpeg("ring", 77))
    (tmp_path / "new.csv").write_text("code,photo\nNEW,new.jpg\n")
    assert satchel(filled.folder, "import", str(tmp_path / "new.csv")).returncode == 0
    status = read_status(Workspace.open(filled.folder))
    assert (status.unembedded, status.index) == (1, IndexState.OUTDATED)
    assert status.next_steps()[0] == "1 photos are not searched yet: satchel index"


def test_damaged_and_missing_indexes(filled: Workspace) -> None:
    filled.index_path.write_bytes(b"no index")
    assert read_status(filled).index is IndexState.DAMAGED
    filled.index_path.unlink()
    status = read_status(filled)
    assert status.index is IndexState.MISSING
    assert status.next_steps()[0] == "write the index: satchel index"


def test_runs_that_stopped_can_be_resumed(filled: Workspace) -> None:
    record = RunRecord(
        name="mine",
        kind="encoder",
        command="train encoder",
        settings={},
        split="default",
        split_hash="",
        products=2,
        photos=4,
        revision="0",
        machine={"cores": 1, "gpu": "none"},
        begun_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    Run.create(filled.runs, record)
    damaged = filled.runs / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    assert read_status(filled).resumable == {"mine": "satchel train encoder --resume mine"}


def test_status_in_words_and_as_json(filled: Workspace) -> None:
    said = satchel(filled.folder, "status")
    assert said.returncode == 0
    assert "products    5" in said.stdout
    assert "next: " in said.stdout
    found = json.loads(satchel(filled.folder, "status", "--json").stdout)
    assert (found["products"], found["index"], found["calibrated_at"]) == (5, "up to date", None)
    assert found["next_steps"] == read_status(filled).next_steps()


def test_a_healthy_workspace(filled: Workspace) -> None:
    found = json.loads(satchel(filled.folder, "doctor", "--json").stdout)
    assert found["healthy"]
    values = {(one["section"], one["name"]): one["value"] for one in found["findings"]}
    assert values["workspace", "index"] == "10 photos, up to date"
    assert values["workspace", "database"] == "5 products, 10 photos"
    assert "96 MB, SHA-256 97fdbc0e44f2… as its card says" in values["models", "clip-b16"]
    assert {"train", "annotate", "heic"} <= {name for part, name in values if part == "extras"}
    assert found["next_steps"]
    assert satchel(filled.folder, "doctor").returncode == 0


def test_without_a_workspace_one_is_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SATCHEL_WORKSPACE", raising=False)
    found = diagnose(None)
    assert found.healthy
    assert found.next_steps == ["make a workspace: satchel init shop"]
    assert not diagnose(tmp_path / "elsewhere").healthy


@pytest.mark.parametrize("broken", ["settings", "database", "index", "calibration", "model"])
def test_what_is_broken_is_said_with_exit_code_1(filled: Workspace, broken: str) -> None:
    folder = filled.folder
    match broken:
        case "settings":
            (folder / "satchel.toml").write_text("[search]\nnothing = 1\n")
        case "database":
            (folder / "satchel.db").write_bytes(b"no database")
        case "index":
            data = bytearray(filled.index_path.read_bytes())
            data[-1] ^= 1
            filled.index_path.write_bytes(data)
        case "calibration":
            path = calibration_path(filled.models, served_space(filled).id)
            path.parent.mkdir(exist_ok=True)
            path.write_text("{}")
        case "model":
            (filled.models / "serving.json").write_text("{}x")
    done = satchel(folder, "doctor")
    assert done.returncode == 1, done
    assert "broken: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert any(one.health is Health.BROKEN for one in diagnose(folder).findings)
