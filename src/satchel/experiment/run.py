"""Running an experiment: its cells in order, each an ordinary run, until the time is up.

A result is written as soon as its cell is finished. Calling again after an interruption, or with
more time, skips the finished cells and resumes the run of the interrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from satchel.errors import SatchelError, UsageError
from satchel.evaluate.rendering import FIGURES, write_report
from satchel.evaluate.report import ConfusionRow, EvaluationReport
from satchel.experiment.page import write_experiment
from satchel.experiment.plan import Cell, Plan
from satchel.experiment.store import CellResult, Experiment, Results
from satchel.experiment.tables import best_classifier, experiment_report
from satchel.files import locked
from satchel.progress import Progress
from satchel.train.backbones import channels_last
from satchel.train.pretrained import create
from satchel.train.runs import RECORD, Run, TimeUp
from satchel.train.settings import ClassifierSettings, EncoderSettings
from satchel.workflows.evaluate import evaluate_run, evaluate_untrained
from satchel.workflows.train import resume, start, take_the_machine
from satchel.workspace import Workspace


class ExperimentProgress(Progress, Protocol):
    """Receives the progress of an experiment."""

    def begin_cell(self, number: int, cell: Cell, seconds_left: float) -> None:
        """A cell begins; number counts from 1."""

    def end_cell(self, cell: Cell, result: CellResult) -> None:
        """A cell is finished, or failed."""


def run_experiment(
    workspace: Workspace,
    experiment: Experiment,
    *,
    progress: ExperimentProgress,
    seconds: float | None = None,
    trackers: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Results:
    """Run the cells that are not finished, until the time is up; write results and page.

    A cell that fails does not keep the others from being run.

    Args:
        seconds: time for this call; None: that of the plan.
        clock: seconds, ascending.

    Raises:
        UsageError: there is no plan, or another process runs the experiment.
    """
    with locked(experiment.folder / "lock", f"the experiment {experiment.folder.name}"):
        plan, results = experiment.plan(), experiment.results()
        take_the_machine(plan.settings.of_run(ClassifierSettings).threads)
        deadline = clock() + (60 * plan.settings.minutes if seconds is None else seconds)
        limited = _Deadline(progress, deadline, clock)
        for number, cell in enumerate(plan.cells, 1):
            if cell.name in results and not results[cell.name].error:
                continue
            if clock() > deadline:
                break
            progress.begin_cell(number, cell, deadline - clock())
            try:
                result = _CellRun(workspace, plan, cell, limited, trackers).finish()
            except TimeUp:
                break
            except SatchelError as error:
                result = CellResult(error=str(error))
            results[cell.name] = result
            experiment.write_results(results)
            write_page(workspace, experiment)
            progress.end_cell(cell, result)
        return results


class _Deadline:
    """Passes progress on, and raises TimeUp when the time is up."""

    def __init__(self, progress: Progress, deadline: float, clock: Callable[[], float]) -> None:
        self._progress, self._deadline, self._clock = progress, deadline, clock

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self._progress.begin(stage, total, done)
        self._check()

    def advance(self, count: int = 1) -> None:
        self._progress.advance(count)
        self._check()

    def _check(self) -> None:
        if self._clock() > self._deadline:
            raise TimeUp


@dataclass(frozen=True, slots=True)
class _CellRun:
    """Training and evaluation of one cell."""

    workspace: Workspace
    plan: Plan
    cell: Cell
    progress: Progress
    trackers: Sequence[str]

    def finish(self) -> CellResult:
        """Train, or resume, and evaluate on the test part."""
        began = time.monotonic()
        if self.cell.kind == "untrained":
            figures = self._evaluate_untrained().figures
            return CellResult(figures=figures, seconds=time.monotonic() - began)
        run = self._run()
        record = resume(
            self.workspace,
            run,
            progress=self.progress,
            trackers=self.trackers,
            on_epoch=lambda epoch, figures: None,
        )
        trained = time.monotonic()
        figures = self._evaluate(run).figures
        return CellResult(
            run=run.name,
            seconds=record.seconds + time.monotonic() - trained,
            epochs=record.epochs,
            score=record.figures["score"],
            figures=figures,
        )

    def _run(self) -> Run:
        """The cell's run, whose name is the same whenever the cell is begun."""
        name = f"{self.plan.name}-{self.cell.name}"
        settings = self.cell.settings(self.plan.settings)
        dataset = self.plan.dataset(self.cell)
        run = Run(self.workspace.runs / name)
        if not (run.folder / RECORD).exists():
            return start(self.workspace, dataset.split, settings, name)
        record = run.read()
        same = record.split_hash == dataset.split_hash
        if not same or record.settings != settings.model_dump(mode="json"):
            raise UsageError(
                f"the run {name} exists and has other settings; give the experiment another --name"
            )
        return run

    def _evaluate(self, run: Run) -> EvaluationReport:
        """Evaluate once: a report that exists is read."""
        folder = run.folder / "test"
        if (folder / FIGURES).exists():
            return EvaluationReport.from_json((folder / FIGURES).read_bytes())
        report = evaluate_run(self.workspace, run, progress=self.progress, embedding=False)
        folder.mkdir(exist_ok=True)
        write_report(report, self.workspace.photos.read_or_none, folder)
        return report

    def _evaluate_untrained(self) -> EvaluationReport:
        common = self.plan.settings
        weights = common.weights.get(self.cell.backbone, "auto")
        side_px = common.of_run(EncoderSettings).side_px
        backbone = create(self.cell.backbone, weights=weights, side_px=side_px)
        return evaluate_untrained(
            self.workspace,
            self.plan.dataset(self.cell).split,
            channels_last(backbone),
            side_px=side_px,
            progress=self.progress,
        )


def write_page(workspace: Workspace, experiment: Experiment) -> Path:
    """Write the page, with the confusions of the best classifier; return its path."""
    plan, results = experiment.plan(), experiment.results()
    best = best_classifier(plan, results)
    confusions: tuple[ConfusionRow, ...] = ()
    if best is not None:
        path = workspace.runs / str(best.result.run) / "test" / FIGURES
        if path.exists():
            confusions = EvaluationReport.from_json(path.read_bytes()).confusions
    report = experiment_report(plan, results, confusions=confusions)
    return write_experiment(report, workspace.photos.read_or_none, experiment.folder)
