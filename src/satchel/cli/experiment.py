"""`satchel experiment seed-protocol`: the seed's programme on this catalogue, in a given time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import STOPPED, Bars, open_workspace, pairs, say
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.experiment.plan import Cell, CellResult, Plan, Results
    from satchel.experiment.run import Experiment
    from satchel.train.settings import ExperimentSettings
    from satchel.workspace import Workspace

experiment = typer.Typer(no_args_is_help=True, help="Many runs as one table, in a given time.")

SEED_PROTOCOL = "seed-protocol"

List = list[str] | None


@experiment.command(SEED_PROTOCOL)
def seed_protocol(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Of the experiment; known: go on.")] = SEED_PROTOCOL,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; what is given here wins over it.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="For all of it; more than before: go on further.")
    ] = None,
    classify: Annotated[
        List, typer.Option(metavar="KxN", help="Classifiers on K products × N photos: 81x50 …")
    ] = None,
    embed: Annotated[
        List, typer.Option(metavar="KxN", help="Encoders on K products × N photos: 81xall …")
    ] = None,
    unseen: Annotated[
        List, typer.Option(metavar="KxN", help="Encoders on some of K products, for the others.")
    ] = None,
    backbone: Annotated[List, typer.Option(help="A timm network, or small_cnn.")] = None,
    stage: Annotated[List, typer.Option(help="Of classifiers: head, partial, full.")] = None,
    loss: Annotated[List, typer.Option(help="Of encoders: triplet, margin, arcface …")] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the catalogue file that says train, val or test.")
    ] = None,
    setting: Annotated[
        List, typer.Option("--set", metavar="KEY=VALUE", help="Of every run, as for train.")
    ] = None,
    tracker: Annotated[List, typer.Option(help="mlflow (default), wandb, tensorboard, none.")] = (
        None
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with its times, and stop.")
    ] = False,
) -> None:
    """Run the seed's tables on this catalogue, and write one page with its figures beside ours.

    Run the same command again to go on. Lists may be repeated: --loss triplet --loss margin.
    """
    from satchel.experiment.run import Experiment

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
        if found.begun:
            plan = _known(found, settings, minutes, config is not None or any(given.values()))
        else:
            plan = _planned(workspace, found, settings, dry_run)
        _announce(plan, found.results())
        if not dry_run:
            _run(workspace, found, [t for t in tracker or ["mlflow"] if t != "none"])
    except KeyboardInterrupt:
        say(f"stopped; go on with: satchel experiment {SEED_PROTOCOL} --name {name}")
        raise typer.Exit(STOPPED) from None


def _split_settings(given: dict[str, Any]) -> dict[str, Any]:
    """The experiment's own settings, and those of every run."""
    from satchel.train.settings import ExperimentSettings

    own = {k: v for k, v in given.items() if k in ExperimentSettings.model_fields}
    fit = {k: v for k, v in given.items() if k not in own}
    return own | ({"fit": fit} if fit else {})


def _settings(
    config: Path | None, minutes: float | None, given: dict[str, Any]
) -> ExperimentSettings:
    from satchel.train.settings import ExperimentSettings, read_settings_file

    return read_settings_file(ExperimentSettings, config, minutes=minutes, **given)


def _planned(
    workspace: Workspace, found: Experiment, settings: ExperimentSettings, dry_run: bool
) -> Plan:
    from satchel.experiment.run import prepare

    with Bars() as bars:
        prepared = prepare(workspace, found.folder.name, settings, bars)
    if not dry_run:
        prepared.freeze(workspace, found)
    return prepared.plan


def _known(
    found: Experiment, settings: ExperimentSettings, minutes: float | None, asked: bool
) -> Plan:
    """The plan of an experiment that was begun, with more minutes if they are given."""
    plan = found.plan()
    same = settings.model_copy(update={"minutes": plan.settings.minutes}) == plan.settings
    if asked and not same:
        raise UsageError(
            f"the experiment {found.folder.name} was planned otherwise; leave the settings out to "
            "go on with it, or give another --name"
        )
    if minutes is not None and minutes != plan.settings.minutes:
        plan = plan.lasting(minutes)
        found.write(plan)
    return plan


def _announce(plan: Plan, results: Results) -> None:
    from rich.console import Console
    from rich.table import Table

    from satchel.experiment.plan import total
    from satchel.experiment.tables import planned_table

    budget = f"{plan.settings.minutes:g} min, of which {results.spent_s / 60:.1f} are spent"
    table = Table(
        "data set", "method", "backbone", "epochs", "about, min", "", title=f"{plan.name}: {budget}"
    )
    for row in planned_table(plan, results):
        table.add_row(*row)
    Console().print(table)
    say(f"together about {total(plan.cells) / 60:.1f} min")
    for facts in plan.data:
        say(
            f"{facts.name}: {facts.products:,} products, {facts.train:,} photos to train on, "
            f"{facts.val:,} to choose by, {facts.test:,} to test on"
        )
    for backbone, weights in plan.weights.items():
        say(f"{backbone}: weights {weights}")


def _run(workspace: Workspace, found: Experiment, trackers: list[str]) -> None:
    from satchel.experiment.run import run_experiment, write_page

    with _Lines(len(found.plan().cells)) as lines:
        results = run_experiment(
            workspace,
            found,
            teller=lines,
            trackers=trackers,
            on_result=lambda plan, results: write_page(workspace, found, plan, results),
        )
    plan = found.plan()
    page = write_page(workspace, found, plan, results)
    waiting = [cell for cell in plan.cells if results.of(cell) is None]
    if waiting:
        say(
            f"{len(waiting)} of {len(plan.cells)} are not done; with more time: satchel "
            f"experiment {SEED_PROTOCOL} --name {plan.name} --minutes N"
        )
    say(f"the page: {page}")


class _Lines(Bars):
    """A progress bar for each stage, and two lines for each cell."""

    def __init__(self, cells: int) -> None:
        self._cells = cells

    def __enter__(self) -> _Lines:
        super().__enter__()
        return self

    def cell(self, number: int, cell: Cell, left_s: float) -> None:
        """A cell begins."""
        self.end()
        epochs = f"{cell.epochs} epochs, " if cell.fine_tuned else ""
        say(
            f"[{number}/{self._cells}] {cell.name}: {epochs}about {cell.seconds / 60:.1f} min; "
            f"{left_s / 60:.1f} min left"
        )

    def result(self, cell: Cell, result: CellResult) -> None:
        """What came of it."""
        self.end()
        told = [
            f"{figure.name} {figure.value:.1%}"
            for figure in result.figures
            if figure.name in ("Top-1", "Top-5", "Recall@1, by photo")
        ]
        took = f"{result.seconds / 60:.1f} min"
        say("  " + ", ".join([*(told or [f"{result.state}: {result.why}"]), took]))
