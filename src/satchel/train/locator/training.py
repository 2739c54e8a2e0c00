"""Train a detector: photos with boxes → where the goods are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch import nn

from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.progress import Progress
from satchel.train.backbones import channels_last
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, TrainingState
from satchel.train.locator.architectures import ARCHITECTURES, Architecture
from satchel.train.locator.augment import letterbox
from satchel.train.locator.batches import STRIDE_PX, detection_batches
from satchel.train.locator.detect import detect
from satchel.train.locator.figures import DetectionFigures, detection_figures
from satchel.train.locator.samples import Samples
from satchel.train.locator.weights import fit_statistics
from satchel.train.runs import Run, readable
from satchel.train.samplers import ShuffledBatches
from satchel.train.settings import FitSettings, LocatorSettings

CLASSES: Final = "classes.json"

STATISTICS_PHOTOS: Final = 64
"""Photos on which the statistics of folded batch norms are measured."""


@dataclass(frozen=True, slots=True)
class LocatorTask:
    """What a detector is trained on.

    Attributes:
        classes: their names; labels are places in it.
        train, val: samples; the best weights are chosen by `val`.
    """

    classes: tuple[str, ...]
    train: Samples
    val: Samples


class Detector(nn.Module):
    """Network and objective as one module, as the training loop wants it."""

    def __init__(self, network: nn.Module, objective: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(
        self,
        images: torch.Tensor,
        boxes: torch.Tensor,
        labels: torch.Tensor,
        plain: bool,
        mains: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Parts of the loss of a batch; see `satchel.train.locator.batches.DetectionBatch`."""
        predictions = self.network(images.permute(0, 3, 1, 2).float())
        with torch.autocast(images.device.type, enabled=False):
            parts: dict[str, torch.Tensor] = self.objective(
                predictions, boxes, labels, plain, mains
            )
        return parts


def train_locator(
    task: LocatorTask,
    settings: LocatorSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> TrainingState:
    """Train, or resume where the run stopped.

    The run's folder gets `best.safetensors` and the names of the classes, read by `load_detector`.

    Raises:
        UsageError: there are no photos or classes, or the weights are of another network.
    """
    check_task(task, settings)
    if PartialState().is_main_process:
        write_classes(run, task.classes)
    torch.manual_seed(settings.seed)
    network = new_network(task, settings)
    weights = [settings.class_weights.get(name, 1.0) for name in task.classes]
    architecture = ARCHITECTURES[settings.architecture]
    detector = Detector(network, architecture.objective(weights))
    if settings.starts_from_file and not run.checkpoint.exists():
        fit_statistics(channels_last(network), _plain_photos(task.train, settings))

    def validate(averaged: Detector) -> dict[str, float]:
        figures = measure(averaged.network, task, settings).plain()
        return {"score": figures[settings.choose_by], **figures}

    return fit(
        Fitting(
            trainable=detector,
            shown=partial(detection_batches, task.train, settings),
            batches=partial(shuffled_batches, len(task.train), settings),
            settings=settings,
            validate=validate,
            on_epoch=on_epoch,
            progress=progress,
            groups=partial(parameter_groups, architecture),
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )


def shuffled_batches(
    photos: int, settings: LocatorSettings, process: int, processes: int
) -> ShuffledBatches:
    """Which photos the steps of a process take; see `ShuffledBatches`."""
    return ShuffledBatches(
        photos,
        batch_size=settings.batch,
        per_epoch=settings.photos_per_epoch,
        seed=settings.seed,
        process=process,
        processes=processes,
    )


def new_network(task: LocatorTask, settings: LocatorSettings) -> nn.Module:
    """The network as it is before training.

    Raises:
        UsageError: the weights cannot be read, or are of another network.
    """
    return ARCHITECTURES[settings.architecture].begun(task.classes, settings)


def write_classes(run: Run, classes: Sequence[str]) -> None:
    """Write the names that a run's labels are places in."""
    data = json.dumps(list(classes), ensure_ascii=False) + "\n"
    write_atomically(run.folder / CLASSES, data.encode())


def read_classes(run: Run) -> tuple[str, ...]:
    """Read what `write_classes` wrote.

    Raises:
        UsageError: the file is missing or damaged.
    """
    with readable(run.folder / CLASSES):
        names = json.loads((run.folder / CLASSES).read_bytes())
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("expected a list of names")
        return tuple(names)


def load_detector(run: Run) -> tuple[nn.Module, tuple[str, ...], LocatorSettings]:
    """Load the best weights of a run, ready to detect; with its classes and settings.

    Raises:
        UsageError: they are missing or damaged, or do not fit.
    """
    settings, classes = run.read().settings_as(LocatorSettings), read_classes(run)
    architecture = ARCHITECTURES[settings.architecture]
    network = architecture.empty(len(classes))
    detector = Detector(network, architecture.objective([1.0] * len(classes)))
    with readable(run.best):
        detector.load_state_dict(load_file(run.best))
    network.eval()
    return channels_last(network), classes, settings


def measure(network: nn.Module, task: LocatorTask, settings: LocatorSettings) -> DetectionFigures:
    """Figures on the validation part."""
    network.eval()
    pairs = list(detect(network, task.val, settings.side_px, iou=settings.iou))
    return detection_figures([one for one, _ in pairs], [two for _, two in pairs], task.classes)


def parameter_groups(
    architecture: Architecture, detector: Detector, settings: FitSettings
) -> list[dict[str, Any]]:
    """Parameters by learning rate: those of the network's parts, the head first.

    `stage` says how far back: head (the first part alone), partial (the second too) or full.
    Weights are decayed, biases and norms are not.
    """
    parts = architecture.parts(detector.network)
    reach = {"head": 1, "partial": 2, "full": len(parts)}[settings.stage]
    groups: list[dict[str, Any]] = []
    for depth, part in enumerate(parts):
        peak = settings.learning_rate * settings.layer_decay ** max(0, depth - 1)
        for decayed in (True, False):
            parameters = [one for one in part.parameters() if (one.ndim > 1) is decayed]
            if depth >= reach:
                for one in parameters:
                    one.requires_grad_(False)
                continue
            groups.append(
                {
                    "params": parameters,
                    "weight_decay": settings.weight_decay if decayed else 0.0,
                    "peak": settings.head_rate if depth == 0 else peak,
                }
            )
    return groups


def _plain_photos(samples: Samples, settings: LocatorSettings) -> list[torch.Tensor]:
    """Some photos as the network sees them without augmentation, in batches of eight."""
    rows = np.unique(np.linspace(0, len(samples) - 1, STATISTICS_PHOTOS).astype(np.int64))
    canvases = [letterbox(samples[row][0], settings.side_px)[0] for row in rows.tolist()]
    pixels = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2)
    return [part.float() for part in pixels.split(8)]


def check_task(task: LocatorTask, settings: LocatorSettings) -> None:
    """Refuse what cannot be trained.

    Raises:
        UsageError: there are no photos or classes, or the settings do not fit them.
    """
    for name, samples in (("train on", task.train), ("validate with", task.val)):
        if len(samples) == 0:
            raise UsageError(f"expected photos with boxes to {name}, got none")
    if not task.classes:
        raise UsageError("expected at least one class of objects, got none")
    unknown = sorted(set(settings.class_weights) - set(task.classes))
    if unknown:
        raise UsageError(
            f"class_weights names {', '.join(unknown)}; the classes are {', '.join(task.classes)}"
        )
    if settings.side_px % STRIDE_PX:
        raise UsageError(f"expected side_px in multiples of {STRIDE_PX}, got {settings.side_px}")
