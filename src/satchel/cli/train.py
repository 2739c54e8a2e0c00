"""`satchel train`: classifiers and encoders of the catalogue's own photos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import STOPPED, Bars, open_workspace, pairs, say
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.train.runs import Run
    from satchel.train.settings import TrainSettings
    from satchel.workspace import Workspace

train = typer.Typer(no_args_is_help=True, help="Train models on the catalogue's own photos.")

SPLIT = "default"

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
    str | None, typer.Option(help="head (seconds, on frozen features), partial or full.")
]
Epochs = Annotated[int | None, typer.Option(min=1)]
Minutes = Annotated[float | None, typer.Option(help="As many epochs as fit.")]


@train.command()
def classifier(
    context: typer.Context,
    split_name: SplitName = SPLIT,
    config: ConfigFile = None,
    name: RunName = None,
    resume: Resume = None,
    backbone: Backbone = None,
    weights: Weights = None,
    stage: Stage = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    setting: Setting = None,
    tracker: Tracker = None,
) -> None:
    """Train a classifier of the split's products."""
    from satchel.train.settings import ClassifierSettings

    given = {
        "backbone": backbone,
        "weights": weights,
        "stage": stage,
        "epochs": epochs,
        "minutes": minutes,
    }
    check_trackers(tracker)
    workspace = open_workspace(context)
    run = _begun(workspace, ClassifierSettings, split_name, config, name, resume, given, setting)
    train_run(workspace, run, tracker)


@train.command()
def encoder(
    context: typer.Context,
    split_name: SplitName = SPLIT,
    config: ConfigFile = None,
    name: RunName = None,
    resume: Resume = None,
    loss: Annotated[
        str | None, typer.Option(help="triplet, margin, arcface …; a wrong one lists all.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the loss; may be repeated."),
    ] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    stage: Stage = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    setting: Setting = None,
    tracker: Tracker = None,
) -> None:
    """Train an encoder, which maps photos of one product to near vectors."""
    from satchel.train.settings import EncoderSettings

    given = {
        "backbone": backbone,
        "weights": weights,
        "stage": stage,
        "epochs": epochs,
        "minutes": minutes,
        "loss": loss,
        "options": pairs(option) or None,
    }
    check_trackers(tracker)
    workspace = open_workspace(context)
    run = _begun(workspace, EncoderSettings, split_name, config, name, resume, given, setting)
    train_run(workspace, run, tracker)


def check_trackers(trackers: list[str] | None) -> None:
    """Refuse a tracker that is not installed, before a run is made."""
    from satchel.train.trackers import installed_trackers

    installed_trackers(trackers or ())


def _begun(
    workspace: Workspace,
    kind: type[TrainSettings],
    split_name: str,
    config: Path | None,
    name: str | None,
    resume: str | None,
    given: dict[str, Any],
    setting: list[str] | None,
) -> Run:
    """The run to resume, or a new one."""
    from satchel.train.settings import read_settings_file
    from satchel.workflows.train import start

    if resume is not None:
        given["option"] = given.pop("options", None)  # as the command line calls them
        also = {"config": config, "name": name, "set": setting, **given}
        return _to_resume(workspace, resume, kind, [k for k, v in also.items() if v])
    settings = read_settings_file(kind, config, **pairs(setting), **given)
    return start(workspace, _split(workspace, split_name), settings, name or _name(settings))


def _to_resume(workspace: Workspace, name: str, kind: type[TrainSettings], also: list[str]) -> Run:
    """The run to resume; `also`: options that were given besides --resume."""
    from satchel.train.runs import Run
    from satchel.workflows.kinds import CLASSIFIER, ENCODER

    run = Run.find(workspace.runs, name)
    if also:
        given = ", ".join(f"--{option}" for option in also)
        raise UsageError(
            f"--resume keeps the settings that {run.name} began with; leave out {given}, or "
            "begin a new run without --resume"
        )
    command = run.read().command
    expected = next(one for one in (CLASSIFIER, ENCODER) if one.settings is kind)
    if command != expected.command:
        raise UsageError(f"{run.name} is no {expected.name}: satchel {command} --resume {run.name}")
    return run


def train_run(workspace: Workspace, run: Run, trackers: list[str] | None) -> None:
    """Train a run to its end, under progress bars."""
    from satchel.workflows.train import resume

    if run.state() == "finished":
        say(f"the run {run.name} is finished; next: satchel evaluate {run.name}")
        return
    say(f"run {run.name}, in {run.folder}")
    try:
        with Bars(resumes=False) as bars:
            record = resume(
                workspace, run, progress=bars, trackers=trackers or (), on_epoch=bars.epoch
            )
    except KeyboardInterrupt:
        say(f"stopped; resume with: satchel {run.read().command} --resume {run.name}")
        raise typer.Exit(STOPPED) from None
    figures = ", ".join(f"{key} {value:.4f}" for key, value in record.figures.items())
    say(f"finished after {record.seconds / 60:.1f} min: {figures}")
    if not record.adapts:
        say(f"next: satchel evaluate {run.name}")


def _name(settings: TrainSettings) -> str:
    """A readable default name of a run."""
    parts = getattr(settings, "loss", None), settings.backbone, settings.stage
    return re.sub(r"[/\\]", "-", "-".join(str(part) for part in parts if part))


def _split(workspace: Workspace, name: str) -> str:
    """The name of a split that exists; the default one is made where it is missing."""
    from satchel.train.splits import SplitOptions
    from satchel.workflows.split import split_workspace
    from satchel.workflows.train import processes

    path = workspace.split_path(name)
    with processes().main_process_first():
        if name == SPLIT and not path.exists():
            split_workspace(workspace, path, SplitOptions())
            say(f"froze the split {name} in {path}")
    return name
