"""Removing runs, splits and experiments, and refusing where another one needs them.

A record goes last: what a killed removal leaves is still listed, and is removed the next time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from satchel.errors import UsageError
from satchel.experiment.plan import Plan
from satchel.experiment.store import Experiment
from satchel.train.runs import RECORD, Run, all_runs
from satchel.validation import reason
from satchel.workspace import Workspace


def removable_run(workspace: Workspace, name: str) -> Run:
    """Return the run of exactly this name, if it may be removed.

    Raises:
        UsageError: there is none, it is running, an experiment has it, or its detector is the
            workspace's locator.
    """
    run = next((run for run in all_runs(workspace.runs) if run.name == name), None)
    if run is None:
        raise UsageError(f"no run has the name {name!r}; `satchel runs` lists them")
    for experiment in _experiments(workspace):
        if name in run_names(experiment):
            raise UsageError(
                f"the run {name} is one of the experiment {experiment.folder.name}: remove that"
            )
    _require_idle(run)
    used = Path(workspace.folder, workspace.settings.locate.model).resolve()
    if used.is_relative_to(run.folder.resolve()):
        raise UsageError(f"[locate] model names a file of the run {name}: set another one first")
    return run


def remove_run(workspace: Workspace, name: str) -> None:
    """Remove a run: its weights, curves and reports, and the split that it froze for itself.

    Models that were exported from it stay, and so does what is served.

    Raises:
        UsageError: see `removable_run`; or the system does not let it be removed.
    """
    run = removable_run(workspace, name)
    _delete_run(run)
    split = workspace.folder / "splits" / f"{name}.json"
    if split.exists() and not _users(workspace, name):
        split.unlink()


def removable_split(workspace: Workspace, name: str) -> Path:
    """Return the file of a split, if it may be removed.

    Raises:
        UsageError: there is none, or a run or an experiment needs it.
    """
    path = workspace.split_path(name)
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.json"))) or "none"
        raise UsageError(f"no split has the name {name!r}; splits: {known}")
    if users := _users(workspace, name):
        raise UsageError(f"the split {name} is needed by {', '.join(users)}: remove these first")
    return path


def remove_split(workspace: Workspace, name: str) -> None:
    """Remove a split.

    Raises:
        UsageError: see `removable_split`.
    """
    removable_split(workspace, name).unlink()


def removable_experiment(workspace: Workspace, name: str) -> Experiment:
    """Return an experiment, if it may be removed.

    Raises:
        UsageError: there is none, or one of its runs is running.
    """
    experiment = Experiment.named(workspace, name)
    if not experiment.planned:
        known = ", ".join(one.folder.name for one in _experiments(workspace)) or "none"
        raise UsageError(f"no experiment has the name {name!r}; experiments: {known}")
    for run in _runs_of(workspace, experiment):
        _require_idle(run)
    return experiment


def remove_experiment(workspace: Workspace, name: str) -> None:
    """Remove an experiment with its runs, and its splits where no other run needs them.

    Raises:
        UsageError: see `removable_experiment`; or the system does not let it be removed.
    """
    experiment = removable_experiment(workspace, name)
    splits = _splits(experiment)
    for run in _runs_of(workspace, experiment):
        _delete_run(run)
    for split in splits:
        if _users(workspace, split) == [f"the experiment {name}"]:
            workspace.split_path(split).unlink(missing_ok=True)
    _delete_folder(experiment.folder, last="plan.json")


def run_names(experiment: Experiment) -> set[str]:
    """Return the names that the runs of an experiment have, begun or not."""
    plan = _readable_plan(experiment)
    return {f"{plan.name}-{cell.name}" for cell in plan.cells} if plan else set()


def _splits(experiment: Experiment) -> list[str]:
    plan = _readable_plan(experiment)
    return [dataset.split for dataset in plan.datasets] if plan else []


def _readable_plan(experiment: Experiment) -> Plan | None:
    """The plan; None where it is damaged, which is a reason to remove the experiment."""
    try:
        return experiment.plan()
    except UsageError:
        return None


def _experiments(workspace: Workspace) -> list[Experiment]:
    folders = sorted((workspace.runs / "experiments").glob("*/plan.json"))
    return [Experiment(path.parent) for path in folders]


def _runs_of(workspace: Workspace, experiment: Experiment) -> list[Run]:
    names = run_names(experiment)
    return [run for run in all_runs(workspace.runs) if run.name in names]


def _users(workspace: Workspace, split: str) -> list[str]:
    """Name what needs a split."""
    runs = [run for run in all_runs(workspace.runs) if _split_of(run) == split]
    experiments = [one for one in _experiments(workspace) if split in _splits(one)]
    return [
        *(f"the run {run.name}" for run in runs),
        *(f"the experiment {one.folder.name}" for one in experiments),
    ]


def _split_of(run: Run) -> str | None:
    try:
        return run.read().split
    except UsageError:  # damaged: it cannot be resumed or evaluated anyway
        return None


def _require_idle(run: Run) -> None:
    try:
        state = run.state()
    except UsageError:  # damaged, which is why it is removed
        return
    if state == "running":
        raise UsageError(f"the run {run.name} is running: stop it first, with Ctrl-C where it runs")


def _delete_run(run: Run) -> None:
    _delete_folder(run.folder, last=RECORD)


def _delete_folder(folder: Path, *, last: str) -> None:
    """Delete a folder, one file after all others."""
    try:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != last:
                entry.unlink()
        (folder / last).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise UsageError(f"cannot remove {folder}: {reason(error)}; see to its rights") from None
