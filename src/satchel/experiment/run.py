"""Running the seed's programme: every cell of the plan an ordinary run, until the time is up.

Plan and results are two files. The plan is frozen as the experiment begins; a result is written as
soon as its cell is done. So whoever calls again, after a kill or with more minutes, goes on with
the first cell that has no result, and its run with its last checkpoint.
"""

from __future__ import annotations

import tempfile
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from satchel.catalog.training import KeptPhoto
from satchel.errors import SatchelError, UsageError
from satchel.evaluate.report import FIGURES, ConfusionRow, EvaluationReport, write_report
from satchel.experiment.page import write_experiment
from satchel.experiment.plan import (
    HELD_BACK,
    OVERHEAD_S,
    Cell,
    CellResult,
    Costs,
    DataFacts,
    Plan,
    Results,
    as_there_are,
    cells_of,
    shared_out,
)
from satchel.experiment.tables import best_classifier, experiment_report
from satchel.files import write_atomically
from satchel.progress import Progress
from satchel.train.backbones import create
from satchel.train.batches import TrainingPhotos
from satchel.train.classifier import ClassifierTask, train_classifier
from satchel.train.encoder import see
from satchel.train.losses import make_loss
from satchel.train.runs import RECORD, Run, locked, new_record
from satchel.train.samplers import ProductBatches
from satchel.train.settings import ClassifierSettings, DataSize, EncoderSettings, ExperimentSettings
from satchel.train.splits import Named, Protocol, Split, SplitOptions, make_split
from satchel.validation import reason
from satchel.workflows.evaluate import evaluate_run, evaluate_untrained
from satchel.workflows.split import labelled, part_photos, workspace_photos
from satchel.workflows.train import OnEpoch, TimeUp, go_on, start, take_the_machine
from satchel.workspace import Workspace

PLAN: Final = "plan.json"
RESULTS: Final = "results.json"
LOCK: Final = "lock"

REHEARSED_BATCHES: Final = 3
"""Steps that measuring a backbone takes."""

SLOWEST: Final = 4.0
"""Estimates are off by so much at most: what cells took corrects them no further."""

R = TypeVar("R", bound=BaseModel)


class Teller(Progress, typing.Protocol):
    """Whom an experiment tells how far it is."""

    def cell(self, number: int, cell: Cell, left_s: float) -> None:
        """A cell begins, with so much time left."""

    def result(self, cell: Cell, result: CellResult) -> None:
        """What came of it."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment's folder."""

    folder: Path

    @classmethod
    def named(cls, workspace: Workspace, name: str) -> Experiment:
        """Where an experiment of this name lies.

        Raises:
            UsageError: the name could lead out of the folder.
        """
        workspace.split_path(name)  # its splits begin with it
        return cls(workspace.runs / "experiments" / name)

    @property
    def begun(self) -> bool:
        """Whether there is a plan."""
        return (self.folder / PLAN).exists()

    def plan(self) -> Plan:
        """Read the plan."""
        return _read(self.folder / PLAN, Plan)

    def results(self) -> Results:
        """Read what came of it so far."""
        path = self.folder / RESULTS
        return _read(path, Results) if path.exists() else Results()

    def write(self, record: Plan | Results) -> None:
        """Write plan or results."""
        path = self.folder / (PLAN if isinstance(record, Plan) else RESULTS)
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())


def _read(path: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{path} cannot be read: {reason(error)}; begin anew under another --name"
        ) from None


