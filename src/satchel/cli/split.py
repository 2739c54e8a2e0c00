"""`satchel split`: freeze which photos train, validate and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from satchel.cli.shared import AsJson, open_workspace, print_result, say
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.train.splits import Split


def split(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The split's name; what is frozen never changes.")],
    from_decisions: Annotated[
        bool,
        typer.Option(
            "--from-decisions",
            help="Photos of certified listings are the queries, of products unseen in training.",
        ),
    ] = False,
    protocol: Annotated[
        Literal["closed", "open"] | None,
        typer.Option(
            help="closed: the same products in all parts; open: unseen ones in val, test. Default: "
            "closed, and open with --from-decisions."
        ),
    ] = None,
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
    from satchel.train.dealing import SplitOptions
    from satchel.workflows.split import decisions_split, freeze, workspace_split

    if from_decisions and (protocol == "closed" or column is not None):
        raise UsageError(
            "expected --from-decisions without --column and --protocol closed: certified products "
            "are dealt out whole"
        )
    options = SplitOptions(
        protocol=protocol or "closed",
        val=val,
        test=test,
        products=products,
        photos_per_product=photos_per_product,
        fewest_photos=fewest,
        seed=seed,
    )
    workspace = open_workspace(context)
    path = workspace.split_path(name)
    if from_decisions:
        made, missing = decisions_split(workspace, options)
    else:
        made, missing = workspace_split(workspace, options, column=column), 0
    freeze(made, path)
    if as_json:
        print_result({"name": name, "path": path} | _counts(made))
    _say(made, missing, column)
    say(f"frozen in {path}")


def _counts(made: Split) -> dict[str, Any]:
    """How much a split holds, for --json."""
    from satchel.train.splits import PARTS

    parts = {
        part: {"photos": len(made.part(part)), "products": len(made.products(part))}
        for part in PARTS
    }
    return {
        "parts": parts,
        "left_out": made.left_out,
        "torn_groups": made.torn_groups,
        "queries": len(made.queries),
        "unknown": len(made.unknown),
    }


def _say(made: Split, missing: int, column: str | None) -> None:
    """Say how much each part holds, and what is left out.

    Args:
        missing: photos of certified listings that the gallery does not have.
        column: of the catalogue file that names the parts.
    """
    from satchel.train.splits import PARTS

    for part in PARTS:
        say(f"{part}: {len(made.part(part)):,} photos of {len(made.products(part)):,} products")
    if made.queries:
        asked = ", ".join(f"{part} {len(made.answerable(part)):,}" for part in PARTS)
        say(f"photos of certified listings that are queries: {asked}")
        say(f"photos of goods that the catalogue did not have: {len(made.unknown):,}")
    if missing:
        say(
            f"left out: {missing:,} photos of certified listings that the gallery has not taken "
            "yet (`satchel learn`), or does not keep"
        )
    if not made.answerable("val"):
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
