"""The training loop: the same for classifiers and encoders, and the same after a kill.

Nothing in it remembers by having run: learning rates, batches and random numbers are functions of
the step's number, and what remains (weights, their average, the optimizer's moments) is in the
checkpoint. So a run that goes on from one ends with the weights of a run that never stopped.

Accelerate puts it on the device there is, or on many: `accelerate launch -m satchel train …`.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from satchel.errors import UsageError
from satchel.files import atomic_path
from satchel.train.backbones import Backbone
from satchel.train.batches import Batch, Step
from satchel.train.runs import readable
from satchel.train.samplers import Batches
from satchel.train.settings import FitSettings

CHECKPOINT_S: Final = 60.0
"""Training time between two checkpoints inside an epoch: what a kill can cost."""

MEASURED_STEPS: Final = 5
PRECISION_ROUNDS: Final = 3
"""Steps in either precision before one is chosen; the first of them warms up."""

SIDE_STEP_PX: Final = 32
PARTIAL: Final = 1 / 3
"""Share of the layers, from the end, that the stage `partial` trains."""


class Objective(Protocol):
    """What a network is trained for: a module that turns vectors into a loss."""

    def __call__(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Loss of a batch; vectors, shape (n, d); labels and others, shape (n,), int64."""


class Trainable(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """Backbone and objective as one module, as distributed training wants it."""

    def __init__(self, backbone: Backbone, objective: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective

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
        shown: steps → their batches, a few ahead; a batch depends on its step alone.
        batches: (number of this process, number of processes) → which photos its steps take.
        validate: the averaged network → figures of the validation part; `score` chooses the best.
        on_epoch: epoch (from 1) and its figures, after each, in the main process.
        on_begin: photos of the whole run, and how many of them are done already.
        on_step: photos done since the last call.
        most_epochs: that a budget of minutes is spent on, however many would fit.
    """

    trainable: Trainable
    shown: Callable[[Iterable[Step]], Iterator[Batch]]
    batches: Callable[[int, int], Batches]
    settings: FitSettings
    validate: Callable[[Trainable], dict[str, float]]
    on_epoch: Callable[[int, dict[str, float]], None]
    on_begin: Callable[[int, int], None]
    on_step: Callable[[int], None]
    most_epochs: float = math.inf


@dataclass(slots=True)
class TrainingState:
    """How far training has come; kept in the checkpoint.

    Attributes:
        step: steps done, over all epochs.
        epochs: that there will be.
        precision: fp32 or bf16: as asked, or what was measured to be faster as training began.
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


def fit(work: Fitting, *, checkpoint: Path, best: Path) -> TrainingState:
    """Train, or go on from the checkpoint if there is one.

    Args:
        checkpoint: where training goes on from after a kill; safetensors.
        best: where the averaged weights go that validate best; safetensors.
    """
    settings = work.settings
    accelerator = Accelerator(mixed_precision="no", cpu=not has_gpu())  # see _autocast
    trainable = work.trainable.to(accelerator.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(trainable, settings), lr=1.0)
    average = _Average(trainable, settings.average)
    model, optimizer = accelerator.prepare(trainable, optimizer)
    state = _State(accelerator.unwrap_model(model), average, optimizer, checkpoint)
    batches = work.batches(accelerator.process_index, accelerator.num_processes)
    if checkpoint.exists():
        progress = state.restore()
    else:
        precision = _precision(work, batches, accelerator, model)
        epochs = _epochs(work, batches, accelerator, model, precision)
        progress = TrainingState(epochs=epochs, precision=precision)
        accelerator.wait_for_everyone()  # all have seen that there was no checkpoint
        if accelerator.is_main_process:
            state.save(progress)  # what was measured would not be measured alike again
    step_photos = batches.batch_size * accelerator.num_processes
    work.on_begin(progress.epochs * len(batches) * step_photos, progress.step * step_photos)
    loop = _Loop(work, batches, accelerator, model, optimizer, average, state, progress)
    while progress.step < progress.epochs * len(batches):
        loop.epoch(best)
    return progress


def has_gpu() -> bool:
    """Whether there is one that torch can train on."""
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


@dataclass(slots=True)
class _Loop:
    work: Fitting
    batches: Batches
    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: Any
    average: _Average
    state: _State
    progress: TrainingState

    def epoch(self, best: Path) -> None:
        """Train to the end of the epoch under way, validate, keep the best, write a checkpoint."""
        progress, main = self.progress, self.accelerator.is_main_process
        steps = len(self.batches)
        epoch = progress.step // steps
        self._steps(epoch, progress.step % steps, steps)
        averaged = self.average.module
        figures = self.work.validate(averaged) | {"loss": progress.loss / steps}
        progress.loss = 0.0
        if main:
            if figures["score"] > progress.best:
                progress.best = figures["score"]
                save_weights(averaged, best)
            self.work.on_epoch(epoch + 1, figures)
            self.state.save(progress)
        self.accelerator.wait_for_everyone()

    def _steps(self, epoch: int, first: int, end: int) -> None:
        settings, progress = self.work.settings, self.progress
        self.model.train()
        if settings.freeze_statistics:
            freeze_statistics(self.model)
        sides = side_of_epoch(settings, epoch, progress.epochs)
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        todo = (
            Step(epoch, number * count + rank, self.batches.batch(epoch, number), sides)
            for number in range(first, end)
        )
        began = saved = time.monotonic()
        for batch in self.work.shown(todo):
            # Dropout and the like draw from torch's own generator: it too depends on the step.
            torch.manual_seed((settings.seed * 1_000_003 + progress.step) * 64 + rank)
            set_rates(self.optimizer, progress.step, progress.epochs * end, settings)
            loss = self._step(batch)
            progress.step += 1
            progress.loss += loss
            self.work.on_step(len(batch.labels) * count)
            now = time.monotonic()
            progress.seconds, began = progress.seconds + now - began, now
            if now - saved > CHECKPOINT_S and self.accelerator.is_main_process:
                self.state.save(progress)
                saved = now

    def _step(self, batch: Batch) -> float:
        device = self.accelerator.device
        crops, labels, others = (
            torch.from_numpy(part).to(device) for part in (batch.crops, batch.labels, batch.others)
        )
        with _autocast(device, self.progress.precision):
            loss = self.model(crops, labels, others, batch.share)
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is {loss.item()} at step {self.progress.step}; lower the learning rates "
                "or train with --set precision=fp32, then start a new run"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.progress.step)
        return float(loss.detach())


# -- what is measured as training begins -----------------------------------------------------------


def _autocast(device: torch.device, precision: str) -> Any:
    """Multiply in this precision. Accelerate's own is fixed before anything can be measured."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _precision(
    work: Fitting, batches: Batches, accelerator: Accelerator, model: torch.nn.Module
) -> str:
    """Decide the precision: as asked, or whichever is faster here.

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
    with _left_as_it_was(model):
        for _ in range(PRECISION_ROUNDS):
            for precision, taken in times.items():
                began = time.monotonic()
                _forth_and_back(accelerator, model, batch, precision)
                taken.append(time.monotonic() - began)
    # The first round warms up; whatever else the machine does only ever adds to a time.
    fastest = torch.tensor([min(taken[1:]) for taken in times.values()], device=device)
    fp32, bf16 = accelerator.reduce(fastest).tolist()
    return "bf16" if bf16 < fp32 else "fp32"


def _epochs(
    work: Fitting,
    batches: Batches,
    accelerator: Accelerator,
    model: torch.nn.Module,
    precision: str,
) -> int:
    """Decide how many epochs there will be: as asked, or as many as fit into the budget."""
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
    with _left_as_it_was(model):
        began = time.monotonic()
        for batch in work.shown(steps):
            _forth_and_back(accelerator, model, batch, precision)
            times.append(time.monotonic() - began)
            began = time.monotonic()
    return float(np.median(times[1:]))


@contextlib.contextmanager
def _left_as_it_was(model: torch.nn.Module) -> Iterator[None]:
    """Put weights and statistics back, bit for bit."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    yield
    model.load_state_dict(before)


def _forth_and_back(
    accelerator: Accelerator, model: torch.nn.Module, batch: Batch, precision: str
) -> None:
    """A step without the optimizer's part of it."""
    device = accelerator.device
    crops, labels = (torch.from_numpy(part).to(device) for part in (batch.crops, batch.labels))
    with _autocast(device, precision):
        loss = model(crops, labels, labels, 1.0)
    accelerator.backward(loss)
    model.zero_grad(set_to_none=True)


# -- rates, sides, groups: functions of the step ---------------------------------------------------


def set_rates(optimizer: Any, step: int, total: int, settings: FitSettings) -> None:
    """Set each group's learning rate: a linear warm-up, then a cosine down to zero."""
    share = share_of_rate(step, total, max(1, round(settings.warmup * total)))
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]


