"""`satchel evaluate`: figures of a trained model on held-out photos."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from satchel.cli.shared import AsJson, Bars, open_workspace, print_result, print_table, say
from satchel.errors import UsageError
from satchel.extras import need_extra


def evaluate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run, or how its name begins.")],
    part: Annotated[
        Literal["val", "test"],
        typer.Option(help="val for model selection, test for the final result."),
    ] = "test",
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model on held-out photos; write a report."""
    need_extra("train")
    from rich.table import Table

    from satchel.evaluate.rendering import write_report
    from satchel.train.runs import Run

    workspace = open_workspace(context)
    run = Run.find(workspace.runs, name)
    if not run.best.exists():
        raise UsageError(f"the run {run.name} has no weights yet: it is {run.state()}")
    with Bars() as bars:
        if run.read().kind == "locator":  # it froze its own photos, and no test part
            from satchel.workflows.locator import evaluate_locator

            part, report = "val", evaluate_locator(workspace, run, progress=bars)
        else:
            from satchel.workflows.evaluate import evaluate_run

            report = evaluate_run(workspace, run, part=part, progress=bars)
    folder = run.folder / part
    folder.mkdir(exist_ok=True)
    page = write_report(report, workspace.photos.read_or_none, folder)
    if as_json:
        figures = {"title": report.title, "figures": report.figures}
        print_result({"run": run.name, "part": part, **figures, "page": page})
        return
    table = Table(report.title, "", "95 %")
    for figure in report.figures:
        between = "" if figure.low is None else f"{figure.low:.1%} – {figure.high:.1%}"
        table.add_row(figure.name, f"{figure.value:.1%}", between)
    print_table(table)
    say(f"the whole report: {page}")
