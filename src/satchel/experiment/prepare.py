"""Planning an experiment: data sets, measured costs of the backbones, epochs of the cells."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from satchel.errors import UsageError
from satchel.experiment.datasets import describe, make_datasets
from satchel.experiment.plan import RESERVE, Costs, Plan, make_cells, schedule
from satchel.experiment.settings import ExperimentSettings
from satchel.experiment.store import Experiment
from satchel.progress import Progress
from satchel.train.backbones import Backbone, channels_last
from satchel.train.batches import TrainingPhotos
from satchel.train.classifier import ClassifierTask, train_classifier
from satchel.train.encoder import network_embeddings
from satchel.train.losses import make_loss
from satchel.train.pretrained import create
from satchel.train.runs import Run
from satchel.train.settings import ClassifierSettings
from satchel.train.splits import Split
from satchel.workflows.kinds import CLASSIFIER
from satchel.workflows.split import labelled, part_photos, workspace_photos
from satchel.workflows.train import take_the_machine
from satchel.workspace import Workspace

MEASURED_STEPS: Final = 3
"""Training steps by which the cost of a backbone is measured; the first of them warms up."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and the splits by the name of their data set, before they are written."""

    plan: Plan
    splits: Mapping[str, Split]

    def write(self, workspace: Workspace, experiment: Experiment) -> None:
        """Write splits and plan; the plan last.

        Raises:
            UsageError: another split has one of the names.
        """
        for dataset in self.plan.datasets:
            path, split = workspace.split_path(dataset.split), self.splits[dataset.name]
            if path.exists() and Split.load(path).hash != split.hash:
                raise UsageError(f"{path} is another split; give the experiment another --name")
            split.save(path)
        experiment.write_plan(self.plan)


def prepare(
    workspace: Workspace, name: str, settings: ExperimentSettings, progress: Progress
) -> Prepared:
    """Plan an experiment; writes nothing.

    Raises:
        UsageError: a loss or backbone does not exist, or there are too few photos.
    """
    began = time.monotonic()
    for loss in settings.losses:
        options: Mapping[str, Any] = settings.options.get(loss, {})
        try:
            make_loss(loss, products=2, dimension=8, **options)
        except ValueError as error:
            raise UsageError(str(error)) from None
    take_the_machine(settings.of_run(ClassifierSettings).threads)
    photos = workspace_photos(workspace)
    made = make_datasets(labelled(workspace, photos, column=settings.column), settings)
    datasets = tuple(describe(key, f"{name}-{key}", split) for key, split in made.splits.items())

    largest = max(made.splits.values(), key=lambda split: len(split.products()))
    products, count = largest.products(), MEASURED_STEPS * settings.of_run(ClassifierSettings).batch
    sample = largest.train[:: max(1, len(largest.train) // count)][:count]
    task = ClassifierTask(
        products,
        part_photos(workspace, photos, sample, products),
        part_photos(workspace, photos, largest.val[:2], products),
    )
    weights, costs = {}, {}
    for backbone in dict.fromkeys(settings.backbones):
        progress.begin(f"measure {backbone}", 1)
        weights[backbone], costs[backbone] = _measure(task, settings, backbone)
        progress.advance(1)
    cells = schedule(
        make_cells(settings, made.classify, made.embed),
        {dataset.name: dataset for dataset in datasets},
        costs,
        seconds=60 * settings.minutes * (1 - RESERVE) - (time.monotonic() - began),
        max_epochs=settings.of_run(ClassifierSettings).epochs,
    )
    plan = Plan(name=name, settings=settings, weights=weights, datasets=datasets, cells=cells)
    return Prepared(plan, made.splits)


def _measure(
    task: ClassifierTask, settings: ExperimentSettings, backbone: str
) -> tuple[str, Costs]:
    """Train a backbone for a few steps; return the origin of its weights, and its costs."""
    weights = settings.weights.get(backbone, "auto")
    chosen = settings.of_run(
        ClassifierSettings, backbone=backbone, weights=weights, stage="full", epochs=1
    )
    timer = _StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), CLASSIFIER.new_record(chosen, "measured"))
        train_classifier(task, chosen, run, progress=timer, on_epoch=lambda *_: None)
    made = create(backbone, weights=weights, side_px=chosen.side_px)
    made = channels_last(made)
    return made.weights, Costs(
        encode_s=_encode_seconds(made, task.train, chosen.side_px),
        step_s=timer.seconds_per_photo(),
    )


def _encode_seconds(backbone: Backbone, photos: TrainingPhotos, side_px: int) -> float:
    began = time.monotonic()
    network_embeddings(backbone, photos, side_px)
    return (time.monotonic() - began) / len(photos)


class _StepTimer:
    """Times training steps; reports no progress."""

    def __init__(self) -> None:
        self._training = False
        self._steps: list[tuple[float, int]] = []

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self._training = stage == "train"
        self.advance(0)

    def advance(self, count: int = 1) -> None:
        if self._training:
            self._steps.append((time.monotonic(), count))

    def seconds_per_photo(self) -> float:
        """Without the first of several steps, which warms up."""
        steps = self._steps[1:] if len(self._steps) > 2 else self._steps
        return (steps[-1][0] - steps[0][0]) / sum(photos for _, photos in steps[1:])