def share_of_rate(step: int, total: int, warm: int) -> float:
    """Of the highest rate, what a step (from 0) has: rising over `warm` steps, then a cosine."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def side_of_epoch(settings: FitSettings, epoch: int, epochs: int) -> int:
    """Input side of an epoch (from 0): growing in steps until three quarters of them are done.

    Progressive resizing; Tan and Le, "EfficientNetV2", ICML 2021, section 4.2.
    """
    if settings.first_side_px is None:
        return settings.side_px
    share = min(1.0, epoch / max(1, 0.75 * (epochs - 1)))
    side = settings.first_side_px + share * (settings.side_px - settings.first_side_px)
    return min(settings.side_px, round(side / SIDE_STEP_PX) * SIDE_STEP_PX)


def parameter_groups(trainable: Trainable, settings: FitSettings) -> list[dict[str, Any]]:
    """Parameters by learning rate: blocks further from the end learn slower, or not at all.

    Layer-wise rates as in Clark et al., "ELECTRA", ICLR 2020, section 3.1. Weights are decayed,
    biases and norms are not.
    """
    from timm.optim import param_groups_layer_decay  # noqa: PLC0415 - needs declared operators

    groups: list[dict[str, Any]] = []
    # With a decay of one half, timm's scale tells how many blocks from the end a group is.
    found = param_groups_layer_decay(
        trainable.backbone.network, weight_decay=settings.weight_decay, layer_decay=0.5
    )
    depths = [round(-math.log2(group["lr_scale"])) for group in found]
    reach = {"head": -1, "partial": max(depths) * PARTIAL, "full": max(depths)}[settings.stage]
    for group, depth in zip(found, depths, strict=True):
        if depth > reach:
            for parameter in group["params"]:
                parameter.requires_grad_(False)
            continue
        groups.append(
            {
                "params": group["params"],
                "weight_decay": group["weight_decay"],
                "peak": settings.learning_rate * settings.layer_decay**depth,
            }
        )
    old = {id(parameter) for parameter in trainable.backbone.network.parameters()}
    new = [parameter for parameter in trainable.parameters() if id(parameter) not in old]
    if new:
        groups.append({"params": new, "weight_decay": 0.0, "peak": settings.head_rate})
    return groups


def freeze_statistics(model: torch.nn.Module) -> None:
    """Let batch norms use their running statistics and leave them as they are."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


