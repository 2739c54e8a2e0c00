"""`satchel train`: classifiers, encoders and detectors of the catalogue's own photos."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from satchel.cli.shared import (
    STOPPED,
    Bars,
    FirstProblems,
    open_workspace,
    pairs,
    print_result,
    say,
)
from satchel.cli.train_options import SPLIT, RunOptions, TrainOptions, with_train_options
from satchel.errors import UsageError
from satchel.extras import need_extra

if TYPE_CHECKING:
    from satchel.train.runs import Run, RunRecord
    from satchel.train.settings import FitSettings, LocatorSettings, TrainSettings
    from satchel.workspace import Workspace

train = typer.Typer(no_args_is_help=True, help="Train models on the catalogue's own photos.")

OPTIONS: Final = {"options": "option", "val_data": "val", "class_map": "map"}
"""Settings whose option has another name."""


@train.command()
@with_train_options
def classifier(context: typer.Context, common: TrainOptions) -> None:
    """Train a classifier of the split's products."""
    need_extra("train")
    from satchel.train.settings import ClassifierSettings

    _train(context, ClassifierSettings, common, {})


@train.command()
@with_train_options
def encoder(
    context: typer.Context,
    common: TrainOptions,
    loss: Annotated[
        str | None, typer.Option(help="triplet, margin, arcface …; a wrong one lists all.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the loss; may be repeated."),
    ] = None,
    from_decisions: Annotated[
        bool,
        typer.Option(
            "--from-decisions",
            help="Fine-tune the served encoder on sellers' photos of certified goods, as `satchel "
            "adapt --from-decisions` does.",
        ),
    ] = False,
) -> None:
    """Train an encoder, which maps photos of one product to near vectors."""
    need_extra("train")
    if from_decisions:
        _train_on_decisions(context, common, loss=loss, option=option)
        return
    from satchel.train.settings import EncoderSettings

    _train(context, EncoderSettings, common, {"loss": loss, "options": pairs(option) or None})


@train.command()
@with_train_options
def locator(
    context: typer.Context,
    common: RunOptions,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Annotations of any format: file, folder or zip; default: the catalogue's boxes."
        ),
    ] = None,
    val: Annotated[
        Path | None, typer.Option(help="Annotations to validate with; default: a share.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of the photos; default: next to the annotations.")
    ] = None,
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="CLASS=NAME", help="Train a class under a name; without one, not."
        ),
    ] = None,
    architecture: Annotated[
        Literal["yolox-nano", "yolox-tiny", "lite0"] | None, typer.Option(help="Of the network.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights to start from; of YOLOX an ONNX file. lite0 brings its own."),
    ] = None,
) -> None:
    """Train a detector, which finds the goods in a photo, on photos with boxes."""
    need_extra("train")
    from satchel.train.settings import LocatorSettings, read_settings_file

    check_trackers(common.tracker)
    workspace = open_workspace(context)
    given = common.settings() | {
        "data": _path(data),
        "val_data": _path(val),
        "photos": _path(photos),
        "class_map": _class_map(class_map),
        "architecture": architecture,
        "weights": _path(weights),
    }
    if common.resume is not None:
        run = _to_resume(workspace, LocatorSettings, common, given)
    else:
        settings = read_settings_file(LocatorSettings, common.config, pairs(common.setting), given)
        run = _begun_locator(workspace, settings, common.name or settings.architecture)
    _report(train_run(workspace, run, common.tracker), common.as_json)


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _class_map(given: list[str] | None) -> dict[str, str] | None:
    """CLASS=NAME arguments; the last = divides, since a class may hold one."""
    renamed = {}
    for pair in given or []:
        old, equals, new = pair.rpartition("=")
        if not equals or not old.strip():
            raise UsageError(
                f"expected a class and the name to train it under, got {pair!r}; write "
                '"Small Bag=bag", or "Small Bag=" to leave it out'
            )
        renamed[old] = new
    return renamed or None


def _begun_locator(workspace: Workspace, settings: LocatorSettings, name: str) -> Run:
    from satchel.workflows.locator import begin_locator

    problems = FirstProblems("… and more")
    with Bars(resumes=False) as bars:
        run, data = begin_locator(workspace, settings, name, on_problem=problems, progress=bars)
    counts = {part: len(data.photos.of(part)) for part in ("train", "val")}
    boxes = ", ".join(f"{label} {data.boxes[label]:,}" for label in data.classes)
    say(f"{counts['train']:,} photos to train on, {counts['val']:,} to validate with; {boxes}")
    if data.empty:
        say(f"{data.empty:,} photos without boxes teach that there is no product")
    if data.left_out:
        say(f"{data.left_out:,} boxes left out, whose classes are not trained")
    if problems.count:
        say(f"{problems.count:,} photos or boxes left out because of problems")
    return run


