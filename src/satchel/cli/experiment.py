"""`satchel experiment seed-protocol`: the seed's protocol on this catalogue, in a given time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import (
    STOPPED,
    AsJson,
    Bars,
    open_workspace,
    pairs,
    print_result,
    print_table,
    say,
)
from satchel.errors import UsageError
from satchel.extras import need_extra

if TYPE_CHECKING:
    from satchel.experiment.plan import Cell, Plan
    from satchel.experiment.settings import ExperimentSettings
    from satchel.experiment.store import CellResult, Experiment
    from satchel.workspace import Workspace

experiment = typer.Typer(no_args_is_help=True, help="Many runs as one table, in a given time.")

SEED_PROTOCOL = "seed-protocol"

List = list[str] | None


@experiment.command(SEED_PROTOCOL)
def seed_protocol(
    context: typer.Context,
    name: Annotated[
        str, typer.Option(help="Name of the experiment; one that exists is resumed.")
    ] = SEED_PROTOCOL,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; options take precedence.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for this call; default: as planned, at first 60.")
    ] = None,
    classify: Annotated[
        List, typer.Option(metavar="KxN", help="Classifiers of K products × N photos: 81x50 …")
    ] = None,
    embed: Annotated[
        List, typer.Option(metavar="KxN", help="Encoders of K products × N photos: 81xall …")
    ] = None,
    unseen: Annotated[
        List, typer.Option(metavar="KxN", help="Encoders tested on unseen products, K in training.")
    ] = None,
    backbone: Annotated[List, typer.Option(help="A timm network, or small_cnn.")] = None,
    stage: Annotated[List, typer.Option(help="Of classifiers: head, partial, full.")] = None,
    loss: Annotated[List, typer.Option(help="Of encoders: triplet, margin, arcface …")] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the catalogue file with train, val or test.")
    ] = None,
    setting: Annotated[
        List, typer.Option("--set", metavar="KEY=VALUE", help="Of every run, as for train.")
    ] = None,
    tracker: Annotated[List, typer.Option(help="mlflow, wandb, tensorboard; default none.")] = (
        None
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with estimated times, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate the seed's table of models; write one page with its figures next to ours.

    Run the same command again to resume. Lists may be repeated: --loss triplet --loss margin.
    """
    need_extra("train")
    from satchel.experiment.store import Experiment

    began = time.monotonic()
    given = {
        "classify": classify,
        "embed": embed,
        "unseen": unseen,
        "backbones": backbone,
        "stages": stage,
        "losses": loss,
        "column": column,
        **_split_settings(pairs(setting)),
    }
    workspace = open_workspace(context)
    found = Experiment.named(workspace, name)
    settings = _settings(config, minutes, given)
    try:
        if found.planned:
            plan = _known_plan(found, settings, config is not None or any(given.values()))
        else:
            plan = _new_plan(workspace, found, settings, dry_run)
        if not as_json:
            _announce(plan, found)
        page = None
        if not dry_run:
            seconds = 60 * (minutes or plan.settings.minutes) - (time.monotonic() - began)
            trackers = [name for name in tracker or () if name != "none"]
            page = _run(workspace, found, seconds, trackers)
        if as_json:
            print_result({"plan": plan, "page": page})
    except KeyboardInterrupt:
        say(f"stopped; resume with: satchel experiment {SEED_PROTOCOL} --name {name}")
        raise typer.Exit(STOPPED) from None


def _split_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Settings of the experiment, and under `fit` those of every run."""
    from satchel.experiment.settings import ExperimentSettings

    own = {k: v for k, v in given.items() if k in ExperimentSettings.model_fields}
    fit = {k: v for k, v in given.items() if k not in own}
    return own | ({"fit": fit} if fit else {})


def _settings(
    config: Path | None, minutes: float | None, given: dict[str, Any]
) -> ExperimentSettings:
    from satchel.experiment.settings import ExperimentSettings
    from satchel.train.settings import read_settings_file

    return read_settings_file(ExperimentSettings, config, given, {"minutes": minutes})


def _new_plan(
    workspace: Workspace, found: Experiment, settings: ExperimentSettings, dry_run: bool
) -> Plan:
    from satchel.experiment.prepare import prepare

    with Bars(resumes=False) as bars:
        prepared = prepare(workspace, found.folder.name, settings, bars)
    if not dry_run:
        prepared.write(workspace, found)
    return prepared.plan


def _known_plan(found: Experiment, settings: ExperimentSettings, given: bool) -> Plan:
    plan = found.plan()
    same = settings.model_copy(update={"minutes": plan.settings.minutes}) == plan.settings
    if given and not same:
        raise UsageError(
            f"the experiment {found.folder.name} has other settings; leave the settings out to "
            "resume it, or give another --name"
        )
    return plan


def _announce(plan: Plan, found: Experiment) -> None:
    from rich.table import Table

    results = found.results() if found.planned else {}
    table = Table("data set", "method", "backbone", "epochs", "about, min", "", title=plan.name)
    for cell in plan.cells:
        state = "finished" if cell.name in results and not results[cell.name].error else ""
        epochs = str(cell.epochs) if cell.fine_tuned else ""
        minutes = f"{cell.seconds / 60:.1f}"
        table.add_row(cell.dataset, cell.method, cell.backbone, epochs, minutes, state)
    print_table(table)
    say(f"all cells: about {sum(cell.seconds for cell in plan.cells) / 60:.1f} min")
    for dataset in plan.datasets:
        say(
            f"{dataset.name}: {dataset.products:,} products, {dataset.train:,} training, "
            f"{dataset.val:,} validation and {dataset.test:,} test photos"
        )
    for backbone, weights in plan.weights.items():
        say(f"{backbone}: weights {weights}")


def _run(workspace: Workspace, found: Experiment, seconds: float, trackers: list[str]) -> Path:
    from satchel.experiment.run import run_experiment, write_page
    from satchel.experiment.tables import finished

    plan = found.plan()
    with _Lines(len(plan.cells)) as lines:
        results = run_experiment(
            workspace, found, progress=lines, seconds=seconds, trackers=trackers
        )
    left = len(plan.cells) - len(finished(plan, results))
    if left:
        say(
            f"{left} of {len(plan.cells)} cells are not finished; resume with: satchel experiment "
            f"{SEED_PROTOCOL} --name {plan.name}"
        )
    page = write_page(workspace, found)
    say(f"the page: {page}")
    return page


class _Lines(Bars):
    """Progress bars, and two lines for each cell."""

    def __init__(self, cells: int) -> None:
        super().__init__(resumes=False)
        self._cells = cells

    def __enter__(self) -> _Lines:
        super().__enter__()
        return self

    def begin_cell(self, number: int, cell: Cell, seconds_left: float) -> None:
        """Print what begins."""
        self.end()
        epochs = f"{cell.epochs} epochs, " if cell.fine_tuned else ""
        say(
            f"[{number}/{self._cells}] {cell.name}: {epochs}about {cell.seconds / 60:.1f} min; "
            f"{seconds_left / 60:.1f} min left"
        )

    def end_cell(self, cell: Cell, result: CellResult) -> None:
        """Print its figures, or the error."""
        self.end()
        shown = [
            f"{figure.name} {figure.value:.1%}"
            for figure in result.figures
            if figure.name in ("Top-1", "Top-5", "Recall@1, by photo")
        ]
        say("  " + ", ".join([*(shown or [result.error]), f"{result.seconds / 60:.1f} min"]))
