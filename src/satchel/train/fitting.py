"""What the training loop works on: network, objective, batches, validation, state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from satchel.progress import SILENT, Progress
from satchel.train.backbones import Backbone
from satchel.train.batches import Batch, Step
from satchel.train.samplers import Batches
from satchel.train.settings import FitSettings


class Objective(Protocol):
    """What a network is trained for: a module that turns vectors into a loss."""

    def __call__(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Loss of a batch; vectors, shape (n, d); labels and others, shape (n,), int64."""


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


@dataclass(frozen=True, slots=True)
class Fitting:
    """Everything that one call of `fit` works on.

    Attributes:
        shown: steps → their training batches, a few ahead; a batch depends on its step alone.
        batches: (number of this process, number of processes) → which photos its steps take.
        validate: the averaged network → figures of the validation part; `score` chooses the best.
        on_epoch: epoch (from 1) and its figures, after each, in the main process.
        most_epochs: that a budget of minutes is spent on, however many would fit.
    """

    trainable: Trainable
    shown: Callable[[Iterable[Step]], Iterator[Batch]]
    batches: Callable[[int, int], Batches]
    settings: FitSettings
    validate: Callable[[Trainable], dict[str, float]]
    on_epoch: Callable[[int, dict[str, float]], None]
    progress: Progress = SILENT
    most_epochs: float = math.inf


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
    """

    step: int = 0
    epochs: int = 0
    precision: str = "fp32"
    best: float = -1.0
    loss: float = 0.0
    seconds: float = 0.0
