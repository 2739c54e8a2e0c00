"""Removing runs, splits and experiments: only what nothing else needs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from satchel.experiment.plan import Cell, Dataset, Plan
from satchel.experiment.settings import ExperimentSettings
from satchel.experiment.store import Experiment
from satchel.train.runs import FINISHED, RECORD, Run, RunRecord
from satchel.workspace import Workspace
from support.cli import satchel


def make_split(workspace: Workspace, name: str) -> Path:
    path = workspace.split_path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    return path


def make_run(workspace: Workspace, name: str, split: str) -> Run:
    record = RunRecord(
        name=name,
        kind="classifier",
        command="train classifier",
        settings={},
        split=split,
        revision="1",
        machine={},
        begun_at=datetime(2026, 1, 1, tzinfo=UTC),
        state=FINISHED,
    )
    run = Run.create(workspace.runs, record)
    run.best.write_bytes(b"weights")
    (run.folder / "test").mkdir()
    (run.folder / "test" / "report.html").write_text("a picture")
    return run


def make_experiment(workspace: Workspace, name: str) -> Experiment:
    dataset = Dataset(
        name="3x2",
        split=f"{name}-3x2",
        split_hash="0",
        protocol="closed",
        products=3,
        photos_per_product=2,
        train=6,
        val=1,
        test=1,
        test_products=1,
    )
    cell = Cell(dataset="3x2", backbone="small_cnn", method="full")
    experiment = Experiment.named(workspace, name)
    plan = Plan(
        name=name, settings=ExperimentSettings(), weights={}, datasets=(dataset,), cells=(cell,)
    )
    experiment.write_plan(plan)
    make_split(workspace, dataset.split)
    make_run(workspace, f"{name}-{cell.name}", dataset.split)
    return experiment


def test_a_run_is_removed_and_a_split_once_no_run_needs_it(workspace: Workspace) -> None:
    split = make_split(workspace, "first")
    run = make_run(workspace, "one", "first")
    refused = satchel(workspace.folder, "remove", "split", "first", "--yes")
    assert "needed by the run one" in refused.stderr
    assert split.exists()
    refused = satchel(workspace.folder, "remove", "run", "one")
    assert "add --yes" in refused.stderr
    assert run.best.exists()
    assert satchel(workspace.folder, "remove", "run", "one", "--yes").returncode == 0
    assert not run.folder.exists()
    assert satchel(workspace.folder, "remove", "split", "first", "--yes").returncode == 0
    assert not split.exists()


def test_the_split_that_a_run_froze_for_itself_goes_with_it(workspace: Workspace) -> None:
    own = make_split(workspace, "adapted")
    make_run(workspace, "adapted", "adapted")
    assert satchel(workspace.folder, "remove", "run", "adapted", "--yes").returncode == 0
    assert not own.exists()


def test_a_running_run_stays(workspace: Workspace) -> None:
    run = make_run(workspace, "one", "first")
    run.update(state="begun")
    with run.alive():
        refused = satchel(workspace.folder, "remove", "run", "one", "--yes")
    assert "is running" in refused.stderr
    assert run.best.exists()
    assert satchel(workspace.folder, "remove", "run", "one", "--yes").returncode == 0  # crashed


def test_of_several_names_one_of_which_is_wrong_nothing_is_removed(workspace: Workspace) -> None:
    run = make_run(workspace, "one", "first")
    refused = satchel(workspace.folder, "remove", "run", "one", "on", "--yes")
    assert (refused.returncode, "no run has the name 'on'" in refused.stderr) == (2, True)
    assert run.folder.exists()
    assert "no split" in satchel(workspace.folder, "remove", "split", "x", "--yes").stderr
    assert "name of letters" in satchel(workspace.folder, "remove", "split", "../x", "-y").stderr
    assert "no experiment" in satchel(workspace.folder, "remove", "experiment", "x", "-y").stderr


def test_an_experiment_goes_with_its_runs_and_splits(workspace: Workspace) -> None:
    experiment = make_experiment(workspace, "seed")
    kept = make_run(workspace, "mine", "other")
    (name,) = (path.parent.name for path in workspace.runs.glob(f"seed-*/{RECORD}"))
    refused = satchel(workspace.folder, "remove", "run", name, "--yes")
    assert "one of the experiment seed" in refused.stderr
    refused = satchel(workspace.folder, "remove", "split", "seed-3x2", "--yes")
    assert "the experiment seed" in refused.stderr
    done = satchel(workspace.folder, "remove", "experiment", "seed", "--yes")
    assert done.returncode == 0, done.stderr
    assert not experiment.folder.exists()
    assert not workspace.split_path("seed-3x2").exists()
    assert [path.parent for path in workspace.runs.glob(f"*/{RECORD}")] == [kept.folder]


def test_a_damaged_experiment_can_be_removed(workspace: Workspace) -> None:
    experiment = make_experiment(workspace, "seed")
    (experiment.folder / "plan.json").write_text("{")
    assert satchel(workspace.folder, "remove", "experiment", "seed", "--yes").returncode == 0
    assert not experiment.folder.exists()


def test_a_detector_that_is_in_use_keeps_its_run(workspace: Workspace) -> None:
    run = make_run(workspace, "one", "first")
    (workspace.folder / "satchel.toml").write_text('[locate]\nmodel = "runs/one/locator.json"\n')
    refused = satchel(workspace.folder, "remove", "run", "one", "--yes")
    assert "[locate] model names a file of the run" in refused.stderr
    assert run.folder.exists()
