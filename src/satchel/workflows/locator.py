"""`satchel train locator`: begin a run of a detector; then evaluate and export it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from satchel.encode.registry import CARD
from satchel.errors import UsageError
from satchel.evaluate.charts import Line, Point
from satchel.evaluate.report import DataFacts, EvaluationReport, Figure, Training
from satchel.evaluate.stability import loss_trends
from satchel.locate.card import LocatorCard
from satchel.onnx_model import write_model
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.train.locator.detect import detect
from satchel.train.locator.export import best_score, detector_card, export_detector
from satchel.train.locator.figures import Boxes, DetectionFigures, Precision, detection_figures
from satchel.train.locator.frozen import samples_of
from satchel.train.locator.training import (
    LocatorTask,
    check_task,
    load_detector,
    new_network,
    write_classes,
)
from satchel.train.runs import Run
from satchel.train.settings import LocatorSettings
from satchel.workflows.kinds import LOCATOR
from satchel.workflows.locator_data import GatheredPhotos, gather_photos, photo_reader
from satchel.workflows.tasks import locator_task
from satchel.workflows.train import make_run
from satchel.workspace import Workspace

LOSSES = {
    "loss": "all",
    "loss_box": "boxes",
    "loss_objectness": "objectness",
    "loss_class": "classes",
    "loss_main": "main good",
    "loss_offsets": "box offsets",
}
ACCURACIES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "main_iou": "IoU of the main object"}


def begin_locator(
    workspace: Workspace,
    settings: LocatorSettings,
    name: str,
    *,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> tuple[Run, GatheredPhotos]:
    """Make the folder of a new run, its photos and boxes frozen in it.

    Args:
        on_problem: called with each photo or box that is left out.

    Raises:
        UsageError: nothing is left to train on, or the settings do not fit; there is no run then.
    """
    data = gather_photos(workspace, settings, on_problem=on_problem, progress=progress)
    parts = (data.photos.of(part) for part in ("train", "val"))
    read = photo_reader(workspace)
    train, val = (samples_of(one, data.classes, read, min_side_px=1) for one in parts)
    task = LocatorTask(data.classes, train, val)
    check_task(task, settings)
    new_network(task, settings)  # refuses weights that do not fit, before there is a run
    record = LOCATOR.new_record(settings, name).model_copy(update={"photos": len(train)})

    def fill(run: Run) -> None:
        write_classes(run, data.classes)
        data.photos.write(run)

    return make_run(workspace, record, fill), data


def evaluate_locator(
    workspace: Workspace, run: Run, *, progress: Progress = SILENT
) -> EvaluationReport:
    """Evaluate a run's best weights on its validation part, by class and by size.

    Raises:
        UsageError: the run has no weights yet.
    """
    truth, found, classes = _detected(workspace, run, progress)
    figures = detection_figures(truth, found, classes)
    record = run.read()
    return EvaluationReport(
        title=f"{run.name} on val",
        data=DataFacts(
            "photos of the run",
            "",
            {
                "training photos": record.photos,
                "photos": len(truth),
                "boxes": figures.overall.boxes,
            },
        ),
        about={
            "kind": record.kind,
            "architecture": str(record.settings["architecture"]),
            "revision": record.revision,
            "machine": f"{record.machine['cores']} cores, GPU: {record.machine['gpu']}",
            "trained for": f"{record.seconds / 60:.1f} min, {record.epochs:g} epochs",
            "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
        notes=(
            "AP: average precision, the mean over IoU 0.5 to 0.95, as COCO defines it. Sizes are "
            "shares of the photo's area. The best weights were chosen on these photos.",
            "Main object: the box that identification would use, whatever its class; 0 where none "
            "is found.",
            *(f"{trend}." for trend in loss_trends(run.curves())),
        ),
        figures=_figures(figures),
        training=_training(run),
    )


def export_locator(
    workspace: Workspace, run: Run, *, progress: Progress = SILENT
) -> tuple[Path, LocatorCard]:
    """Export a run's best weights as an ONNX file with its card, under the workspace's models.

    Returns:
        the card's path, and the card.

    Raises:
        UsageError: the run has no weights yet, or the file does not agree with the network.
    """
    truth, found, classes = _detected(workspace, run, progress)
    network, _, settings = load_detector(run)
    exported = export_detector(network, locator_task(workspace, run).val, settings.side_px)
    record, folder = run.read(), workspace.models / run.name
    start = f" from {Path(settings.weights).name}" if settings.starts_from_file else ""
    card = detector_card(
        exported,
        name=run.name,
        classes=classes,
        side_px=settings.side_px,
        score=best_score(truth, found),
        iou=settings.iou,
        architecture=settings.architecture,
        weights=f"trained{start} on {record.photos:,} photos",
        licence="that of the photos it was trained on, and of the weights it began with",
        recipe=f"satchel {record.command}, run {record.name}, Satchel {record.revision}",
        figures=detection_figures(truth, found, classes).plain(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / CARD, card, exported.model)
    return folder / CARD, card


def _detected(
    workspace: Workspace, run: Run, progress: Progress
) -> tuple[list[Boxes], list[Boxes], tuple[str, ...]]:
    """Truth and detections of the validation part, and the classes."""
    if not run.best.exists():
        raise UsageError(f"the run {run.name} has no weights yet: it is {run.state()}")
    task = locator_task(workspace, run)
    network, classes, settings = load_detector(run)
    progress.begin("detect", len(task.val))
    truth, found = [], []
    for real, guess in detect(network, task.val, settings.side_px, iou=settings.iou):
        truth.append(real)
        found.append(guess)
        progress.advance()
    return truth, found, classes


def _figures(found: DetectionFigures) -> tuple[Figure, ...]:
    """Figures of all boxes, of the main object, of each class and of each size."""
    rows = [
        *_precisions("all", found.overall),
        Figure("IoU of the main object", found.main_iou, queries=found.photos),
        Figure("Main object with IoU 0.5 or more", found.main_half, queries=found.photos),
    ]
    for groups in (found.by_class, found.by_size):
        for name, precision in groups.items():
            rows += _precisions(name, precision)
    return tuple(row for row in rows if not math.isnan(row.value))


def _precisions(name: str, precision: Precision) -> list[Figure]:
    values = {"AP": precision.ap, "AP50": precision.ap50, "AP75": precision.ap75}
    return [Figure(f"{key}, {name}", v, queries=precision.boxes) for key, v in values.items()]


def _training(run: Run) -> Training | None:
    """Losses and validation figures by epoch; None for a run of one epoch."""
    curves = run.curves()
    if len(curves) < 2:
        return None

    def lines(names: dict[str, str]) -> tuple[Line, ...]:
        drawn = []
        for key, name in names.items():
            points = tuple(Point(row["epoch"], row[key]) for row in curves if key in row)
            if points:
                drawn.append(Line(name, points))
        return tuple(drawn)

    return Training(loss=lines(LOSSES), accuracy=lines(ACCURACIES))
