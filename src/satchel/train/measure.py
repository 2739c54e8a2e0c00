"""Measurements at the start of training: the faster precision, and the epochs that fit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator

from satchel.train.batches import Step
from satchel.train.fitting import Fitting, TrainingBatch, on_device, summed
from satchel.train.samplers import Batches
from satchel.train.schedule import side_of_epoch

MEASURED_STEPS: Final = 5
PRECISION_ROUNDS: Final = 3
"""Steps in either precision before one is chosen; the first of them warms up."""


def autocast(device: torch.device, precision: str) -> Any:
    """Multiply in this precision. Accelerate's own is fixed before anything can be measured."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def choose_precision(
    work: Fitting, batches: Batches, accelerator: Accelerator, model: torch.nn.Module
) -> str:
    """The precision: as the settings say, or whichever is faster here.

    GPUs that can train are faster in bf16. Processors are where they have AMX, others may be
    slower by half.
    """
    settings, device = work.settings, accelerator.device
    if settings.precision != "auto":
        return settings.precision
    if device.type != "cpu":
        return "bf16"
    step = Step(0, 0, batches.batch(0, 0), settings.side_px)
    (batch,) = work.shown([step])
    times: dict[str, list[float]] = {"fp32": [], "bf16": []}
    with _restored(model):
        for _ in range(PRECISION_ROUNDS):
            for precision, taken in times.items():
                began = time.monotonic()
                _forward_backward(accelerator, model, batch, precision)
                taken.append(time.monotonic() - began)
    # The first round warms up. Other load on the machine only adds to a time: take the least.
    fastest = torch.tensor([min(taken[1:]) for taken in times.values()], device=device)
    fp32, bf16 = accelerator.reduce(fastest).tolist()
    return "bf16" if bf16 < fp32 else "fp32"


def choose_epochs(
    work: Fitting,
    batches: Batches,
    accelerator: Accelerator,
    model: torch.nn.Module,
    precision: str,
) -> int:
    """The number of epochs: as the settings say, or as many as fit into the budget."""
    settings = work.settings
    if settings.minutes is None:
        return settings.epochs
    seconds = _seconds_per_step(work, batches, accelerator, model, precision)
    seconds = float(accelerator.gather(torch.tensor([seconds], device=accelerator.device)).max())
    began = time.monotonic()
    work.validate(work.trainable)
    validation = time.monotonic() - began

    def takes(epochs: int) -> float:
        areas = [
            (side_of_epoch(settings, e, epochs) / settings.side_px) ** 2 for e in range(epochs)
        ]
        return sum(areas) * seconds * len(batches) + epochs * validation

    epochs = 1
    while epochs < work.most_epochs and takes(epochs + 1) <= settings.minutes * 60:
        epochs += 1
    return epochs


def _seconds_per_step(
    work: Fitting,
    batches: Batches,
    accelerator: Accelerator,
    model: torch.nn.Module,
    precision: str,
) -> float:
    """Time of a step at full size."""
    settings = work.settings
    steps = (
        Step(0, number, batches.batch(0, number % len(batches)), settings.side_px)
        for number in range(MEASURED_STEPS + 1)
    )
    times = []
    with _restored(model):
        began = time.monotonic()
        for batch in work.shown(steps):
            _forward_backward(accelerator, model, batch, precision)
            times.append(time.monotonic() - began)
            began = time.monotonic()
    return float(np.median(times[1:]))


@contextlib.contextmanager
def _restored(model: torch.nn.Module) -> Iterator[None]:
    """Restore weights and statistics afterwards, bit for bit."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    yield
    model.load_state_dict(before)


def _forward_backward(
    accelerator: Accelerator, model: torch.nn.Module, batch: TrainingBatch, precision: str
) -> None:
    """A training step without the optimizer."""
    device = accelerator.device
    with autocast(device, precision):
        loss, _ = summed(model(*on_device(batch, device)))
    accelerator.backward(loss)
    model.zero_grad(set_to_none=True)
