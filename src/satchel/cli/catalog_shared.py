"""Shared by the commands of `satchel catalog`: options, confirmation, an edit in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import counted, print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from satchel.catalog.edit_records import CatalogueEdit

By = Annotated[str | None, typer.Option(help="Who decides, kept with the edit.")]
Why = Annotated[str | None, typer.Option(help="Why, kept with the edit.")]

MAX_ID = 2**63 - 1
"""The largest number that a database takes."""

DIGITS_SHOWN = 12
"""Digits of a photo's SHA-256 in a sentence."""


def report(edits: Sequence[CatalogueEdit], *, as_json: bool) -> None:
    """Print edits that were made, and how to undo them."""
    from satchel import edit_schemas

    for edit in edits:
        if as_json:
            print_json(edit_schemas.CatalogueEdit.of(edit).model_dump(mode="json"))
        else:
            say(f"{sentence(edit)}; to undo it: satchel catalog undo {edit.id}")


def sentence(edit: CatalogueEdit) -> str:
    """Return what an edit did, in words."""
    from satchel.catalog.decisions import Choice
    from satchel.text import printable

    code, other = edit.codes[0] if edit.codes else "", edit.codes[-1] if edit.codes else ""
    photo = ", ".join(name[:DIGITS_SHOWN] for name in edit.photos)
    match edit.kind:
        case Choice.EDIT:
            values = ", ".join(
                f"{printable(name)} {_quoted(before)} → {_quoted(after)}"
                for name, (before, after) in edit.values.items()
            )
            return f"{code}{f', photo {photo}' if photo else ''}: {values}"
        case Choice.RENAME:
            return f"{code} renamed to {other}"
        case Choice.MERGE:
            return f"{code} merged into {other}"
        case Choice.DELETE_PRODUCT:
            return f"{code} deleted, with {counted(len(edit.photos), 'photo')}"
        case Choice.DELETE_PHOTO:
            return f"photo {photo} of {code} deleted"
        case _:
            return f"{counted(len(edit.photos), 'photo')} purged"


def _quoted(value: str | None) -> str:
    from satchel.text import printable

    return "none" if value is None else f"“{printable(value)}”"
