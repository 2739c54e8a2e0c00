"""`satchel collect`: photos from the web, of a list of URLs or found by searching."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    Encoding,
    complain,
    open_workspace,
    print_result,
    print_table,
    problems_shown,
    say,
)
from satchel.errors import UsageError

COUNTS: Final = ("found", "waiting", "fetched", "refused", "failed", "new", "duplicate")
MOST_PRODUCTS: Final = 50
"""Rows of the table by product that are shown."""

if TYPE_CHECKING:
    from satchel.collect.learning import RoundCount
    from satchel.collect.queries import Query
    from satchel.collect.recording import Recorded
    from satchel.collect.records import SourceCount
    from satchel.collect.searching import Searched
    from satchel.records import Product
    from satchel.workflows.collect import CollectReport
    from satchel.workflows.refusals import Refusals
    from satchel.workspace import Workspace


def collect(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="CSV, XLSX or JSONL with code and url, or a Google Merchant feed (XML, TSV); "
            "without it, what still waits is fetched.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=HEADER", help="Read this column as that field: code=mpn."),
    ] = None,
    encoding: Encoding = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Search for photos there; may be given several times."),
    ] = None,
    shop: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Read this shop's product pages, which its sitemap names."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read all of the shop's pages again.")
    ] = False,
    codes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Search for the products of this list: text, CSV, XLSX or JSONL with code and, "
            "where known, brand, name and category; new codes become products.",
        ),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Search for this product; may be given several times."),
    ] = None,
    short_of: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only for products with fewer than N kept photos."),
    ] = None,
    per_product: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000, metavar="N", help="Candidates of a source for a product, at most."
        ),
    ] = None,
    refill: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Curate, then search again for products with fewer than N kept photos, with "
            "queries refined by what stayed, until they have N or nothing new is found.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Make one known search there and say what no longer works."
        ),
    ] = None,
    ignore_robots_of: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Search this source although its robots.txt does not allow it: you answer for "
            "that, and it is recorded.",
        ),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what failed in earlier runs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what the list holds; fetch nothing.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Only show what became of all URLs so far.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch photos of products, of a list of URLs or found by searching, as the sites permit."""
    if refill is not None:
        others = (path, shop, codes, short_of, per_product, check, dry_run, report)
        if any((*others, column, encoding, again, retry)):
            raise UsageError(
                "expected only --source, --code, --ignore-robots-of and --json with --refill"
            )
        _check_ignored(ignore_robots_of or [], source or [])
        _refill(context, refill, source or [], code or [], ignore_robots_of or [], as_json=as_json)
        return
    _check(path, source, shop, (codes, code, short_of), per_product, dry_run=dry_run)
    _check_ignored(ignore_robots_of or [], [*(source or []), *([check] if check else [])])
    if check is not None:
        if path is not None or source or shop or retry or dry_run or report:
            raise UsageError("expected --check alone: it makes one search and fetches nothing")
        _check_source(open_workspace(context), check, ignore_robots_of or [], as_json=as_json)
        return
    if again and shop is None:
        raise UsageError("expected --shop with --again: its pages are read again")
    if report and (path is not None or source or shop or retry):
        raise UsageError("expected --report alone: it fetches nothing")
    workspace = open_workspace(context)
    result: dict[str, Any] = {}
    with Bars(resumes=not dry_run) as bars:
        if path is not None:
            result |= _record(workspace, path, column or [], encoding, bars, dry_run=dry_run)
        if source or shop:
            asked = _Asked(
                source or [],
                shop,
                again,
                codes,
                code or [],
                short_of,
                per_product,
                encoding,
                retry,
                ignore_robots_of or [],
            )
            result |= _find(workspace, asked, bars, dry_run=dry_run)
        if not report and not dry_run:
            result |= _fetch(workspace, bars, retry=retry)
    if not dry_run:
        result |= _count(workspace, shown=not as_json)
    if as_json:
        print_result(result)
    refused = result.get("stopped") or result.get("list", {}).get("problems")
    looked = (*result.get("searched", ()), *result.get("shops", ()))
    if refused or any(one["stopped"] or one["failed"] for one in looked):
        raise typer.Exit(SOME_FAILED)


def _count(workspace: Workspace, *, shown: bool) -> dict[str, Any]:
    """Count what became of all URLs, and of the photos of each pass."""
    from satchel.workflows.collect import report as count_all

    counted, passes = count_all(workspace), _rounds(workspace)
    if shown:
        _show(counted)
    if shown and passes:
        _show_rounds(passes)
    return {**asdict(counted), "passes": passes}


