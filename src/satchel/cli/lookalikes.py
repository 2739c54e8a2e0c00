"""`satchel lookalikes`: find look-alikes, list them, decide on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import AsJsonLines, Bars, open_workspace, print_json, print_table, say
from satchel.errors import UsageError

MOST_SHOWN = 40
"""Groups in a table; more of them are easier to review on the page."""

MAX_ID = 2**63 - 1
"""The largest number that a database takes."""

if TYPE_CHECKING:
    from satchel.catalog.lookalike_groups import LookAlikeGroup
    from satchel.catalog.lookalikes import LookAlikeStore
    from satchel.workspace import Workspace


def lookalikes(
    context: typer.Context,
    confirm: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_ID, metavar="GROUP", help="Confirm that a group looks the same."
        ),
    ] = None,
    reject: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_ID, metavar="GROUP", help="Reject a group: its products differ."
        ),
    ] = None,
    undo: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_ID, metavar="GROUP", help="Undo the decision on a group."),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(help="With --confirm: only these codes of the group; several times."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who decides, kept with the decision.")] = None,
    why: Annotated[str | None, typer.Option(help="Why, kept with the decision.")] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Find look-alikes, products that photos cannot distinguish; list, confirm, reject them."""
    from satchel.catalog.decisions import Choice
    from satchel.workflows.lookalikes import propose_look_alikes

    if sum(one is not None for one in (confirm, reject, undo)) > 1 or (code and confirm is None):
        raise UsageError("expected one of --confirm, --reject and --undo; --code with --confirm")
    workspace = open_workspace(context)
    store = workspace.catalogue.look_alikes
    if confirm is not None:
        decision = store.decide(Choice.CONFIRM_GROUP, confirm, code, by=by, why=why)
    elif reject is not None:
        decision = store.decide(Choice.REJECT_GROUP, reject, by=by, why=why)
    elif undo is not None:
        decision = store.undo(store.decision_on(undo), by=by)
    else:
        with Bars() as bars:
            propose_look_alikes(workspace, progress=bars)
        _show(workspace, _all(store), as_json)
        return
    assert decision.group is not None
    _show(workspace, [store.group(decision.group)], as_json)


def _all(store: LookAlikeStore) -> list[LookAlikeGroup]:
    from satchel.catalog.lookalike_groups import GroupState

    return [group for state in GroupState for group in store.in_state(state)]


def _show(workspace: Workspace, groups: Sequence[LookAlikeGroup], as_json: bool) -> None:
    from satchel.catalog.lookalike_groups import GroupState

    if as_json:
        for group in groups:
            print_json(_row(workspace, group))
        return
    if not groups:
        say("no products look alike: there is no group to decide on")
        return
    from rich.table import Table

    table = Table("group", "state", "likeness", "codes", "tell apart by")
    for row in (_row(workspace, group) for group in groups[:MOST_SHOWN]):
        codes = "\n".join(row["codes"])
        likeness = f"{row['likeness']:.3f}"
        table.add_row(str(row["group"]), row["state"], likeness, codes, row["advice"])
    print_table(table)
    if len(groups) > MOST_SHOWN:
        say(f"… and {len(groups) - MOST_SHOWN:,} more groups: --json gives all")
    if any(group.state is GroupState.PROPOSED for group in groups):
        say(
            "proposed groups wait under Review on the page of `satchel serve`; or "
            "satchel lookalikes --confirm GROUP, --reject GROUP"
        )


def _row(workspace: Workspace, group: LookAlikeGroup) -> dict[str, Any]:
    """Convert a group to JSON."""
    from satchel import schemas

    products = workspace.catalogue.products_by_id(group.products)
    visible = workspace.settings.catalogue.visible
    return schemas.LookAlikeGroup.of(group, products, visible).model_dump(mode="json")