# -- what a checkpoint holds -----------------------------------------------------------------------


class _Average:
    """Moving average of all weights and statistics; the weights themselves where decay is 0."""

    def __init__(self, trainable: Trainable, decay: float) -> None:
        from timm.utils import ModelEmaV3  # noqa: PLC0415

        self._trainable = trainable
        self._average = ModelEmaV3(trainable, decay=decay, use_warmup=True) if decay else None

    @property
    def module(self) -> Trainable:
        """The averaged network, in evaluation mode."""
        module: Trainable = self._average.module if self._average else self._trainable
        module.eval()
        return module

    def update(self, step: int) -> None:
        if self._average:
            self._average.update(self._trainable, step)

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self._average.module.state_dict()) if self._average else {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        if self._average:
            self._average.module.load_state_dict(tensors)


class _State:
    """Weights, average and the optimizer's moments as one safetensors file."""

    def __init__(
        self, model: torch.nn.Module, average: _Average, optimizer: Any, path: Path
    ) -> None:
        self._model, self._average, self._optimizer, self._path = model, average, optimizer, path

    def save(self, progress: TrainingState) -> None:
        tensors = {f"model/{k}": v for k, v in self._model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.state().items()}
        for at, moments in self._moments():
            tensors |= {f"moments/{at}/{name}": value for name, value in moments.items()}
        told = {name: getattr(progress, name) for name in TrainingState.__slots__}
        _save(tensors, self._path, {"progress": json.dumps(told)})

    def restore(self) -> TrainingState:
        with readable(self._path):
            return self._restored()

    def _restored(self) -> TrainingState:
        tensors = load_file(self._path)
        self._model.load_state_dict(below("model/", tensors))
        self._average.load(below("average/", tensors))
        for at, parameter in enumerate(self._parameters()):
            moments = below(f"moments/{at}/", tensors)
            # As the optimizer itself lays them out: like the parameter, channels last or not.
            self._optimizer.state[parameter] = {
                name: torch.empty_like(parameter).copy_(value) if value.ndim else value
                for name, value in moments.items()
            }
        with safe_open(self._path, "pt") as file:
            return TrainingState(**json.loads(file.metadata()["progress"]))

    def _parameters(self) -> Iterator[torch.Tensor]:
        for group in self._optimizer.param_groups:
            yield from group["params"]

    def _moments(self) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        for at, parameter in enumerate(self._parameters()):
            yield at, self._optimizer.state.get(parameter, {})


def save_weights(module: torch.nn.Module, path: Path, notes: dict[str, str] | None = None) -> None:
    """Write a module's weights and buffers; safetensors."""
    _save(dict(module.state_dict()), path, notes or {})


def _save(tensors: dict[str, torch.Tensor], path: Path, notes: dict[str, str]) -> None:
    # Contiguous copies: safetensors knows neither channels-last nor shared memory.
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, notes)


def below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those tensors whose names begin with a prefix, under what is left of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
