"""A run's files, damaged."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from satchel.cli.app import main
from satchel.errors import UsageError
from satchel.workspace import Workspace

torch = pytest.importorskip("torch", reason="needs the train extra: pip install 'satchel[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install 'satchel[train]'")
pytestmark = pytest.mark.train

from satchel.train.checkpoint import save_weights
from satchel.train.classifier import notes_of, read_products
from satchel.train.runs import CURVES, RECORD, Run, RunRecord, new_record, readable
from satchel.train.settings import ClassifierSettings
from satchel.workflows.evaluate import _is_of
from support.cli import satchel


def record_of(name: str) -> RunRecord:
    settings = ClassifierSettings()
    return new_record("classifier", "train classifier", settings, name)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs", record_of("one"))


def flips(data: bytes, step: int) -> list[bytes]:
    found = []
    for bit in range(0, 8 * len(data), step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found.append(bytes(flipped))
    return found


def test_a_record_is_read_or_refused(run: Run) -> None:
    path = run.folder / RECORD
    whole, told = path.read_bytes(), []
    for data in [*flips(whole, 7), *(whole[:length] for length in range(0, len(whole), 20))]:
        path.write_bytes(data)
        try:
            run.read().settings_as(ClassifierSettings)
        except UsageError as error:
            told.append(str(error))
    assert len(told) > 50
    assert not [text for text in told if "\n" in text]


def test_one_damaged_record_does_not_hide_the_other_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        Run.create(workspace.runs, record_of(name))
    (workspace.runs / "one" / RECORD).write_bytes(b"{")
    monkeypatch.setattr(sys, "argv", ["satchel", "--workspace", str(workspace.folder), "runs"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    told = capsys.readouterr()
    assert "two" in told.out
    assert told.err.startswith("the run one has no readable run.json: ")


@pytest.mark.parametrize("name", ["../out", "/out", "..", "", "a/b", "a\\b", "-x"])
def test_names_that_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a run's name without"):
        Run.create(tmp_path / "runs", record_of(name))
    assert not list(tmp_path.iterdir())


def test_runs_that_are_asked_for_and_not_there(workspace: Workspace) -> None:
    assert "there are no runs" in satchel(workspace.folder, "runs", "two").stderr
    Run.create(workspace.runs, record_of("one"))
    told = satchel(workspace.folder, "runs", "two")
    assert told.returncode == 2
    assert "no run begins with two" in told.stderr
    told = satchel(workspace.folder, "runs", "--sort", "top9")
    assert told.returncode == 2
    assert "expected --sort begun_at, top1" in told.stderr
    assert "one" in satchel(workspace.folder, "runs", "--sort", "top1").stdout


def test_damaged_lines_of_curves_are_left_out(run: Run) -> None:
    path = run.folder / CURVES
    for epoch in (1.0, 2.0, 3.0):
        run.add_to_curves({"epoch": epoch, "top1": 0.5})
    lines = path.read_bytes().splitlines(keepends=True)
    for line in [*flips(lines[1], 3), b"[1]\n", b"null\n", b"{}\n", b"\xff\n"]:
        path.write_bytes(lines[0] + line + lines[2])
        epochs = [row["epoch"] for row in run.curves()]
        assert epochs[0] == 1
        assert epochs[-1] == 3 or b"\n" not in line
        run.add_to_curves({"epoch": 4.0})
        assert run.curves()[-1] == {"epoch": 4.0}


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", '["a", null]', "\udcff"])
def test_products_that_cannot_be_read(run: Run, text: str) -> None:
    path = run.folder / "products.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"products\.json cannot be read: .*; restore it"):
        read_products(run)
    path.write_text(json.dumps(["a", "가"]))
    assert read_products(run) == ("a", "가")


def test_weights_that_cannot_be_read(run: Run) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        notes_of(run.best)
    save_weights(torch.nn.Linear(2, 2), run.best, {"share": "1"})
    assert notes_of(run.best) == {"share": "1"}
    run.best.write_bytes(run.best.read_bytes()[:40])
    with pytest.raises(UsageError, match="cannot be read"):
        notes_of(run.best)
    with pytest.raises(UsageError, match="size mismatch"), readable(run.best):
        torch.nn.Linear(3, 2).load_state_dict(torch.nn.Linear(2, 2).state_dict())


def test_a_damaged_line_counts_as_an_evaluation() -> None:
    lines = [b'{"part": "test"}', b'{"part": "val"}', b'{"part": "te', b"\xff", b"[]"]
    assert [_is_of(line, "test") for line in lines] == [True, False, True, True, True]
