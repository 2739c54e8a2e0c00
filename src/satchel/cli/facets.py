"""`satchel facets`: the values that products can be filtered by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import AsJsonLines, Where, open_workspace, print_json, print_table, say
from satchel.errors import NoMatch

if TYPE_CHECKING:
    from satchel.records import Facet

MOST_SHOWN = 10
"""Values of each attribute in a table of all of them."""


def facets(
    context: typer.Context,
    attribute: Annotated[
        str | None, typer.Argument(help="Only this one, with all its values.")
    ] = None,
    where: Where = None,
    as_json: AsJsonLines = False,
) -> None:
    """List brands, categories, colours and other attributes, and how many products have each."""
    from difflib import get_close_matches

    from satchel.catalog.filters import attribute_key, parse_where

    known = open_workspace(context).catalogue.facets.read()
    wanted = parse_where(where or ())
    counted = known.counts(known.select(wanted) if wanted else None)
    if attribute is not None:
        key = attribute_key(attribute)
        names = [facet.attribute for facet in counted]
        counted = [facet for facet in counted if attribute_key(facet.attribute) == key]
        if not counted:
            closest = get_close_matches(key, [attribute_key(name) for name in names], 1)
            hint = f"; did you mean {closest[0]!r}?" if closest else ""
            raise NoMatch(
                f"expected one of {', '.join(names) or 'no attributes'}, got {attribute!r}{hint}",
                attribute,
                names,
            )
    if as_json:
        from satchel import schemas

        for facet in counted:
            print_json(schemas.Facet.of(facet, len(facet.values)).model_dump(mode="json"))
    elif counted:
        _print_table(counted, all_values=attribute is not None)
    else:
        say("the catalogue has no brands, categories, colours or other attributes")


def _print_table(counted: list[Facet], *, all_values: bool) -> None:
    from rich.table import Table

    from satchel.text import printable

    table = Table("attribute", "value", "products")
    table.columns[2].justify = "right"
    for facet in counted:
        values = facet.values if all_values else facet.values[:MOST_SHOWN]
        for at, one in enumerate(values):
            name = printable(facet.attribute) if at == 0 else ""
            table.add_row(name, printable(one.value), f"{one.products:,}")
        if more := len(facet.values) - len(values):
            table.add_row("", f"… {more:,} more: satchel facets {printable(facet.attribute)}", "")
        table.add_section()
    print_table(table)
