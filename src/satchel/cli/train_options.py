"""Options of the commands that train, each defined once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import typer

from satchel.cli.shared import AsJson

SPLIT: Final = "default"

SplitName = Annotated[
    str, typer.Option("--split", help="Name of a split; the default one is made if missing.")
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="TOML file of settings; options take precedence.")
]
RunName = Annotated[str | None, typer.Option(help="Name of the run.")]
Resume = Annotated[str | None, typer.Option(metavar="RUN", help="Resume a run that was stopped.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; may be repeated."),
]
Tracker = Annotated[
    list[str] | None,
    typer.Option(help="mlflow, wandb or tensorboard, each an extra; may be repeated."),
]
Backbone = Annotated[str | None, typer.Option(help="A timm network, or small_cnn.")]
Weights = Annotated[
    str | None, typer.Option(help="auto (from a pip package), none, hub, or a safetensors file.")
]
Stage = Annotated[
    Literal["head", "partial", "full"] | None,
    typer.Option(help="head: on frozen features, in seconds; partial: the last blocks; full: all."),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the training photos.")]
Minutes = Annotated[float | None, typer.Option(help="As many epochs as fit.")]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options that all commands which train have in common."""

    config: ConfigFile = None
    name: RunName = None
    resume: Resume = None
    stage: Stage = None
    epochs: Epochs = None
    minutes: Minutes = None
    setting: Setting = None
    tracker: Tracker = None
    as_json: AsJson = False

    def settings(self) -> dict[str, Any]:
        """Those that are settings of the run, by the settings' names."""
        return {"stage": self.stage, "epochs": self.epochs, "minutes": self.minutes}


@dataclass(frozen=True, slots=True)
class TrainOptions(RunOptions):
    """Options that `satchel train classifier` and `satchel train encoder` have in common."""

    split_name: SplitName = SPLIT
    backbone: Backbone = None
    weights: Weights = None

    def settings(self) -> dict[str, Any]:
        """Those that are settings of the run, by the settings' names."""
        common = RunOptions.settings(self)
        return common | {"backbone": self.backbone, "weights": self.weights}


def with_train_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a class above, which it gets as its argument `common`.

    Typer reads options from a function's signature, so that of the command is put together here:
    its own parameters, but for `common`, then a parameter for each field.
    """
    own = dict(inspect.signature(command, eval_str=True).parameters)
    kind = own.pop("common").annotation
    hints = get_type_hints(kind, include_extras=True)
    shared = [
        parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(kind).parameters.items()
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        common = kind(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        command(common=common, **given)

    run.__signature__ = inspect.Signature([*own.values(), *shared])  # type: ignore[attr-defined]
    return run