# -- planning --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan before it is frozen.

    Attributes:
        splits: by the name of their data set.
        took_s: time that planning took; it counts.
    """

    plan: Plan
    splits: Mapping[str, Split]
    took_s: float

    def freeze(self, workspace: Workspace, experiment: Experiment) -> None:
        """Write splits and plan; the plan last.

        Raises:
            UsageError: another split has a name that is needed.
        """
        for data in self.plan.data:
            path, split = workspace.split_path(data.split), self.splits[data.name]
            if path.exists() and Split.load(path).hash != split.hash:
                raise UsageError(f"{path} is another split; give the experiment another --name")
            split.save(path)
        experiment.folder.mkdir(parents=True, exist_ok=True)
        experiment.write(Results(spent_s=self.took_s))
        experiment.write(self.plan)


def prepare(
    workspace: Workspace, name: str, settings: ExperimentSettings, report: Progress
) -> Prepared:
    """Look at what there is, measure what it costs on this machine, and plan; writes nothing.

    Raises:
        UsageError: a loss or backbone does not exist, or there are too few photos.
    """
    began = time.monotonic()
    _check_losses(settings)
    take_the_machine(settings.of_run(ClassifierSettings).threads)
    photos = workspace_photos(workspace)
    splits, classify, embed = _splits(workspace, photos, settings)
    each = settings.of_run(EncoderSettings)
    data = tuple(_facts(f"{name}-{key}", key, split, each) for key, split in splits.items())
    largest = max(splits.values(), key=lambda split: len(split.products()))
    weights, costs = {}, {}
    for backbone in dict.fromkeys(settings.backbones):
        report.begin(f"measure {backbone}", 2)
        shown = _Shown.of(workspace, photos, largest, settings.of_run(ClassifierSettings).batch)
        weights[backbone], costs[backbone] = _measured(shown, settings, backbone, report)
    took = time.monotonic() - began
    cells = shared_out(
        cells_of(settings, classify, embed),
        {facts.name: facts for facts in data},
        costs,
        seconds=60 * settings.minutes * (1 - HELD_BACK) - took,
        most_epochs=each.epochs,
    )
    plan = Plan(name=name, settings=settings, weights=weights, costs=costs, data=data, cells=cells)
    return Prepared(plan, splits, took)


def _check_losses(settings: ExperimentSettings) -> None:
    for loss in settings.losses:
        options: Mapping[str, Any] = settings.options.get(loss, {})
        try:
            make_loss(loss, products=2, dimension=8, **options)
        except ValueError as error:
            raise UsageError(str(error)) from None


def _splits(
    workspace: Workspace, photos: Sequence[KeptPhoto], settings: ExperimentSettings
) -> tuple[dict[str, Split], list[str], list[str]]:
    """Splits by data set, and which data sets are for classifiers and which for encoders."""
    known = labelled(workspace, photos, column=settings.column)
    unmarked = [replace(photo, part=None) for photo in known]
    counts: dict[str, int] = {}
    for photo in known:
        counts[photo.code] = counts.get(photo.code, 0) + 1
    able = sum(count >= settings.fewest_photos for count in counts.values())
    if able < 2:
        raise UsageError(
            f"expected two products with {settings.fewest_photos} photos or more, there are "
            f"{able}; ask for fewer with --set fewest_photos=N"
        )
    splits: dict[str, Split] = {}
    same: dict[tuple[tuple[Named, ...], ...], str] = {}

    def named(protocol: Protocol, sizes: Sequence[DataSize]) -> list[str]:
        return list(dict.fromkeys(name_of(protocol, size) for size in as_there_are(sizes, able)))

    def name_of(protocol: Protocol, size: DataSize) -> str:
        options = SplitOptions(
            protocol=protocol,
            val=settings.val,
            test=settings.test if protocol == "closed" else settings.unseen_test,
            products=size.products,
            photos_per_product=size.photos,
            fewest_photos=settings.fewest_photos,
            seed=settings.seed,
        )
        split = make_split(known if protocol == "closed" else unmarked, options)
        name = str(size) if protocol == "closed" else f"unseen-{size}"
        # A larger cap changes nothing where no product has so many photos.
        name = same.setdefault((split.train, split.val, split.test), name)
        splits.setdefault(name, _usable(split, name))
        return name

    classify, embed = named("closed", settings.classify), named("closed", settings.embed)
    embed += named("open", settings.unseen)
    if not splits:
        raise UsageError("expected a data set to work on: name one with --classify or --embed")
    return splits, classify, embed


def _usable(split: Split, name: str) -> Split:
    val, test = split.answerable("val"), split.answerable("test")
    if not (val and test):
        raise UsageError(
            f"the data set {name} has {len(val)} photos to choose by and {len(test)} "
            "to test on, and needs both: products need more photos (--set fewest_photos=N)"
        )
    return split


def _facts(split_name: str, name: str, split: Split, settings: EncoderSettings) -> DataFacts:
    products = split.products()
    place = {code: at for at, code in enumerate(products)}
    labels = [place[code] for code, _ in split.train]
    each = settings.photos_each
    batches = ProductBatches(
        np.array(labels),
        products=max(1, min(settings.batch // each, len(products))),
        photos=each,
    )
    photos_each = split.made_by["photos_per_product"]
    return DataFacts(
        name=name,
        split=split_name,
        split_hash=split.hash,
        protocol=split.protocol,
        products=len(products),
        photos_each=None if photos_each is None else int(photos_each),
        train=len(split.train),
        drawn=len(batches) * batches.batch_size,
        val=len(split.val),
        test=len(split.test),
        tested=len(split.products("test")),
    )


class _Stopwatch:
    """Notes when each stage began, and when each of its batches was done."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.steps: dict[str, list[tuple[float, int]]] = {}

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self._what = stage
        self.begun[stage] = time.monotonic()
        self.steps[stage] = []

    def advance(self, count: int = 1) -> None:
        self.steps[self._what].append((time.monotonic(), count))

    def per_photo(self, what: str) -> float:
        """Seconds; without the first of several batches, which warms up."""
        steps = self.steps[what]
        if len(steps) == 1:
            return (steps[0][0] - self.begun[what]) / steps[0][1]
        return (steps[-1][0] - steps[0][0]) / sum(photos for _, photos in steps[1:])


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a backbone is measured on: some photos to train on, two to validate by."""

    products: tuple[str, ...]
    train: TrainingPhotos
    val: TrainingPhotos

    @classmethod
    def of(
        cls, workspace: Workspace, kept: Sequence[KeptPhoto], split: Split, batch: int
    ) -> _Shown:
        count = REHEARSED_BATCHES * batch
        every = max(1, len(split.train) // count)
        products = split.products()
        shown = part_photos(workspace, kept, split.train[::every][:count], products)
        return cls(products, shown, part_photos(workspace, kept, split.val[:2], products))


def _measured(
    shown: _Shown, settings: ExperimentSettings, backbone: str, report: Progress
) -> tuple[str, Costs]:
    """Train a backbone for three steps and see what it costs; the origin of its weights too."""
    weights = settings.weights.get(backbone, "auto")
    chosen = settings.of_run(
        ClassifierSettings, backbone=backbone, weights=weights, stage="full", epochs=1
    )
    watch, photos = _Stopwatch(), len(shown.train)
    with tempfile.TemporaryDirectory() as folder:
        record = new_record(
            "classifier", chosen, name="rehearsal", split="", split_hash="", products=0, photos=0
        )
        run = Run.create(Path(folder), record)
        task = ClassifierTask(shown.products, shown.train, shown.val)
        train_classifier(task, chosen, run, progress=watch, on_epoch=lambda *_: None)
    report.advance(1)
    made = create(backbone, weights=weights, side_px=chosen.side_px)
    made = made.to(memory_format=torch.channels_last)
    watch.begin("look", photos)
    see(made, shown.train, chosen.side_px, advance=watch.advance)
    report.advance(1)
    return made.weights, Costs(
        features_s=watch.per_photo("features"),
        look_s=watch.per_photo("look"),
        step_s=watch.per_photo("train"),
        head_s=max(0.0, watch.begun["train"] - watch.steps["features"][-1][0]),
    )


# -- running ---------------------------------------------------------------------------------------


class _Watched:
    """Passes on what is reported, and stops the work when the time is up."""

    def __init__(self, told: Progress, deadline: float, clock: Callable[[], float]) -> None:
        self._told, self._deadline, self._clock = told, deadline, clock

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self._told.begin(stage, total, done)
        self._check()

    def advance(self, count: int = 1) -> None:
        self._told.advance(count)
        self._check()

    def _check(self) -> None:
        if self._clock() > self._deadline:
            raise TimeUp


def run_experiment(
    workspace: Workspace,
    experiment: Experiment,
    *,
    teller: Teller,
    trackers: Sequence[str] = (),
    on_result: Callable[[Plan, Results], object] = lambda plan, results: None,
    clock: Callable[[], float] = time.monotonic,
) -> Results:
    """Fill the cells of the plan that have no result yet, until the time is up.

    A cell that would not end in time, as far as the plan and the cells before tell, is passed over
    for one that would. One that fails is told and does not keep the others from being filled.

    Args:
        on_result: called after every cell.
        clock: seconds, ascending.

    Raises:
        UsageError: there is no plan, or another process works on it.
    """
    with locked(experiment.folder / LOCK, f"the experiment {experiment.folder.name}"):
        plan = experiment.plan()
        take_the_machine(plan.settings.of_run(ClassifierSettings).threads)
        ledger = _Ledger(experiment, clock)
        deadline = ledger.began + 60 * plan.settings.minutes - ledger.before
        watched = _Watched(teller, deadline, clock)
        for number, cell in enumerate(plan.cells, 1):
            known = ledger.known(cell)
            still = max(OVERHEAD_S, ledger.pace(plan.cells) * cell.seconds - known.seconds)
            if known.state == "done" or clock() + still > deadline:
                continue
            teller.cell(number, cell, deadline - clock())
            result = ledger.filled(_Work(workspace, plan, cell, watched, trackers))
            teller.result(cell, result)
            on_result(plan, ledger.results)
        return ledger.results


class _Ledger:
    """The results file, and the time spent."""

    def __init__(self, experiment: Experiment, clock: Callable[[], float]) -> None:
        self.results = experiment.results()
        self.before = self.results.spent_s
        self.began = clock()
        self._experiment, self._clock = experiment, clock

    def known(self, cell: Cell) -> CellResult:
        """What there is of a cell."""
        return self.results.cells.get(cell.name, CellResult(state="stopped"))

    def pace(self, cells: Sequence[Cell]) -> float:
        """How long cells took that are done, as a share of what they were expected to take."""
        done = [(found.seconds, cell.seconds) for cell in cells if (found := self.results.of(cell))]
        took, expected = (sum(column) for column in zip(*done, strict=True)) if done else (1, 1)
        return min(SLOWEST, max(1 / SLOWEST, took / expected))

    def filled(self, work: _Work) -> CellResult:
        """Fill a cell, and write down at any moment what a kill would leave of it."""
        known, began = self.known(work.cell), self._clock()

        def put(result: CellResult) -> CellResult:
            seconds = known.seconds + self._clock() - began
            result = result.model_copy(update={"run": work.run_name, "seconds": seconds})
            self._put(work.cell, result)
            return result

        def told(*_: object) -> None:
            put(CellResult(state="stopped", why="it was killed"))

        told()
        try:
            return put(work.fill(told))
        except TimeUp:
            return put(CellResult(state="stopped", why="the time was up"))
        except KeyboardInterrupt:
            put(CellResult(state="stopped", why="it was interrupted"))
            raise
        except SatchelError as error:
            return put(CellResult(state="failed", why=str(error)))

    def _put(self, cell: Cell, result: CellResult) -> None:
        self.results = Results(
            spent_s=self.before + self._clock() - self.began,
            cells={**self.results.cells, cell.name: result},
        )
        self._experiment.write(self.results)


@dataclass(frozen=True, slots=True)
class _Work:
    """Filling one cell."""

    workspace: Workspace
    plan: Plan
    cell: Cell
    report: Progress
    trackers: Sequence[str]

    @property
    def run_name(self) -> str | None:
        """Of the cell's run, which is the same however often it is begun."""
        trains = self.cell.kind != "untrained"
        return f"{self.plan.name}-{self.cell.name}" if trains else None

    def fill(self, on_epoch: OnEpoch) -> CellResult:
        """Train, or go on, and evaluate.

        Args:
            on_epoch: called after every epoch.
        """
        if self.run_name is None:
            return CellResult(state="done", figures=self._untrained().figures)
        run = self._run(self.run_name)
        record = go_on(
            self.workspace,
            run,
            progress=self.report,
            trackers=self.trackers,
            on_epoch=on_epoch,
        )
        return CellResult(
            state="done",
            epochs=record.epochs,
            score=record.figures["score"],
            figures=self._evaluated(run).figures,
        )

    def _run(self, name: str) -> Run:
        settings = self.cell.settings(self.plan.settings)
        facts = self.plan.facts(self.cell.data)
        run = Run(self.workspace.runs / name)
        if not (run.folder / RECORD).exists():
            return start(self.workspace, facts.split, settings, name)
        record = run.read()
        same = record.split_hash == facts.split_hash
        if not same or record.settings != settings.model_dump(mode="json"):
            raise UsageError(
                f"the run {name} was trained otherwise; give the experiment another --name"
            )
        return run

    def _evaluated(self, run: Run) -> EvaluationReport:
        """The test part is looked at once: what was said of it then is kept."""
        folder = run.folder / "test"
        if (folder / FIGURES).exists():
            return EvaluationReport.from_json((folder / FIGURES).read_bytes())
        advance = self._advance()
        found = evaluate_run(self.workspace, run, advance=advance, embedding=False)
        folder.mkdir(exist_ok=True)
        write_report(found, self.workspace.photos.read_or_none, folder)
        return found

    def _untrained(self) -> EvaluationReport:
        common = self.plan.settings
        weights = common.weights.get(self.cell.backbone, "auto")
        side_px = common.of_run(EncoderSettings).side_px
        backbone = create(self.cell.backbone, weights=weights, side_px=side_px)
        return evaluate_untrained(
            self.workspace,
            self.plan.facts(self.cell.data).split,
            backbone.to(memory_format=torch.channels_last),
            side_px=side_px,
            advance=self._advance(),
        )

    def _advance(self) -> Callable[[int], None]:
        self.report.begin("evaluate", self.plan.facts(self.cell.data).test)
        return self.report.advance


# -- the page --------------------------------------------------------------------------------------


def write_page(workspace: Workspace, experiment: Experiment, plan: Plan, results: Results) -> Path:
    """Write the page, with what went wrong from the best classifier's own report."""
    best = best_classifier(plan, results)
    confusions: tuple[ConfusionRow, ...] = ()
    if best is not None and best[1].run is not None:
        path = workspace.runs / best[1].run / "test" / FIGURES
        if path.exists():
            confusions = EvaluationReport.from_json(path.read_bytes()).confusions
    report = experiment_report(plan, results, confusions=confusions)
    return write_experiment(report, workspace.photos.read_or_none, experiment.folder)