@dataclass(frozen=True, slots=True)
class _Asked:
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


def _check(
    path: Path | None,
    source: list[str] | None,
    shop: str | None,
    wanted: tuple[object, ...],
    per_product: int | None,
    *,
    dry_run: bool,
) -> None:
    if sum((path is not None, bool(source), shop is not None)) > 1:
        raise UsageError("expected one of a list of URLs, --source and --shop, got several")
    if dry_run and path is None and not source:
        raise UsageError("expected a file or --source for --dry-run, got neither")
    if not source and shop is None and any(one is not None for one in wanted):
        raise UsageError(
            "expected --source or --shop with --codes, --code and --short-of: they say of which "
            "products photos are wanted"
        )
    if not source and per_product is not None:
        raise UsageError("expected --source with --per-product")


def _check_ignored(ignored: list[str], used: list[str]) -> None:
    for name in ignored:
        if name not in used:
            raise UsageError(
                f"expected a source of --source or --check with --ignore-robots-of, got {name!r}"
            )


def _check_source(workspace: Workspace, name: str, ignored: list[str], *, as_json: bool) -> None:
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


def _find(workspace: Workspace, asked: _Asked, bars: Bars, *, dry_run: bool) -> dict[str, Any]:
    from satchel.collect.sources import opener
    from satchel.workflows.photo_search import first_queries, wanted_products

    for name in asked.sources:
        opener(name, workspace.folder)  # before products are made
    products, new = wanted_products(
        workspace, asked.code, asked.codes, asked.short_of, asked.encoding, dry_run=dry_run
    )
    if new:
        say(f"{new:,} products {'would be ' if dry_run else ''}new")
    if asked.shop is not None:
        return {"shops": [_read_shop(workspace, asked, products, bars)], "products_new": new}
    queries = first_queries(workspace, products)
    if dry_run:
        for one in queries:
            for query in one:
                say(f"{query.code}: {query.text}")
        return {"dry_run": True, "queries": [asdict(query) for one in queries for query in one]}
    return {"searched": _search(workspace, asked, queries, bars), "products_new": new}