def _train(
    context: typer.Context,
    kind: type[TrainSettings],
    common: TrainOptions,
    own: dict[str, Any],
) -> None:
    """Train; `own`: settings that only this command has as options."""
    check_trackers(common.tracker)
    workspace = open_workspace(context)
    given = common.settings() | own
    if common.resume is not None:
        run = _to_resume(workspace, kind, common, given)
    else:
        run = _begun(workspace, kind, common, given)
    _report(train_run(workspace, run, common.tracker), common.as_json)


def _train_on_decisions(
    context: typer.Context, common: TrainOptions, *, loss: str | None, option: list[str] | None
) -> None:
    """Adapt the served encoder; a split is frozen already, or made of the decisions."""
    from satchel.cli.adapt import adapt

    unfit = {"loss": loss, "option": option, "backbone": common.backbone}
    unfit |= {"weights": common.weights, "stage": common.stage}
    if any(unfit.values()):
        refused = ", ".join(f"--{name}" for name, value in unfit.items() if value)
        raise UsageError(
            f"--from-decisions fine-tunes the encoder that is served: leave out {refused}; its "
            "settings are under --set pairs."
        )
    own_split = None if common.split_name == SPLIT else common.split_name
    adapt(
        context,
        minutes=common.minutes,
        from_decisions=own_split is None and common.resume is None,
        split=own_split,
        config=common.config,
        name=common.name,
        resume=common.resume,
        epochs=common.epochs,
        setting=common.setting,
        tracker=common.tracker,
        as_json=common.as_json,
    )


def check_trackers(trackers: list[str] | None) -> None:
    """Refuse a tracker that is not installed, before a run is made."""
    from satchel.train.trackers import installed_trackers

    installed_trackers(trackers or ())


def _begun(
    workspace: Workspace, kind: type[TrainSettings], common: TrainOptions, given: dict[str, Any]
) -> Run:
    """A new run."""
    from satchel.train.settings import read_settings_file
    from satchel.workflows.train import start

    settings = read_settings_file(kind, common.config, pairs(common.setting), given)
    split = _split(workspace, common.split_name)
    return start(workspace, split, settings, common.name or _name(settings))


def _to_resume(
    workspace: Workspace, kind: type[FitSettings], common: RunOptions, given: dict[str, Any]
) -> Run:
    """The run to resume, which keeps its settings."""
    from satchel.train.runs import Run
    from satchel.workflows.kinds import CLASSIFIER, ENCODER, LOCATOR

    run = Run.find(workspace.runs, common.resume or "")
    also = {"config": common.config, "name": common.name, "set": common.setting, **given}
    for setting, option in OPTIONS.items():  # as the command line calls them
        also[option] = also.pop(setting, None)
    refuse_to_change(run, also)
    command = run.read().command
    expected = next(one for one in (CLASSIFIER, ENCODER, LOCATOR) if one.settings is kind)
    if command != expected.command:
        raise UsageError(f"{run.name} is no {expected.name}: satchel {command} --resume {run.name}")
    return run


def refuse_to_change(run: Run, options: Mapping[str, Any]) -> None:
    """Refuse options that a run which is resumed would ignore.

    Args:
        options: name, without dashes → what was given, if anything.

    Raises:
        UsageError: any was given.
    """
    if refused := ", ".join(f"--{option}" for option, value in options.items() if value):
        raise UsageError(
            f"--resume keeps the settings that {run.name} began with; leave out {refused}, or "
            "begin a new run without --resume"
        )


def train_run(workspace: Workspace, run: Run, trackers: list[str] | None) -> RunRecord:
    """Train a run to its end, under progress bars; return its record."""
    from satchel.evaluate.stability import loss_trends
    from satchel.workflows.train import resume

    if run.state() == "finished":
        say(f"the run {run.name} is finished; next: satchel evaluate {run.name}")
        return run.read()
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
    for trend in loss_trends(run.curves())[:1]:
        say(str(trend))
    if not record.adapts:
        say(f"next: satchel evaluate {run.name}")
    return record


def _report(record: RunRecord, as_json: bool) -> None:
    if as_json:
        print_result(record)


def _name(settings: TrainSettings) -> str:
    """A readable default name of a run."""
    parts = getattr(settings, "loss", None), settings.backbone, settings.stage
    return re.sub(r"[/\\]", "-", "-".join(str(part) for part in parts if part))


def _split(workspace: Workspace, name: str) -> str:
    """The name of a split that exists; the default one is made where it is missing."""
    from satchel.train.dealing import SplitOptions
    from satchel.workflows.split import split_workspace
    from satchel.workflows.train import processes

    path = workspace.split_path(name)
    with processes().main_process_first():
        if name == SPLIT and not path.exists():
            split_workspace(workspace, path, SplitOptions())
            say(f"froze the split {name} in {path}")
    return name
