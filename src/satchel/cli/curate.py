"""`satchel curate`: sort out copies, faulty photos and photos of other things."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    PROBLEMS_SHOWN,
    SOME_FAILED,
    embed,
    open_workspace,
    print_table,
    progress_bar,
    say,
    timestamp,
)

if TYPE_CHECKING:
    from satchel.curate.summary import CurationSummary


def curate(
    context: typer.Context,
    best: Annotated[
        int | None,
        typer.Option(min=1, help="Photos kept of a product, at most; default from satchel.toml."),
    ] = None,
) -> None:
    """Sort out copies, faulty photos and photos of other things; nothing is deleted."""
    from satchel.curate.marks import measure_marks, shops_to_look_at
    from satchel.curate.report import render_report
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import serving_card
    from satchel.files import write_atomically
    from satchel.search.indexing import build_index
    from satchel.workflows.curate import (
        compare_pairs,
        compared_pairs,
        decide_all,
        measure_photos,
        pairs_to_compare,
    )

    workspace = open_workspace(context)
    encoder = Encoder.load(serving_card(workspace.models), threads=1)
    rules = workspace.settings.curate
    if best is not None:
        rules = rules.model_copy(update={"best": best})
    curation = workspace.catalogue.curation
    problems: list[object] = list(embed(workspace, encoder))
    unmeasured = curation.count_unmeasured()
    if unmeasured:
        with progress_bar("measure", unmeasured) as advance:
            measure_photos(
                curation,
                workspace.photos,
                on_progress=advance,
                on_problem=lambda name, reason: problems.append((name, reason)),
            )
    photos = curation.gallery_photos(encoder.id, encoder.card.dimension)
    if not len(photos):
        say("there are no photos to curate: import some with `satchel import`")
        raise typer.Exit(SOME_FAILED)
    shops = shops_to_look_at(photos)
    if shops:
        with progress_bar("marks", sum(map(len, shops.values()))) as advance:
            measure_marks(curation, workspace.photos, photos, shops, on_progress=advance)
    pairs = pairs_to_compare(photos, rules, compared_pairs(curation))
    if pairs:
        with progress_bar("compare", len(pairs)) as advance:
            compare_pairs(curation, workspace.photos, pairs, rules, on_progress=advance)
    summary = decide_all(curation, photos, rules)
    build_index(workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search)
    _print_summary(summary)
    path = workspace.reports / f"curate-{timestamp()}.json"
    figures = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    write_atomically(path, figures.encode())
    page = path.with_suffix(".html")
    write_atomically(page, render_report(summary, workspace.photos).encode())
    say(f"the whole report: {page}, and as figures: {path}")
    if problems:
        raise typer.Exit(SOME_FAILED)


def _print_summary(summary: CurationSummary) -> None:
    from rich.table import Table

    from satchel.curate.garbage import State
    from satchel.curate.report import MEANINGS, UNFINDABLE

    table = Table("", "photos")
    table.columns[1].justify = "right"
    for state, count in summary.photos.items():
        table.add_row(state, f"{count:,}")
    table.add_section()
    for reason, count in summary.reasons.items():
        table.add_row(MEANINGS[reason], f"{count:,}")
    table.add_section()
    table.add_row("products short of photos", f"{len(summary.short):,}")
    table.add_row("products that cannot be found", f"{len(summary.unfindable):,}")
    print_table(table)
    for code, why in islice(summary.unfindable.items(), PROBLEMS_SHOWN):
        say(f"{code} cannot be found: {_lower(UNFINDABLE[why])}")
    if len(summary.unfindable) > PROBLEMS_SHOWN:
        say("… and more, in the report")
    if summary.photos[State.DOUBTFUL]:
        say("those in doubt wait under Review on the page of `satchel serve`")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
