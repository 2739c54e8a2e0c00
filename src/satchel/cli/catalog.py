"""`satchel catalog`: list and show what is in the catalogue, and edit it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.catalog_edit import delete, edit, merge, purge, rename, undo
from satchel.cli.catalog_export import export
from satchel.cli.catalog_shared import sentence
from satchel.cli.shared import AsJsonLines, open_workspace, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from satchel.records import Product, ProductPhoto

PAGE = 200
"""Products read at once."""

catalog = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, edit, rename, merge and delete products; undo; export.",
)


@catalog.command("list")
def list_(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Words that are in its code or a column.")] = "",
    unfindable: Annotated[
        bool, typer.Option("--unfindable", help="Only products without a photo that is searched.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Products in the table.")] = 50,
    as_json: AsJsonLines = False,
) -> None:
    """List products by code, with their photos; --json gives all of them."""
    from itertools import islice

    from satchel.edit_schemas import ListedProduct

    catalogue = open_workspace(context).catalogue

    def listed() -> Iterator[tuple[Product, dict[str, int]]]:
        offset = 0
        while products := [
            product
            for product, _ in catalogue.products(
                query, offset=offset, limit=PAGE, unfindable=unfindable
            ).products
        ]:
            states = catalogue.photo_states([product.code for product in products])
            yield from ((product, states[product.code]) for product in products)
            offset += PAGE

    if as_json:
        for product, states in listed():
            print_json(ListedProduct.of(product, photos=states).model_dump(mode="json"))
        return
    total = catalogue.products(query, limit=0, unfindable=unfindable).total
    if not total:
        say("no product matches" if query or unfindable else "the catalogue is empty")
        return
    _print_list(list(islice(listed(), limit)))
    if total > limit:
        say(f"… and {total - limit:,} more: --limit {total}, or --json")


@catalog.command()
def show(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The product's code.")],
    as_json: AsJsonLines = False,
) -> None:
    """Show a product: its columns, and its photos with theirs."""
    from satchel.edit_schemas import CataloguePhoto, ShownProduct

    catalogue = open_workspace(context).catalogue
    product, photos = catalogue.product(code), catalogue.photos_of(code)
    if as_json:
        shown = ShownProduct.of(product, photos=[CataloguePhoto.of(photo) for photo in photos])
        print_json(shown.model_dump(mode="json"))
        return
    _print_product(product, photos)
    if not any(photo.state in ("kept", "doubtful") for photo in photos):
        say(f"{code} cannot be found: no photo of it is searched")


@catalog.command()
def history(
    context: typer.Context,
    code: Annotated[str | None, typer.Argument(help="Only edits that name this code.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Edits, at most.")] = 30,
    as_json: AsJsonLines = False,
) -> None:
    """List the last edits, those included that were undone."""
    from satchel.edit_schemas import CatalogueEdit

    edits = open_workspace(context).catalogue.edits.history(limit=limit, code=code)
    if as_json:
        for one in edits:
            print_json(CatalogueEdit.of(one).model_dump(mode="json"))
        return
    if not edits:
        say("nothing was edited yet" if code is None else f"no edit names {code}")
        return
    from rich.table import Table

    table = Table("decision", "when (UTC)", "who", "what")
    table.columns[3].overflow = "fold"
    for one in edits:
        undone = f"; undone {one.undone_at:%Y-%m-%d %H:%M}" if one.undone_at else ""
        undone += f" by {one.undone_by}" if one.undone_by else ""
        what = sentence(one) + (f" ({one.why})" if one.why else "") + undone
        table.add_row(str(one.id), f"{one.at:%Y-%m-%d %H:%M}", one.by or "", what)
    print_table(table)


for command in (edit, rename, merge, delete, undo, purge, export):
    catalog.command()(command)


def _print_list(listed: Sequence[tuple[Product, dict[str, int]]]) -> None:
    from rich.table import Table

    from satchel.text import printable

    table = Table("code", "brand", "name", "category", "colour", "size", "photos")
    for column in table.columns[:-1]:
        column.overflow = "fold"
    for product, states in listed:
        cells = (product.brand, product.name, product.category, product.colour, product.size)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        # Most photos are kept: only what differs is worth a word.
        photos = str(states["kept"]) if [*states] == ["kept"] else counts or "none"
        table.add_row(product.code, *(printable(cell or "") for cell in cells), photos)
    print_table(table)


def _print_product(product: Product, photos: Sequence[ProductPhoto]) -> None:
    from rich.table import Table

    from satchel.records import PRODUCT_FIELDS
    from satchel.text import printable

    columns = Table("column", "value")
    columns.columns[1].overflow = "fold"
    own = {name: getattr(product, name) for name in PRODUCT_FIELDS}
    for name, value in ({"code": product.code} | own | dict(product.attributes)).items():
        if value:
            columns.add_row(printable(name), printable(value))
    print_table(columns)
    if not photos:
        return
    table = Table("photo", "pixels", "state", "role", "source", "licence", "further")
    for column in table.columns:
        column.overflow = "fold"
    for photo in photos:
        varying = {n: v for n, v in photo.attributes.items() if n not in product.attributes}
        further = ", ".join(f"{printable(n)}={printable(v)}" for n, v in varying.items())
        cells = (photo.role, photo.source, photo.license)
        pixels = f"{photo.width}×{photo.height}"
        table.add_row(
            photo.sha256[:12], pixels, photo.state, *(printable(c or "") for c in cells), further
        )
    print_table(table)
