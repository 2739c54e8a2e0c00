"""`satchel collect` at sources and in shops: what to search for, and what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from satchel.cli.collect_display import say_refused, say_searched
from satchel.cli.shared import (
    SOME_FAILED,
    Bars,
    complain,
    counted,
    print_result,
    print_table,
    say,
)

if TYPE_CHECKING:
    from satchel.collect.queries import Query
    from satchel.records import Product
    from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SearchArguments:
    """What the command line says of searches."""

    sources: list[str]
    shop: str | None
    again: bool
    codes: Path | None
    code: list[str]
    short_of: int | None
    per_product: int | None
    encoding: str | None
    retry: bool
    ignore_robots_of: list[str]


def show_check(workspace: Workspace, name: str, ignored: list[str], *, as_json: bool) -> None:
    """Show what of a source works; exit code 1 where something does not."""
    from rich.table import Table

    from satchel.workflows.photo_search import check_source

    parts, saved = check_source(workspace, name, ignored)
    if as_json:
        print_result({"parts": [asdict(one) for one in parts], "saved": [str(p) for p in saved]})
    else:
        table = Table("part", "works", "")
        words = {True: "yes", False: "NO", None: "–"}
        for one in parts:
            table.add_row(one.part, words[one.works], one.said)
        print_table(table)
    for path in saved:
        complain(f"what it answered: {path}")
    if any(one.works is False for one in parts):
        raise typer.Exit(SOME_FAILED)


def find_photos(
    workspace: Workspace, asked: SearchArguments, bars: Bars, *, dry_run: bool
) -> dict[str, Any]:
    """Search, or read a shop, and say what was found; a dry run shows the queries."""
    from satchel.collect.sources import opener
    from satchel.workflows.photo_search import first_queries, wanted_products
    from satchel.workflows.refusals import Refusals

    for name in asked.sources:
        opener(name, workspace.folder)  # before products are made
    refusals = Refusals()
    products, new = wanted_products(
        workspace,
        asked.code,
        asked.codes,
        asked.short_of,
        asked.encoding,
        on_problem=refusals.add,
        dry_run=dry_run,
    )
    say_refused(refusals)
    listed = {"products_new": new, "codes_refused": refusals.total}
    if new:
        say(f"{counted(new, 'product')} {'would be ' if dry_run else ''}new")
    if asked.shop is not None:
        return {"shops": [_read_shop(workspace, asked, products, bars)], **listed}
    queries = first_queries(workspace, products)
    if dry_run:
        for one in queries:
            for query in one:
                say(f"{query.code}: {query.text}")
        made = [asdict(query) for one in queries for query in one]
        return {"dry_run": True, "queries": made, **listed}
    return {"searched": _search(workspace, asked, queries, bars), **listed}


def _search(
    workspace: Workspace, asked: SearchArguments, queries: list[list[Query]], bars: Bars
) -> list[dict[str, Any]]:
    from satchel.workflows.photo_search import search_photos

    done, refusals = search_photos(
        workspace,
        asked.sources,
        queries,
        per_product=asked.per_product,
        retry=asked.retry,
        ignore_robots_of=asked.ignore_robots_of,
        progress=bars,
    )
    bars.end()
    say_searched(done)
    say_refused(refusals)
    return [asdict(one) for one in done]


def _read_shop(
    workspace: Workspace, asked: SearchArguments, products: list[Product], bars: Bars
) -> dict[str, Any]:
    from satchel.workflows.photo_search import read_shop_pages

    assert asked.shop is not None
    done, refusals = read_shop_pages(
        workspace, asked.shop, products, retry=asked.retry, again=asked.again, progress=bars
    )
    bars.end()
    say(
        f"{done.shop}: {counted(done.pages, 'page')} read, {done.refused:,} refused, "
        f"{done.failed:,} failed, {done.waiting:,} left for later; "
        f"{counted(done.products, 'product')}, {done.matched:,} of the catalogue; "
        f"{counted(done.found, 'photo')} found, {done.new:,} of them new"
    )
    if done.stopped:
        complain(f"{done.shop}: {done.stopped}")
    say_refused(refusals)
    return asdict(done)
