"""The commands of training: split, train, runs. Each is one function, as in `satchel.cli.app`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import STOPPED, Bars, open_workspace, pairs, progress_bar, say
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.train.export import Kind
    from satchel.train.runs import Run
    from satchel.train.settings import FitSettings
    from satchel.workspace import Workspace

train = typer.Typer(no_args_is_help=True, help="Train models on the catalogue's own photos.")

SPLIT = "default"


def split(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The split's name; what is frozen never changes.")],
    protocol: Annotated[
        str,
        typer.Option(help="closed: the same products in all parts; open: unseen ones in val, test"),
    ] = "closed",
    column: Annotated[
        str | None,
        typer.Option(help="Column of the catalogue file that says train, val or test."),
    ] = None,
    val: Annotated[float, typer.Option(min=0, max=0.9, help="Share for choosing.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share for the last word.")] = 0.2,
    products: Annotated[int | None, typer.Option(min=2, help="So many products alone.")] = None,
    photos_per_product: Annotated[
        int | None, typer.Option(min=1, help="Training photos of a product, at most.")
    ] = None,
    fewest: Annotated[int, typer.Option(min=1, help="Photos a product must have.")] = 1,
    seed: int = 0,
) -> None:
    """Freeze which photos are trained on, chosen by and tested on."""
    from satchel.train.splits import PARTS, SplitOptions
    from satchel.workflows.split import split_workspace

    if protocol not in ("closed", "open"):
        raise UsageError(f"expected --protocol closed or open, got {protocol!r}")
    options = SplitOptions(
        protocol=protocol,  # type: ignore[arg-type] # just checked
        val=val,
        test=test,
        products=products,
        photos_per_product=photos_per_product,
        fewest_photos=fewest,
        seed=seed,
    )
    workspace = open_workspace(context)
    path = workspace.split_path(name)
    made = split_workspace(workspace, path, options, column=column)
    for part in PARTS:
        say(f"{part}: {len(made.part(part)):,} photos of {len(made.products(part)):,} products")
    if made.left_out:
        say(f"left out: {made.left_out:,} photos whose copies stand under products of two parts")
    if made.torn_groups:
        say(
            f"beware: the column {column!r} puts {made.torn_groups:,} groups of copies in two parts"
        )
    say(f"frozen in {path}")


SplitName = Annotated[
    str, typer.Option("--split", help="Name of a split; the default one is made if missing.")
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="TOML file of settings; what is given here wins over it.")
]
RunName = Annotated[str | None, typer.Option(help="Name of the run.")]
Resume = Annotated[
    str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; may be repeated."),
]
Tracker = Annotated[
    list[str] | None,
    typer.Option(help="mlflow (default), wandb, tensorboard or none; may be repeated."),
]
Backbone = Annotated[str | None, typer.Option(help="A timm network, or small_cnn.")]
Weights = Annotated[
    str | None, typer.Option(help="auto (what pip brings), none, hub, or a safetensors file.")
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
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Print what the EfficientNets cost, and stop.")
    ] = False,
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

    if scaling:
        _print_scaling()
        return
    given = {
        "backbone": backbone,
        "weights": weights,
        "stage": stage,
        "epochs": epochs,
        "minutes": minutes,
    }
    workspace = open_workspace(context)
    run = _begun(workspace, ClassifierSettings, split_name, config, name, resume, given, setting)
    _train(workspace, run, tracker)


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
    """Train an encoder: photos of one product near each other."""
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
    workspace = open_workspace(context)
    run = _begun(workspace, EncoderSettings, split_name, config, name, resume, given, setting)
    _train(workspace, run, tracker)


def adapt(
    context: typer.Context,
    minutes: Annotated[
        float | None,
        typer.Option(help="A budget, 30 by default: as many compositions or epochs as fit."),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of photos of rooms, tables, shelves."
        ),
    ] = None,
    promote: Annotated[
        bool | None,
        typer.Option(
            help="Serve with it, if no check is worse than before; by default, if further photos "
            "of your products were among the checks.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    name: RunName = None,
    resume: Resume = None,
    epochs: Epochs = None,
    setting: Setting = None,
    tracker: Tracker = None,
) -> None:
    """Fit the encoder that answers to your own catalogue: one picture per product is enough."""
    from satchel.train.runs import Run
    from satchel.train.settings import AdaptSettings, read_settings_file

    workspace = open_workspace(context)
    run = Run.find(workspace.runs, resume) if resume is not None else None
    if run is not None and not run.read().adapts:
        raise UsageError(f"{run.name} is no adapting run; satchel {run.read().command}")
    # Only now: a wrong --resume is named on the base install, too.
    from satchel.adapt.run import Outcome, begin_adapting, settings_kind

    if run is None:
        given = {
            "minutes": minutes,
            "epochs": epochs,
            "backgrounds": str(backgrounds.resolve()) if backgrounds else None,
        }
        kind = settings_kind(workspace)
        settings = read_settings_file(kind, config, **pairs(setting), **given)
        if epochs and kind is AdaptSettings:  # asked for, they win over the budget
            settings = settings.model_copy(update={"minutes": None})
        run = begin_adapting(workspace, settings, name or "adapt")
    _train(workspace, run, tracker)
    outcome = Outcome.read(run)
    say(
        f"held-out compositions, start → adapted ({outcome.share:.0%} of what was trained): "
        + ", ".join(
            f"{key} {outcome.start[key]:.1%} → {outcome.chosen[key]:.1%}"
            for key in outcome.chosen
            if key != "score"
        )
    )
    if outcome.worse:
        say(f"not promoted: worse than before: {', '.join(outcome.worse)}")
    elif promote or (promote is None and outcome.seen_on_photos):
        _promote(workspace, run, "fp16")
    else:
        if promote is None:
            say(
                "better on compositions; too few products have further photos to tell what it is "
                "worth on real ones: try your own first"
            )
        say(f"next: satchel promote {run.name}")


def evaluate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run, or how its name begins.")],
    part: Annotated[str, typer.Option(help="val to choose by, test for the last word.")] = "test",
) -> None:
    """Measure a trained model on photos it never saw; write a report."""
    from rich.console import Console
    from rich.table import Table

    from satchel.evaluate.report import write_report
    from satchel.train.runs import Run
    from satchel.train.splits import Split

    workspace = open_workspace(context)
    run = Run.find(workspace.runs, name)
    if not run.best.exists():
        raise UsageError(f"the run {run.name} has no weights yet: it is {run.state()}")
    from satchel.workflows.evaluate import evaluate_run

    queries = len(Split.load(workspace.split_path(run.read().split)).part(part))
    with progress_bar("evaluate", queries) as advance:
        report = evaluate_run(workspace, run, part=part, advance=advance)
    table = Table(report.title, "", "95 %")
    for figure in report.figures:
        between = "" if figure.low is None else f"{figure.low:.1%} – {figure.high:.1%}"
        table.add_row(figure.name, f"{figure.value:.1%}", between)
    Console().print(table)
    folder = run.folder / part
    folder.mkdir(exist_ok=True)
    page = write_report(report, workspace.photos.read_or_none, folder)
    say(f"the whole report: {page}")


def export(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run, or how its name begins.")],
) -> None:
    """Export a trained model as ONNX: fp32, fp16 and int8, each held against the network."""
    from rich.console import Console
    from rich.table import Table

    from satchel.train.runs import Run

    workspace = open_workspace(context)
    run = Run.find(workspace.runs, name)
    from satchel.workflows.promote import export_run

    table = Table("", "MB", "cosine, 99 of 100", "nearest five", "ms per photo", "")
    for found in export_run(workspace, run):
        table.add_row(
            found.kind,
            f"{len(found.model) / 1e6:.1f}",
            f"{found.cosine:.4f}",
            f"{found.overlap:.1%}",
            f"{found.ms_per_photo:.1f}",
            "may be served" if found.agrees else "does not agree: refused",
        )
    Console().print(table)
    say(f"written to {workspace.models}; next: satchel promote {run.name}")


def promote(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="The run; or clip-b16 or lite0, which Satchel carries."),
    ] = None,
    kind: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp16",
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Serve with the model before this one again.")
    ] = False,
) -> None:
    """Let another encoder answer, a trained or a built-in one; --rollback takes that back."""
    from satchel.encode.registry import BUILTINS

    workspace = open_workspace(context)
    if rollback:
        _roll_back(workspace)
        return
    if name is None:
        raise UsageError("expected a run to promote, or --rollback")
    if name in BUILTINS:
        _promote_builtin(workspace, name)
        return
    from satchel.train.runs import Run

    run = Run.find(workspace.runs, name)
    from satchel.train.export import KINDS

    if kind not in KINDS:
        raise UsageError(f"expected --kind of {', '.join(KINDS)}, got {kind!r}")
    _promote(workspace, run, kind)


def _promote_builtin(workspace: Workspace, name: str) -> None:
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import BUILTINS
    from satchel.workflows.switch import embed_beside, switch

    encoder = Encoder.load(BUILTINS[name])
    with contextlib.ExitStack() as bars:
        embed_beside(
            workspace,
            encoder,
            lambda total: bars.enter_context(progress_bar("embed", total)),
        )
    switch(workspace, name, encoder)
    say(f"{name} answers now; back: satchel promote --rollback")


def _promote(workspace: Workspace, run: Run, kind: Kind) -> None:
    from satchel.workflows.promote import promote as promote_run

    with contextlib.ExitStack() as bars:
        card = promote_run(
            workspace,
            run,
            kind,
            on_total=lambda total: bars.enter_context(progress_bar("embed", total)),
        )
    told = card.confidence
    said = (
        f"identified from a confidence of {told.identified_at:.2f} on"
        if told.identified_at < 1
        else "never sure enough to say identified"
    )
    say(f"{card.name} answers now; {said} ({told.measured_on}); back: satchel promote --rollback")


def _roll_back(workspace: Workspace) -> None:
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import roll_back, serving_card
    from satchel.search.indexing import build_index

    back = roll_back(workspace.models)
    encoder = Encoder.load(serving_card(workspace.models))
    waiting = workspace.catalogue.vectors.count_missing(encoder.id)
    build_index(workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search)
    say(f"{back or 'the built-in encoder'} answers again")
    if waiting:
        say(f"{waiting:,} photos came since and are not in the index: run `satchel index`")


def runs(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Only runs that begin so.")] = None,
    sort: Annotated[str, typer.Option(help="Figure to sort by, or begun_at.")] = "begun_at",
    differences: Annotated[
        bool, typer.Option("--compare", help="Show the settings in which they differ.")
    ] = False,
) -> None:
    """List runs: finished, running, stopped (Ctrl-C), crashed; with their figures."""
    from rich.console import Console
    from rich.table import Table

    from satchel.train.runs import RESUMABLE, all_runs

    workspace = open_workspace(context)
    found = [
        run for run in all_runs(workspace.runs) if not names or run.name.startswith(tuple(names))
    ]
    if not found:
        say("there are no runs; begin one with `satchel train classifier`")
        return
    records = {}
    for run in found:
        try:
            records[run.name] = (run.read(), run.state())
        except UsageError as error:  # damaged: the others are listed
            say(str(error))
    damaged = len(found) - len(records)
    found = [run for run in found if run.name in records]

    def key(run: Run) -> Any:
        record = records[run.name][0]
        if sort == "begun_at":
            return (0.0, record.begun_at.timestamp())
        return (-record.figures.get(sort, float("-inf")), 0.0)

    figures = [
        name
        for name in ("top1", "top5", "recall1", "recall5", "map_at_r")
        if any(name in record.figures for record, _ in records.values())
    ]
    colours = {"crashed": "red", "running": "yellow", "stopped": "cyan"}
    table = Table("run", "state", "split", "epochs", "min", *figures)
    table.columns[0].overflow = "fold"
    for run in sorted(found, key=key):
        record, state = records[run.name]
        table.add_row(
            run.name,
            f"[{colours[state]}]{state}[/]" if state in colours else state,
            record.split,
            f"{record.epochs:g}",
            f"{record.seconds / 60:.1f}",
            *(f"{100 * record.figures[k]:.1f}" if k in record.figures else "" for k in figures),
        )
    Console().print(table)
    if differences:
        _print_differences({name: record.settings for name, (record, _) in records.items()})
    for run in found:
        if records[run.name][1] in RESUMABLE:
            command = records[run.name][0].command
            say(f"go on with {run.name}: satchel {command} --resume {run.name}")
    if damaged:
        raise typer.Exit(1)  # some failed


def _print_differences(settings: dict[str, dict[str, Any]]) -> None:
    """The settings that runs have in common and that are not the same in all, a run a column."""
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", *settings)
    for key in sorted(set.intersection(*(set(own) for own in settings.values()))):
        values = [str(own[key]) for own in settings.values()]
        if len(set(values)) > 1:
            table.add_row(key, *values)
    Console().print(table)


def _begun(
    workspace: Workspace,
    kind: type[FitSettings],
    split_name: str,
    config: Path | None,
    name: str | None,
    resume: str | None,
    given: dict[str, Any],
    setting: list[str] | None,
) -> Run:
    """The run to go on with, or a new one."""
    from satchel.train.settings import read_settings_file
    from satchel.workflows.train import start

    if resume is not None:
        given["option"] = given.pop("options", None)  # as the command line calls them
        also = {"config": config, "name": name, "set": setting, **given}
        return _to_resume(workspace, resume, kind, [k for k, v in also.items() if v])
    settings = read_settings_file(kind, config, **pairs(setting), **given)
    return start(workspace, _split(workspace, split_name), settings, name or _name(settings))


def _to_resume(workspace: Workspace, name: str, kind: type[FitSettings], also: list[str]) -> Run:
    """The run to go on with; `also`: options that were given beside --resume."""
    from satchel.train.runs import Run
    from satchel.train.settings import ClassifierSettings

    run = Run.find(workspace.runs, name)
    if also:
        told = ", ".join(f"--{option}" for option in also)
        raise UsageError(
            f"--resume goes on with the settings that {run.name} began with; leave out {told}, or "
            "begin a new run without --resume"
        )
    own, asked = run.read().kind, "classifier" if kind is ClassifierSettings else "encoder"
    if own != asked:
        raise UsageError(f"{run.name} is no {asked}: satchel train {own} --resume {run.name}")
    return run


def _train(workspace: Workspace, run: Run, trackers: list[str] | None) -> None:
    from satchel.workflows.train import go_on

    if run.state() == "finished":
        say(f"the run {run.name} is finished; next: satchel evaluate {run.name}")
        return
    chosen = [name for name in trackers or ["mlflow"] if name != "none"]
    say(f"run {run.name}, in {run.folder}")
    try:
        with Bars() as bars:
            record = go_on(workspace, run, progress=bars, trackers=chosen, on_epoch=bars.epoch)
    except KeyboardInterrupt:
        say(f"stopped; go on with: satchel {run.read().command} --resume {run.name}")
        raise typer.Exit(STOPPED) from None
    told = ", ".join(f"{key} {value:.4f}" for key, value in record.figures.items())
    say(f"finished after {record.seconds / 60:.1f} min: {told}")
    if not record.adapts:
        say(f"next: satchel evaluate {run.name}")


def _print_scaling() -> None:
    from rich.console import Console
    from rich.table import Table

    from satchel.train.backbones import scaling_table

    columns = ("backbone", "depth", "width", "px", "parameters", "MACs", "ms/photo")
    table = Table(*columns, title="Compound scaling; times are PyTorch's on this machine")
    table.columns[0].no_wrap = True
    for cost in scaling_table():
        table.add_row(
            cost.name,
            f"{cost.depth:g}",
            f"{cost.width:g}",
            str(cost.side_px),
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.macs / 1e9:.2f} G",
            f"{cost.ms_per_photo:.1f}",
        )
    Console().print(table)


def _name(settings: FitSettings) -> str:
    """A name that tells runs apart at a glance."""
    return "-".join(
        str(part)
        for part in (getattr(settings, "loss", None), settings.backbone, settings.stage)
        if part
    )


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
