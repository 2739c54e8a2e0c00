"""`satchel runs`: the runs, their states and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJsonLines,
    complain,
    open_workspace,
    print_result,
    print_table,
    say,
)
from satchel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from satchel.train.runs import Run, RunRecord

FIGURES: Final = ("top1", "top5", "recall1", "recall5", "map_at_r", "ap", "ap50", "main_iou")
"""Shown as columns."""


def runs(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Only runs that begin so.")] = None,
    sort: Annotated[str, typer.Option(help="Figure to sort by, or begun_at.")] = "begun_at",
    differences: Annotated[
        bool, typer.Option("--compare", help="Show the settings in which they differ.")
    ] = False,
    as_json: AsJsonLines = False,
) -> None:
    """List runs: finished, running, stopped (Ctrl-C), crashed; with their figures."""
    from satchel.train.runs import RESUMABLE, all_runs

    workspace = open_workspace(context)
    chosen = [
        run for run in all_runs(workspace.runs) if not names or run.name.startswith(tuple(names))
    ]
    if not chosen:
        if all_runs(workspace.runs):
            raise UsageError(
                f"no run begins with {' or '.join(names or ())}; `satchel runs` lists all"
            )
        say("there are no runs; begin one with `satchel train classifier`")
        return
    records = {}
    for run in chosen:
        try:
            records[run.name] = (run.read(), run.state())
        except UsageError as error:  # damaged: the others are listed
            complain(str(error))
    damaged = len(chosen) - len(records)
    chosen = [run for run in chosen if run.name in records]

    known = ["begun_at", *FIGURES]
    known += sorted({name for record, _ in records.values() for name in record.figures} - {*known})
    if sort not in known:
        raise UsageError(f"expected --sort {', '.join(known)}; got {sort!r}")

    def key(run: Run) -> Any:
        record = records[run.name][0]
        if sort == "begun_at":
            return (0.0, record.begun_at.timestamp())
        return (-record.figures.get(sort, float("-inf")), 0.0)

    rows = [(run, *records[run.name]) for run in sorted(chosen, key=key)]
    if as_json:
        for run, record, state in rows:
            print_result(record.model_dump() | {"state": state, "folder": run.folder})
    else:
        _print_runs(rows)
        if differences:
            _print_differences({run.name: record.settings for run, record, _ in rows})
        for run, record, state in rows:
            if state in RESUMABLE:
                say(f"resume {run.name}: satchel {record.command} --resume {run.name}")
    if damaged:
        raise typer.Exit(SOME_FAILED)


def _print_runs(rows: Sequence[tuple[Run, RunRecord, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from satchel.evaluate.stability import loss_trends

    figures = [name for name in FIGURES if any(name in record.figures for _, record, _ in rows)]
    colours = {"crashed": "red", "running": "yellow", "stopped": "cyan"}
    table = Table("run", "state", "split", "epochs", "min", "loss", *figures)
    table.columns[0].overflow = "fold"
    for run, record, state in rows:
        table.add_row(
            run.name,
            Text(state, style=colours.get(state, "")),
            record.split,
            f"{record.epochs:g}",
            f"{record.seconds / 60:.1f}",
            next((trend.verdict for trend in loss_trends(run.curves())), ""),
            *(f"{100 * record.figures[k]:.1f}" if k in record.figures else "" for k in figures),
        )
    print_table(table)


def _print_differences(settings: dict[str, dict[str, Any]]) -> None:
    """Table of the settings in which runs differ, one column for each run."""
    from rich.table import Table

    table = Table("setting", *settings)
    for key in sorted(set.intersection(*(set(own) for own in settings.values()))):
        values = [str(own[key]) for own in settings.values()]
        if len(set(values)) > 1:
            table.add_row(key, *values)
    print_table(table)
