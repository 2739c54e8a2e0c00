"""What `satchel collect` says of URLs, searches and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from satchel.cli.shared import complain, counted, print_table, problems_shown, say

if TYPE_CHECKING:
    from satchel.collect.learning import RoundCount
    from satchel.collect.recording import Recorded
    from satchel.collect.records import SourceCount
    from satchel.collect.searching import Searched
    from satchel.workflows.collect import CollectReport
    from satchel.workflows.refusals import Refusals

COUNTS: Final = ("found", "waiting", "fetched", "refused", "failed", "new", "duplicate")
MOST_PRODUCTS: Final = 50
"""Rows of the table by product that are shown."""


def show_rounds(rounds: list[RoundCount]) -> None:
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


def say_refused(refusals: Refusals) -> None:
    """Say what was refused, and how often."""
    for count, example in refusals.by_count()[: problems_shown()]:
        complain(f"  {count:,} × {example}")


def say_searched(done: list[Searched]) -> None:
    """Say what each source named."""
    for one in done:
        say(
            f"{one.source}: {counted(one.searches, 'search', 'searches')}, {one.failed:,} of them "
            f"failed; {counted(one.found, 'photo')} found, {one.new:,} of them new"
        )
        if one.stopped:
            complain(f"{one.source} is skipped for now: {one.stopped}")
        for path in one.saved:
            complain(f"  what it answered: {path}")


def say_recorded(done: Recorded, refusals: Refusals, *, dry_run: bool) -> None:
    """Say what a list of URLs holds."""
    would = "would be " if dry_run else ""
    say(
        f"{counted(done.new + done.known + done.problems, 'URL')} in the list: {done.new:,} new "
        f"of {counted(len(done.hosts), 'host')}, {done.known:,} known, {done.problems:,} refused; "
        f"{counted(done.new_products, 'product')} {would}new"
    )
    for host, count in done.hosts.most_common(5 if dry_run else 0):
        say(f"  {count:,} of {host}")
    say_refused(refusals)


def say_stopped(stopped: dict[str, str]) -> None:
    """Say which hosts are left, and why."""
    for host, why in stopped.items():
        complain(f"{host} is skipped for now: {why}")


def show_counts(found: CollectReport) -> None:
    """Show what became of all URLs, by host and by product."""
    from rich.table import Table

    if not found.hosts:
        say("no URLs are known yet: satchel collect FILE")
        return
    table = Table("host")
    for name in COUNTS:
        table.add_column(name, justify="right")
    for host in found.hosts:
        table.add_row(host.host, *(f"{getattr(host, name):,}" for name in COUNTS))
    print_table(table)
    _show_sources(found.sources)
    for reason in found.reasons[: problems_shown()]:
        say(f"{reason.state}: {reason.count:,} × {reason.reason} (such as {reason.example[:200]})")
    if any(host.new for host in found.hosts):
        say("next: satchel curate, which sorts out copies and wrong photos; then satchel index")


def _show_sources(found: list[SourceCount]) -> None:
    """Show what became of each product's candidates, those with the fewest photos first."""
    from rich.table import Table

    table = Table("product", "source")
    for name in COUNTS:
        table.add_column(name, justify="right")
    fewest = sorted(found, key=lambda one: (one.new, one.code))[:MOST_PRODUCTS]
    for one in fewest:
        table.add_row(one.code, one.source, *(f"{getattr(one, name):,}" for name in COUNTS))
    print_table(table)
    if len(found) > len(fewest):
        say(f"{len(found) - len(fewest):,} more are in --json")
