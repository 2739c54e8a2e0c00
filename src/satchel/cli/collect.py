"""`satchel collect`: photos from the web for the codes of a list."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from satchel.collect.crawl import Crawled
    from satchel.collect.recording import Recorded
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
    """Fetch photos of products from a list of URLs, as the sites permit."""
    if dry_run and path is None:
        raise UsageError("expected a file for --dry-run, got none")
    if report and (path is not None or retry):
        raise UsageError("expected --report alone: it fetches nothing")
    workspace = open_workspace(context)
    result: dict[str, Any] = {}
    with Bars(resumes=not dry_run) as bars:
        if path is not None:
            result |= _record(workspace, path, column or [], encoding, bars, dry_run=dry_run)
        if not report and not dry_run:
            result |= _fetch(workspace, bars, retry=retry)
    if not dry_run:
        from satchel.workflows.collect import report as count_all

        counted = count_all(workspace)
        result |= asdict(counted)
        if not as_json:
            _show(counted)
    if as_json:
        print_result(result)
    if result.get("stopped") or result.get("list", {}).get("problems"):
        raise typer.Exit(SOME_FAILED)


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
    for count, example in refusals.by_count()[: problems_shown()]:
        complain(f"  {count:,} × {example}")


def _fetch(workspace: Workspace, bars: Bars, *, retry: bool) -> dict[str, Any]:
    from satchel.workflows.collect import collect_photos

    done = collect_photos(workspace, retry=retry, progress=bars)
    bars.end()
    _say_stopped(done, workspace)
    return {
        "finished": done.finished,
        "received_bytes": done.received_bytes,
        "stopped": done.stopped,
        "over_budget": done.over_budget,
    }


def _say_stopped(done: Crawled, workspace: Workspace) -> None:
    for host, why in done.stopped.items():
        complain(f"{host} is left: {why}")
    if done.over_budget:
        complain(
            f"{workspace.settings.collect.max_mb:,} MB are fetched, all that one run may "
            "([collect] max_mb): run `satchel collect` again for the rest"
        )


def _show(counted: CollectReport) -> None:
    from rich.table import Table

    if not counted.hosts:
        say("no URLs are known yet: satchel collect FILE")
        return
    names = ("found", "waiting", "fetched", "refused", "failed", "new", "duplicate")
    table = Table("host")
    for name in names:
        table.add_column(name, justify="right")
    for host in counted.hosts:
        table.add_row(host.host, *(f"{getattr(host, name):,}" for name in names))
    print_table(table)
    for reason in counted.reasons[: problems_shown()]:
        say(f"{reason.state}: {reason.count:,} × {reason.reason} (such as {reason.example[:200]})")
    if any(host.new for host in counted.hosts):
        say("next: satchel curate, which sorts out copies and wrong photos; then satchel index")
