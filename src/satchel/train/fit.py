"""The training loop: the same for classifiers and encoders, and the same after a kill.

Learning rates, batches and random numbers are functions of the step's number; everything else
(weights, their average, the optimizer's moments) is in the checkpoint. So a resumed run ends with
the weights of a run that never stopped.

Accelerate runs it on one device or on many: `accelerate launch -m satchel train …`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator

from satchel.errors import UsageError
from satchel.train.backbones import channels_last
from satchel.train.batches import Step
from satchel.train.checkpoint import Checkpoint, MovingAverage, save_weights
from satchel.train.fitting import Fitting, TrainingBatch, TrainingState, on_device, summed
from satchel.train.measure import autocast, choose_epochs, choose_precision
from satchel.train.samplers import Batches
from satchel.train.schedule import (
    freeze_statistics,
    set_rates,
    side_of_epoch,
)

CHECKPOINT_S: Final = 60.0
"""Training time between two checkpoints inside an epoch: what a kill can cost."""


def fit(work: Fitting, *, checkpoint: Path, best: Path) -> TrainingState:
    """Train, or resume from the checkpoint if there is one.

    Args:
        checkpoint: where training resumes from after a kill; safetensors.
        best: for the averaged weights that validate best; safetensors.
    """
    settings = work.settings
    accelerator = Accelerator(mixed_precision="no", cpu=not has_gpu())  # see autocast
    trainable = channels_last(work.trainable.to(accelerator.device))
    optimizer = torch.optim.AdamW(work.groups(trainable, settings), lr=1.0)
    average = MovingAverage(trainable, settings.average)
    model, optimizer = accelerator.prepare(trainable, optimizer)
    saved = Checkpoint(accelerator.unwrap_model(model), average, optimizer, checkpoint)
    batches = work.batches(accelerator.process_index, accelerator.num_processes)
    if checkpoint.exists():
        state = saved.restore()
    else:
        precision = choose_precision(work, batches, accelerator, model)
        epochs = choose_epochs(work, batches, accelerator, model, precision)
        state = TrainingState(epochs=epochs, precision=precision)
        accelerator.wait_for_everyone()  # all have seen that there was no checkpoint
        if accelerator.is_main_process:
            saved.save(state)  # a second measurement could give other values
    step_photos = batches.batch_size * accelerator.num_processes
    total = state.epochs * len(batches) * step_photos
    work.progress.begin("train", total, state.step * step_photos)
    loop = _Loop(work, batches, accelerator, model, optimizer, average, saved, state)
    while state.step < state.epochs * len(batches) and not loop.has_converged():
        loop.epoch(best)
    return state


def has_gpu() -> bool:
    """Whether there is a GPU that torch can train on."""
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


@dataclass(slots=True)
class _Loop:
    work: Fitting
    batches: Batches
    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: Any
    average: MovingAverage
    checkpoint: Checkpoint
    state: TrainingState

    def has_converged(self) -> bool:
        """Whether as many epochs as the settings allow brought nothing better."""
        patience = self.work.settings.patience
        return patience is not None and self.state.stale >= patience

    def epoch(self, best: Path) -> None:
        """Train to the end of the epoch under way, validate, keep the best, write a checkpoint."""
        state, main = self.state, self.accelerator.is_main_process
        steps = len(self.batches)
        epoch = state.step // steps
        self._steps(epoch, state.step % steps, steps)
        averaged = self.average.module
        figures = self.work.validate(averaged) | {"loss": state.loss / steps}
        figures |= {f"loss_{name}": total / steps for name, total in state.parts.items()}
        state.loss, state.parts = 0.0, {}
        state.stale += 1
        if figures["score"] > state.best:
            state.best, state.stale = figures["score"], 0
            if main:
                save_weights(averaged, best)
        if main:
            self.work.on_epoch(epoch + 1, figures)
            self.checkpoint.save(state)
        self.accelerator.wait_for_everyone()

    def _steps(self, epoch: int, first: int, end: int) -> None:
        settings, state = self.work.settings, self.state
        self.model.train()
        if settings.freeze_statistics:
            freeze_statistics(self.model)
        sides = side_of_epoch(settings, epoch, state.epochs)
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        todo = (
            Step(
                epoch,
                number * count + rank,
                self.batches.batch(epoch, number),
                sides,
                state.epochs,
            )
            for number in range(first, end)
        )
        began = saved = time.monotonic()
        for batch in self.work.shown(todo):
            # Dropout and the like draw from torch's own generator: it too depends on the step.
            torch.manual_seed((settings.seed * 1_000_003 + state.step) * 64 + rank)
            set_rates(self.optimizer, state.step, state.epochs * end, settings)
            loss = self._step(batch)
            state.step += 1
            state.loss += loss
            self.work.progress.advance(len(batch) * count)
            now = time.monotonic()
            state.seconds, began = state.seconds + now - began, now
            if now - saved > CHECKPOINT_S and self.accelerator.is_main_process:
                self.checkpoint.save(state)
                saved = now

    def _step(self, batch: TrainingBatch) -> float:
        device = self.accelerator.device
        with autocast(device, self.state.precision):
            loss, parts = summed(self.model(*on_device(batch, device)))
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is {loss.item()} at step {self.state.step}; lower the learning rates "
                "or train with --set precision=fp32, then start a new run"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.state.step)
        for name, value in parts.items():
            self.state.parts[name] = self.state.parts.get(name, 0.0) + value
        return float(loss.detach())
