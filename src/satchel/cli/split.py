"""`satchel split`: freeze which photos train, validate and test."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from satchel.cli.shared import AsJson, open_workspace, print_result, say


def split(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The split's name; what is frozen never changes.")],
    protocol: Annotated[
        Literal["closed", "open"],
        typer.Option(help="closed: the same products in all parts; open: unseen ones in val, test"),
    ] = "closed",
    column: Annotated[
        str | None,
        typer.Option(help="Column of the catalogue file with train, val or test."),
    ] = None,
    val: Annotated[float, typer.Option(min=0, max=0.9, help="Share for validation.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share for the final test.")] = 0.2,
    products: Annotated[
        int | None, typer.Option(min=2, help="Products to use; default all.")
    ] = None,
    photos_per_product: Annotated[
        int | None, typer.Option(min=1, help="Training photos of a product, at most.")
    ] = None,
    fewest: Annotated[int, typer.Option(min=1, help="Least photos of a product.")] = 1,
    seed: Annotated[int, typer.Option(help="Another one splits otherwise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Freeze a split of the photos for training, validation and test."""
    from satchel.train.splits import PARTS, SplitOptions
    from satchel.workflows.split import split_workspace

    options = SplitOptions(
        protocol=protocol,
        val=val,
        test=test,
        products=products,
        photos_per_product=photos_per_product,
        fewest_photos=fewest,
        seed=seed,
    )
    workspace = open_workspace(context)
    path = workspace.split_path(name)
    made = split_workspace(workspace, path, options, column=column)
    if as_json:
        parts = {
            part: {"photos": len(made.part(part)), "products": len(made.products(part))}
            for part in PARTS
        }
        print_result(
            {"name": name, "path": path, "parts": parts, "left_out": made.left_out}
            | {"torn_groups": made.torn_groups}
        )
    for part in PARTS:
        say(f"{part}: {len(made.part(part)):,} photos of {len(made.products(part)):,} products")
    if not made.part("val"):
        say(
            "beware: training needs photos to choose the best weights by, and val has none; make a "
            "split of another name with a larger --val"
        )
    if made.left_out:
        say(f"left out: {made.left_out:,} photos whose copies belong to products of two parts")
    if made.torn_groups:
        say(
            f"beware: the column {column!r} puts {made.torn_groups:,} groups of copies in two parts"
        )
    say(f"frozen in {path}")
