"""What the training loop works on: network, objective, batches, validation, state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from satchel.progress import SILENT, Progress
from satchel.train.backbones import Backbone
from satchel.train.batches import Step
from satchel.train.samplers import Batches
from satchel.train.schedule import parameter_groups
from satchel.train.settings import FitSettings


class Objective(Protocol):
    """What a network is trained for: a module that turns vectors into a loss."""

    def __call__(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Loss of a batch; vectors, shape (n, d); labels and others, shape (n,), int64."""


class TrainingBatch(Protocol):
    """A batch as the training loop takes it."""

    def __len__(self) -> int:
        """Photos in the batch."""

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of the trained module; arrays become tensors on its device."""


class Trainable(torch.nn.Module):
    """Backbone and objective as one module, as distributed training wants it."""

    def __init__(self, backbone: Backbone, objective: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective: Any = objective  # each kind of run has methods of its own

    def forward(
        self, crops: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Loss of a batch of crops, shape (n, side, side, 3), uint8."""
        vectors = self.backbone(crops)
        # A loss compares numbers that are close together: never in half precision.
        with torch.autocast(crops.device.type, enabled=False):
            return self.objective(vectors, labels, others, share)


def on_device(batch: TrainingBatch, device: torch.device) -> list[Any]:
    """A batch's arguments, its arrays as tensors on a device."""
    return [
        torch.from_numpy(part).to(device) if isinstance(part, np.ndarray) else part
        for part in batch.arguments()
    ]


def summed(loss: torch.Tensor | dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    """A loss, and the values of its parts, of which a loss that is one tensor has none."""
    if isinstance(loss, torch.Tensor):
        return loss, {}
    return torch.stack(list(loss.values())).sum(), {k: float(v.detach()) for k, v in loss.items()}


@dataclass(frozen=True, slots=True)
class Fitting:
    """Everything that one call of `fit` works on.

    Attributes:
        trainable: arguments of a batch → its loss, or the parts of it by name, which are summed.
        shown: steps → their training batches, a few ahead; a batch depends on its step alone.
        batches: (number of this process, number of processes) → which photos its steps take.
        validate: the averaged network → figures of the validation part; `score` chooses the best.
        on_epoch: epoch (from 1) and its figures, after each, in the main process.
        most_epochs: that a budget of minutes is spent on, however many would fit.
        groups: the trained parameters, each group with the peak of its learning rate.
    """

    trainable: torch.nn.Module
    shown: Callable[[Iterable[Step]], Iterator[TrainingBatch]]
    batches: Callable[[int, int], Batches]
    settings: FitSettings
    validate: Callable[[Any], dict[str, float]]
    on_epoch: Callable[[int, dict[str, float]], None]
    progress: Progress = SILENT
    most_epochs: float = math.inf
    groups: Callable[[Any, FitSettings], list[dict[str, Any]]] = parameter_groups


@dataclass(slots=True)
class TrainingState:
    """How far training has come; kept in the checkpoint.

    Attributes:
        step: steps done, over all epochs.
        epochs: that there will be.
        precision: fp32 or bf16: as set, or the faster one as measured when training began.
        best: the best validation score so far.
        loss: summed over the steps of the epoch under way.
        seconds: of training, all resumptions together.
        parts: of the loss, by name, summed likewise; empty for a loss without parts.
        stale: epochs since the best one.
    """

    step: int = 0
    epochs: int = 0
    precision: str = "fp32"
    best: float = -1.0
    loss: float = 0.0
    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    stale: int = 0
