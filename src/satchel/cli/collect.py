"""`satchel collect`: photos from the web, of a list of URLs or found by searching."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.collect_display import (
    say_recorded,
    say_searched,
    say_stopped,
    show_counts,
    show_rounds,
)
from satchel.cli.collect_search import SearchArguments, find_photos, show_check
from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    Encoding,
    complain,
    counted,
    open_workspace,
    print_result,
    problems_shown,
    say,
)
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.collect.learning import RoundCount
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
        show_check(open_workspace(context), check, ignore_robots_of or [], as_json=as_json)
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
            asked = SearchArguments(
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
            result |= find_photos(workspace, asked, bars, dry_run=dry_run)
        if not report and not dry_run:
            result |= _fetch(workspace, bars, retry=retry)
    if not dry_run:
        result |= _count(workspace, shown=not as_json)
    if as_json:
        print_result(result)
    refused = result.get("stopped") or result.get("list", {}).get("problems")
    refused = refused or result.get("codes_refused")
    looked = (*result.get("searched", ()), *result.get("shops", ()))
    if refused or any(one["stopped"] or one["failed"] for one in looked):
        raise typer.Exit(SOME_FAILED)


def _count(workspace: Workspace, *, shown: bool) -> dict[str, Any]:
    """Count what became of all URLs, and of the photos of each pass."""
    from satchel.workflows.collect import report as count_all

    found, passes = count_all(workspace), _rounds(workspace)
    if shown:
        show_counts(found)
    if shown and passes:
        show_rounds(passes)
    return {**asdict(found), "passes": passes}


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
    say_searched(done.searched)
    say_stopped(done.stopped)
    rounds = _rounds(workspace)
    made = f"{counted(done.rounds, 'round')}, {counted(done.new, 'new photo')}"
    say(f"{made}; ended: {done.ended}")
    for short, kept in list(done.short.items())[: problems_shown()]:
        complain(f"  {short} has {kept:,} of {counted(wanted, 'photo')}")
    if as_json:
        print_result({**asdict(done), "passes": rounds})
    else:
        show_rounds(rounds)
    if done.short or done.stopped or any(one.stopped for one in done.searched):
        raise typer.Exit(SOME_FAILED)


def _rounds(workspace: Workspace) -> list[RoundCount]:
    from satchel.collect.learning import count_rounds
    from satchel.collect.store import CandidateStore

    return count_rounds(CandidateStore(workspace.catalogue.engine).fates())


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
    say_recorded(done, refusals, dry_run=dry_run)
    return {"dry_run": dry_run, "list": asdict(done)}


def _fetch(workspace: Workspace, bars: Bars, *, retry: bool) -> dict[str, Any]:
    from satchel.workflows.collect import collect_photos

    done = collect_photos(workspace, retry=retry, progress=bars)
    bars.end()
    say_stopped(done.stopped)
    if done.ended:
        complain(f"{done.ended}: run `satchel collect` again for the rest")
    return {
        "finished": done.finished,
        "received_bytes": done.received_bytes,
        "stopped": done.stopped,
        "ended": done.ended,
    }
