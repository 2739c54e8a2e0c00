"""`satchel remove`: remove runs, splits and experiments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import AsJson, Yes, confirm, open_workspace, print_result, say

if TYPE_CHECKING:
    from satchel.workspace import Workspace

remove = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Remove runs, splits and experiments; products: satchel catalog delete.",
)

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names, whole.")]


@remove.command()
def run(context: typer.Context, names: Names, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove runs: weights, curves, reports. What was exported from them stays, and is served."""
    from satchel.experiment.removal import removable_run, remove_run

    _remove(context, "run", names, yes, removable_run, remove_run)
    _report(names, as_json)


@remove.command()
def split(context: typer.Context, names: Names, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove splits that no run and no experiment needs."""
    from satchel.experiment.removal import removable_split, remove_split

    _remove(context, "split", names, yes, removable_split, remove_split)
    _report(names, as_json)


@remove.command()
def experiment(
    context: typer.Context, names: Names, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Remove experiments with their pages, runs and splits."""
    from satchel.experiment.removal import removable_experiment, remove_experiment, run_names

    workspace = open_workspace(context)
    runs = sum(len(run_names(removable_experiment(workspace, name))) for name in names)
    confirm(f"remove {_listed('experiment', names)} with up to {runs:,} runs for good", yes=yes)
    for name in names:
        remove_experiment(workspace, name)
    _report(names, as_json)


def _remove(
    context: typer.Context,
    noun: str,
    names: list[str],
    yes: bool,
    removable: Callable[[Workspace, str], object],
    remove_one: Callable[[Workspace, str], object],
) -> None:
    workspace = open_workspace(context)
    for name in names:  # all are checked before the first is removed
        removable(workspace, name)
    confirm(f"remove {_listed(noun, names)} for good", yes=yes)
    for name in names:
        remove_one(workspace, name)


def _report(names: list[str], as_json: bool) -> None:
    if as_json:
        print_result({"removed": names})
    say(f"removed: {', '.join(names)}")


def _listed(noun: str, names: list[str]) -> str:
    return f"the {noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
