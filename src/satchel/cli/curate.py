"""`satchel curate`: sort out copies, faulty photos and photos of other things."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    PROBLEMS_SHOWN,
    SOME_FAILED,
    AsJson,
    Bars,
    open_workspace,
    print_result,
    print_table,
    say,
    say_first,
)

if TYPE_CHECKING:
    from satchel.curate.summary import CurationSummary


def curate(
    context: typer.Context,
    best: Annotated[
        int | None,
        typer.Option(min=1, help="Photos kept of a product, at most; default from satchel.toml."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Leave copies, faulty and unrelated photos out; delete nothing."""
    from satchel.workflows.curate import curate_catalogue

    workspace = open_workspace(context)
    rules = workspace.settings.curate
    if best is not None:
        rules = rules.model_copy(update={"best": best})
    with Bars() as bars:
        done = curate_catalogue(workspace, rules, progress=bars)
    say_first(done.problems)
    if as_json:
        shown = ("photos", "reasons", "stages", "short", "changed", "unfindable")
        print_result(
            {name: getattr(done.summary, name) for name in shown}
            | {"problems": done.problems, "page": done.page, "figures": done.figures}
        )
    else:
        _print_table(done.summary)
    _say_summary(done.summary)
    say(f"the whole report: {done.page}, and as figures: {done.figures}")
    if done.problems:
        raise typer.Exit(SOME_FAILED)


def _print_table(summary: CurationSummary) -> None:
    from rich.table import Table

    from satchel.curate.report import MEANINGS

    table = Table("", "photos")
    table.columns[1].justify = "right"
    for state, count in summary.photos.items():
        table.add_row(state, f"{count:,}")
    table.add_section()
    for reason, count in summary.reasons.items():
        table.add_row(MEANINGS[reason], f"{count:,}")
    table.add_section()
    table.add_row("products short of photos", f"{len(summary.short):,}")
    table.add_row("products that cannot be found", f"{len(summary.unfindable):,}")
    print_table(table)


def _say_summary(summary: CurationSummary) -> None:
    from satchel.curate.garbage import State
    from satchel.curate.report import UNFINDABLE

    for code, why in islice(summary.unfindable.items(), PROBLEMS_SHOWN):
        say(f"{code} cannot be found: {_lower(UNFINDABLE[why])}")
    if len(summary.unfindable) > PROBLEMS_SHOWN:
        say("… and more, in the report")
    if summary.photos[State.DOUBTFUL]:
        say("those in doubt wait under Review on the page of `satchel serve`")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
