"""Checkpoints of training, and weights in safetensors files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from satchel.files import atomic_path
from satchel.train.fitting import TrainingState
from satchel.train.runs import readable
from satchel.train.torchvision_ops import declare_missing_ops


class MovingAverage:
    """Moving average of all weights and statistics; the weights themselves where decay is 0."""

    def __init__(self, trainable: torch.nn.Module, decay: float) -> None:
        declare_missing_ops()
        from timm.utils import ModelEmaV3  # noqa: PLC0415 - needs declared operators

        self._trainable = trainable
        self._average = ModelEmaV3(trainable, decay=decay, use_warmup=True) if decay else None

    @property
    def module(self) -> torch.nn.Module:
        """The averaged network, in evaluation mode."""
        module: torch.nn.Module = self._average.module if self._average else self._trainable
        module.eval()
        return module

    def update(self, step: int) -> None:
        """Update the average with the weights after a step."""
        if self._average:
            self._average.update(self._trainable, step)

    def state(self) -> dict[str, torch.Tensor]:
        """The averaged tensors, for a checkpoint."""
        return dict(self._average.module.state_dict()) if self._average else {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        if self._average:
            self._average.module.load_state_dict(tensors)


class Checkpoint:
    """Weights, their average and the optimizer's moments, in one safetensors file."""

    def __init__(
        self, model: torch.nn.Module, average: MovingAverage, optimizer: Any, path: Path
    ) -> None:
        self._model, self._average, self._optimizer, self._path = model, average, optimizer, path

    def save(self, state: TrainingState) -> None:
        """Write all of it, in one step."""
        tensors = {f"model/{k}": v for k, v in self._model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.state().items()}
        for at, moments in self._moments():
            tensors |= {f"moments/{at}/{name}": value for name, value in moments.items()}
        fields = {name: getattr(state, name) for name in TrainingState.__slots__}
        _save(tensors, self._path, {"state": json.dumps(fields)})

    def restore(self) -> TrainingState:
        """Read it back into network, average and optimizer."""
        with readable(self._path):
            return self._restored()

    def _restored(self) -> TrainingState:
        tensors = load_file(self._path)
        self._model.load_state_dict(strip_prefix("model/", tensors))
        self._average.load(strip_prefix("average/", tensors))
        for at, parameter in enumerate(self._parameters()):
            moments = strip_prefix(f"moments/{at}/", tensors)
            # As the optimizer itself lays them out: like the parameter, channels last or not.
            self._optimizer.state[parameter] = {
                name: torch.empty_like(parameter).copy_(value) if value.ndim else value
                for name, value in moments.items()
            }
        with safe_open(self._path, "pt") as file:
            return TrainingState(**json.loads(file.metadata()["state"]))

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


def strip_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors whose names begin with a prefix, by their names without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