def _search(
    workspace: Workspace, asked: _Asked, queries: list[list[Query]], bars: Bars
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
    _say_searched(done)
    _say_refused(refusals)
    return [asdict(one) for one in done]


def _read_shop(
    workspace: Workspace, asked: _Asked, products: list[Product], bars: Bars
) -> dict[str, Any]:
    from satchel.workflows.photo_search import read_shop_pages

    assert asked.shop is not None
    done, refusals = read_shop_pages(
        workspace, asked.shop, products, retry=asked.retry, again=asked.again, progress=bars
    )
    bars.end()
    say(
        f"{done.shop}: {done.pages:,} pages read, {done.refused:,} refused, {done.failed:,} "
        f"failed, {done.waiting:,} wait; {done.products:,} products, {done.matched:,} of the "
        f"catalogue; {done.found:,} photos found, {done.new:,} of them new"
    )
    if done.stopped:
        complain(f"{done.shop}: {done.stopped}")
    _say_refused(refusals)
    return asdict(done)


def _refill(
    context: typer.Context,
    wanted: int,
    sources: list[str],
    code: list[str],
    ignored: list[str],
    *,
    as_json: bool,
) -> None:
    from satchel.workflows.photo_search import wanted_products
    from satchel.workflows.refill import refill

    workspace = open_workspace(context)
    products, _ = wanted_products(workspace, code)
    with Bars() as bars:
        done = refill(
            workspace,
            wanted,
            products,
            sources=sources,
            ignore_robots_of=ignored,
            progress=bars,
        )
        bars.end()
    _say_searched(done.searched)
    _say_stopped(done.stopped)
    rounds = _rounds(workspace)
    made = "1 round" if done.rounds == 1 else f"{done.rounds:,} rounds"
    say(f"{made}, {done.new:,} new photos; ended since {done.ended}")
    for short, kept in list(done.short.items())[: problems_shown()]:
        complain(f"  {short} has {kept:,} of {wanted:,} photos")
    if as_json:
        print_result({**asdict(done), "passes": rounds})
    else:
        _show_rounds(rounds)
    if done.short or done.stopped or any(one.stopped for one in done.searched):
        raise typer.Exit(SOME_FAILED)


def _rounds(workspace: Workspace) -> list[RoundCount]:
    from satchel.collect.learning import count_rounds
    from satchel.collect.store import CandidateStore

    return count_rounds(CandidateStore(workspace.catalogue.engine).fates())


def _show_rounds(rounds: list[RoundCount]) -> None:
    """Show what each pass brought, and what curation left of it."""
    from rich.table import Table

    from satchel.curate.report import MEANINGS

    table = Table("pass", "products", "photos", "garbage", "usable")
    for one in rounds:
        garbage = "\n".join(f"{count:,} × {MEANINGS[kind]}" for kind, count in one.garbage.items())
        table.add_row(
            str(one.number), f"{one.products:,}", f"{one.collected:,}", garbage, f"{one.usable:,}"
        )
    print_table(table)


def _say_refused(refusals: Refusals) -> None:
    for count, example in refusals.by_count()[: problems_shown()]:
        complain(f"  {count:,} × {example}")


def _say_searched(done: list[Searched]) -> None:
    for one in done:
        say(
            f"{one.source}: {one.searches:,} searches, {one.found:,} photos found, "
            f"{one.new:,} of them new, {one.failed:,} searches failed"
        )
        if one.stopped:
            complain(f"{one.source} is left: {one.stopped}")
        for path in one.saved:
            complain(f"  what it answered: {path}")


def _record(
    workspace: Workspace,
    path: Path,
    column: list[str],
    encoding: str | None,
    bars: Bars,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    from satchel.catalog.importers import parse_columns
    from satchel.collect.lists import open_list
    from satchel.workflows.collect import record_list

    urls = open_list(path, encoding, parse_columns(column))
    for note in urls.notes:
        say(note)
    done, refusals = record_list(workspace, urls, path.name, dry_run=dry_run, progress=bars)
    bars.end()
    _say_recorded(done, refusals, dry_run=dry_run)
    return {"dry_run": dry_run, "list": asdict(done)}


def _say_recorded(done: Recorded, refusals: Refusals, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    say(
        f"{done.new + done.known + done.problems:,} URLs in the list: {done.new:,} new of "
        f"{len(done.hosts):,} hosts, {done.known:,} known, {done.problems:,} refused; "
        f"{done.new_products:,} products {would}new"
    )
    for host, count in done.hosts.most_common(5 if dry_run else 0):
        say(f"  {count:,} of {host}")
    _say_refused(refusals)


def _fetch(workspace: Workspace, bars: Bars, *, retry: bool) -> dict[str, Any]:
    from satchel.workflows.collect import collect_photos

    done = collect_photos(workspace, retry=retry, progress=bars)
    bars.end()
    _say_stopped(done.stopped)
    if done.ended:
        complain(f"{done.ended}: run `satchel collect` again for the rest")
    return {
        "finished": done.finished,
        "received_bytes": done.received_bytes,
        "stopped": done.stopped,
        "ended": done.ended,
    }


def _say_stopped(stopped: dict[str, str]) -> None:
    for host, why in stopped.items():
        complain(f"{host} is left: {why}")


def _show(counted: CollectReport) -> None:
    from rich.table import Table

    if not counted.hosts:
        say("no URLs are known yet: satchel collect FILE")
        return
    table = Table("host")
    for name in COUNTS:
        table.add_column(name, justify="right")
    for host in counted.hosts:
        table.add_row(host.host, *(f"{getattr(host, name):,}" for name in COUNTS))
    print_table(table)
    _show_sources(counted.sources)
    for reason in counted.reasons[: problems_shown()]:
        say(f"{reason.state}: {reason.count:,} × {reason.reason} (such as {reason.example[:200]})")
    if any(host.new for host in counted.hosts):
        say("next: satchel curate, which sorts out copies and wrong photos; then satchel index")


def _show_sources(counted: list[SourceCount]) -> None:
    """Show what became of each product's candidates, those with the fewest photos first."""
    from rich.table import Table

    table = Table("product", "source")
    for name in COUNTS:
        table.add_column(name, justify="right")
    fewest = sorted(counted, key=lambda one: (one.new, one.code))[:MOST_PRODUCTS]
    for one in fewest:
        table.add_row(one.code, one.source, *(f"{getattr(one, name):,}" for name in COUNTS))
    print_table(table)
    if len(counted) > len(fewest):
        say(f"{len(counted) - len(fewest):,} more are in --json")
