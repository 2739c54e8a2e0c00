"""The command line. Each command is one function below; the table of them is the program's map.

Exit codes: 0 all done, 1 some inputs failed (each named on stderr), 2 wrong usage.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from satchel.cli import experiment as cli_experiment
from satchel.cli import lookalikes as cli_lookalikes
from satchel.cli import training as cli_training
from satchel.cli.shared import (
    open_workspace,
    print_json,
    print_table,
    progress_bar,
    say,
    write_anything,
)
from satchel.errors import MissingExtra, PhotoError, RowError, SatchelError, UsageError
from satchel.text import printable, spreadsheet_cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from satchel.confidence.fit import Measured
    from satchel.curate.summary import CurationSummary
    from satchel.encode.card import Confidence
    from satchel.encode.encoder import Encoder
    from satchel.identify import Identifier
    from satchel.records import Identification
    from satchel.search.indexing import PhotoProblem
    from satchel.workspace import Workspace

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Names the exact model of a second-hand luxury good from photos.",
)

SOME_FAILED = 1
WRONG_USAGE = 2
PROBLEMS_SHOWN = 10

_Encoding = Annotated[
    str | None,
    typer.Option(help="Of the file: utf-8, utf-16, cp949, cp1252; default: detected."),
]


def main() -> None:
    """Run the command line; what goes wrong becomes one message and an exit code.

    Commands import what they need as they run. So a missing extra shows here, whatever the command.
    """
    write_anything()
    warnings.filterwarnings("ignore", module="PIL")  # errors of photos are reported in words
    try:
        app()
    except SatchelError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        missing = MissingExtra.behind(error)
        if missing is None:
            raise
        _fail(missing)


def _fail(error: SatchelError) -> NoReturn:
    say(f"satchel: {error}")
    sys.exit(WRONG_USAGE if isinstance(error, UsageError) else SOME_FAILED)


@app.callback()
def _options(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="Workspace folder; default $SATCHEL_WORKSPACE or the current directory."),
    ] = None,
) -> None:
    context.obj = workspace


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = Path(),
) -> None:
    """Make a workspace: settings, database, photo store."""
    from satchel.workspace import Workspace

    workspace = Workspace.create(folder)
    size = workspace.catalogue.size()
    say(
        f"workspace ready in {workspace.folder}; its catalogue has {size.products:,} products and "
        f"{size.photos:,} photos; "
        "next: satchel import catalogue.csv, or a folder with a folder for each code"
    )


@app.command("import")
def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="CSV or JSONL file, or a folder per code.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder that photo paths are relative to; default the file's own."),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Let values that differ replace known ones."),
    ] = False,
    encoding: _Encoding = None,
) -> None:
    """Put products and their photos into the catalogue."""
    from satchel.catalog.importers import open_rows
    from satchel.catalog.ingest import import_rows

    workspace = open_workspace(context)
    source = open_rows(path, photos, encoding)
    for note in source.notes:
        say(note)
    with (
        _ImportReport(workspace.reports, path) as report,
        progress_bar("import", source.total) as advance,
    ):
        count = import_rows(
            source.rows(),
            workspace.catalogue,
            workspace.photos,
            limits=workspace.settings.photos.limits(),
            update=update,
            on_problem=report.add,
            on_progress=advance,
        )
    size = workspace.catalogue.size()
    added = "added or changed" if update else "added"
    say(
        f"{count.rows:,} rows: {count.added:,} {added}, {count.unchanged:,} already there, "
        f"{count.problems:,} refused; the catalogue has {size.products:,} products and "
        f"{size.photos:,} photos"
    )
    if not count.rows:
        say(f"{path} holds no photos: expected rows in a file, or folders named by code")
        raise typer.Exit(SOME_FAILED)
    if count.problems:
        say(f"the refused rows, with reasons: {report.path}")
    if size.photos:
        say("next: satchel index; or satchel curate, which also sorts out copies and wrong photos")
    if count.problems:
        raise typer.Exit(SOME_FAILED)


@app.command()
def index(context: typer.Context) -> None:
    """Embed the photos that are new and write the index."""
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import serving_card
    from satchel.search.indexing import build_index

    workspace = open_workspace(context)
    encoder = Encoder.load(serving_card(workspace.models), threads=1)
    waiting = workspace.catalogue.count_without_vector(encoder.id)
    problems = _embed(workspace, encoder)
    built = build_index(
        workspace.catalogue, encoder, workspace.index_path, workspace.settings.search
    )
    say(f"{waiting - len(problems):,} photos embedded; the index holds {len(built):,}")
    if problems:
        raise typer.Exit(SOME_FAILED)


@app.command()
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
    curation = workspace.catalogue.curation()
    problems: list[object] = list(_embed(workspace, encoder))
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
    build_index(workspace.catalogue, encoder, workspace.index_path, workspace.settings.search)
    _print_summary(summary)
    path = workspace.reports / f"curate-{_now()}.json"
    figures = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    write_atomically(path, figures.encode())
    page = path.with_suffix(".html")
    write_atomically(page, render_report(summary, workspace.photos).encode())
    say(f"the whole report: {page}, and as figures: {path}")
    if problems:
        raise typer.Exit(SOME_FAILED)


@app.command()
def calibrate(
    context: typer.Context,
    photos: Annotated[
        Path | None,
        typer.Argument(help="Photos as people send them, with their codes: as for import."),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Go back to what the encoder's card says.")
    ] = False,
    encoding: _Encoding = None,
) -> None:
    """Measure how sure answers are on photos whose codes are known, and answer accordingly."""
    from satchel.catalog.importers import open_rows
    from satchel.confidence.stored import calibration_path, write_calibration
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import serving_card
    from satchel.workflows.calibrate import STEPS, LeftOut
    from satchel.workflows.calibrate import calibrate as calibrate_workspace

    workspace = open_workspace(context)
    encoder = Encoder.load(serving_card(workspace.models), threads=1)
    if forget == (photos is not None):
        raise UsageError(
            "expected photos to calibrate with (CSV, JSONL, a folder per code), or --forget alone"
        )
    if photos is None:
        calibration_path(workspace.models, encoder.id).unlink(missing_ok=True)
        say("forgotten; answers rest on the encoder's card again")
        return
    problems: list[object] = []

    def tell(name: str, reason: object) -> None:
        problems.append(reason)
        if len(problems) <= PROBLEMS_SHOWN:
            say(f"{name}: {reason}")

    source = open_rows(photos, encoding=encoding)
    for note in source.notes:
        say(note)
    with progress_bar("calibrate", STEPS * source.total) as advance:
        calibration, measured, left_out = calibrate_workspace(
            workspace,
            encoder,
            source,
            f"{photos.name}, {_now()}",
            on_progress=advance,
            on_problem=tell,
        )
    write_calibration(workspace.models, calibration)
    if left_out != LeftOut():
        say(f"{left_out}: such a photo finds itself, or counts twice")
    _print_measured(measured, calibration.confidence)
    if problems:
        raise typer.Exit(SOME_FAILED)


@app.command()
def identify(
    context: typer.Context,
    photos: Annotated[list[str], typer.Argument(help="Photos, folders of photos, or patterns.")],
    top: Annotated[
        int | None, typer.Option(min=1, max=50, help="Candidates given; default from satchel.toml.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")
    ] = False,
    item: Annotated[
        bool, typer.Option("--item", help="All photos show one and the same item.")
    ] = False,
) -> None:
    """Name the likeliest catalogue models for photos."""
    from satchel.identify import Identifier

    workspace = open_workspace(context)
    identifier = Identifier.open(workspace)
    _warn_of_unindexed(workspace, identifier)
    answers = _Answers(workspace, identifier, top or workspace.settings.identify.top, as_json)
    paths = list(_photo_paths(photos, answers.fail))
    if item:
        answers.answer(paths)
    else:
        for path in paths:
            answers.answer([path])
    if answers.failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address; default from satchel.toml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default from satchel.toml; 0 picks one.")
    ] = None,
) -> None:
    """Serve the page and the HTTP API until Ctrl-C."""
    from satchel.web.server import serve as serve_web

    workspace = open_workspace(context)
    settings = workspace.settings.serve
    serve_web(
        workspace,
        host if host is not None else settings.host,
        port if port is not None else settings.port,
        on_ready=lambda url: say(f"Satchel is at {url} (Ctrl-C stops it)"),
    )


app.command()(cli_lookalikes.lookalikes)
app.command()(cli_training.split)
app.add_typer(cli_training.train, name="train")
app.command()(cli_training.adapt)
app.command()(cli_training.runs)
app.command()(cli_training.evaluate)
app.command()(cli_training.export)
app.command()(cli_training.promote)
app.add_typer(cli_experiment.experiment, name="experiment")


def _embed(workspace: Workspace, encoder: Encoder) -> list[PhotoProblem]:
    """Embed what is new, under a progress bar; name the first photos that fail."""
    from satchel.search.indexing import embed_gallery

    problems: list[PhotoProblem] = []
    waiting = workspace.catalogue.count_without_vector(encoder.id)
    if waiting:
        with progress_bar("embed", waiting) as advance:
            embed_gallery(
                workspace.catalogue,
                workspace.photos,
                encoder,
                on_progress=advance,
                on_problem=problems.append,
            )
    for problem in problems[:PROBLEMS_SHOWN]:
        say(f"photo {problem.sha256}: {problem.reason}")
    return problems


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


def _print_measured(measured: Measured, confidence: Confidence) -> None:
    from rich.table import Table

    table = Table("measured on photos that the fit had not seen", "")
    table.columns[1].justify = "right"
    said = measured.right_when_identified
    for what, shown in (
        ("photos of products in the catalogue", f"{measured.queries:,}"),
        ("first candidate right", f"{measured.right:.1%}"),
        ("confidence is off by, on average", f"{measured.calibration_error:.3f}"),
        ("called identified", f"{measured.identified:.1%}"),
        ("right when identified", "–" if said is None else f"{said:.1%}"),
        ("identified from a confidence of", f"{confidence.identified_at:.2f}"),
        ("not in the catalogue, and called so", f"{measured.absent_caught:.1%}"),
        ("in the catalogue or not, AUROC", f"{measured.auroc:.3f}"),
        (
            f"likely codes, so that {confidence.coverage:.0%} hold the right one",
            f"{measured.likely:g}" if measured.likely <= measured.ranked else "too many to say",
        ),
    ):
        table.add_row(what, shown)
    print_table(table)
    if confidence.identified_at == 1:
        say(
            f"no confidence was high enough to be right {confidence.precision:.0%} of the time for "
            "certain: nothing will be called identified"
        )


# -- identify's answers -------------------------------------------------------------------------


class _Answers:
    """Identifies photos and prints the answers; a photo that fails is named and left out."""

    def __init__(
        self, workspace: Workspace, identifier: Identifier, top: int, as_json: bool
    ) -> None:
        from satchel.identify import MAX_ITEM_PHOTOS

        self._workspace = workspace
        self._identifier = identifier
        self._top = top
        self._print = self._print_json if as_json else self._print_table
        self._most = MAX_ITEM_PHOTOS
        self.failed = False

    def fail(self, path: Path | str, reason: object) -> None:
        """Name an input that failed."""
        say(f"{printable(str(path))}: {reason}")
        self.failed = True

    def answer(self, paths: list[Path]) -> None:
        """Identify the one item that these photos show, by those that can be read."""
        if len(paths) > self._most:
            raise UsageError(f"expected at most {self._most} photos of an item, got {len(paths)}")
        from satchel.images import read_photo

        used, seen = [], []
        for path in paths:
            try:
                data = read_photo(path, self._workspace.settings.photos.limits())
                seen += self._identifier.look_at([data])
                used.append(path)
            except PhotoError as error:
                self.fail(path, error)
        if seen:
            self._print(used, self._identifier.name(seen, top=self._top))

    def _print_json(self, paths: list[Path], found: Identification) -> None:
        from satchel.lookalikes.differences import look_alikes_as_json

        names = [str(path) for path in paths]
        candidates = [
            {
                "rank": candidate.rank,
                "code": candidate.product.code,
                "brand": candidate.product.brand,
                "name": candidate.product.name,
                "confidence": round(candidate.confidence, 4),
                "photo": str(self._workspace.photos.path(candidate.photo)),
                "likely": candidate.likely,
                "look_alikes": candidate.look_alikes and look_alikes_as_json(candidate.look_alikes),
            }
            for candidate in found.candidates
        ]
        answer = {
            "photo": names if len(names) > 1 else names[0],
            "verdict": found.verdict,
            "candidates": candidates,
            "in_catalogue": round(found.in_catalogue, 4),
            "likely": found.likely,
        }
        print_json(answer)

    def _print_table(self, paths: list[Path], found: Identification) -> None:
        from rich.table import Table

        from satchel.lookalikes.differences import advice

        names = printable(", ".join(map(str, paths)))
        table = Table(title=f"{names}: {found.verdict.replace('_', ' ')}")
        for heading in ("", "code", "brand", "name", "confidence"):
            table.add_column(heading, overflow="fold", no_wrap=heading in ("code", "confidence"))
        for candidate in found.candidates:
            product = candidate.product
            others = candidate.look_alikes.members[1:] if candidate.look_alikes else ()
            table.add_row(
                str(candidate.rank),
                "\n".join([product.code, *(f"= {other.product.code}" for other in others)]),
                product.brand,
                ", ".join(filter(None, (product.name, product.colour, product.size))),
                f"{_meter(candidate.confidence)} {candidate.confidence:4.0%}",
            )
        print_table(table)
        for candidate in found.candidates:
            if candidate.look_alikes:
                print(f"  {candidate.rank}  same look: {advice(candidate.look_alikes.differences)}")
        print(_said_likely(found))
        for candidate in found.candidates:  # below: a path broken over lines cannot be copied
            print(f"  {candidate.rank}  {_short(self._workspace.photos.path(candidate.photo))}")


def _said_likely(found: Identification) -> str:
    """Say how many candidates are worth comparing."""
    if found.likely is None:
        return "  even the first fifty may not hold the right one"
    which = "the first one is" if found.likely == 1 else f"one of the first {found.likely} is"
    return f"  if it is in the catalogue, {which} right, {found.coverage:.0%} of the time"


def _meter(share: float, width: int = 10) -> str:
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def _short(path: Path) -> str:
    """Return the path from here where it lies below, else the whole."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _photo_paths(arguments: list[str], fail: Callable[[str, str], None]) -> Iterator[Path]:
    """Expand folders and patterns; arguments that stand for nothing are told to `fail`."""
    from satchel.folders import say_passed_over

    passed_over: Counter[str] = Counter()
    for argument in arguments:
        try:
            yield from _paths_of(argument, passed_over, fail)
        except OSError as error:
            fail(argument, f"is no usable path ({error.strerror})")
    if passed_over:
        say(say_passed_over(passed_over))


def _paths_of(
    argument: str, passed_over: Counter[str], fail: Callable[[str, str], None]
) -> list[Path]:
    from satchel.folders import is_photo, walk_files

    if Path(argument).is_dir():

        def unlisted(error: OSError) -> None:
            fail(str(error.filename), f"folder cannot be listed ({error.strerror})")

        files = walk_files(argument, passed_over=passed_over, on_error=unlisted)
        found = sorted(file for file in files if is_photo(file))
        if not found:
            fail(argument, "no photos in this folder; expected files such as .jpg or .png")
        return found
    if Path(argument).exists() or not glob.has_magic(argument):
        return [Path(argument)]
    found = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]
    if not found:
        fail(argument, "no file matches this pattern")
    return found


def _warn_of_unindexed(workspace: Workspace, identifier: Identifier) -> None:
    waiting = workspace.catalogue.count_without_vector(identifier.encoder_id)
    if waiting:
        say(f"{waiting:,} photos are not in the index yet: run `satchel index` to include them")


# -- shared by the commands ---------------------------------------------------------------------


def _now() -> str:
    return datetime.now().strftime("%Y%m%d-%H%M%S")


class _ImportReport:
    """The refused rows as a CSV file, begun with the first of them; the first few also shown."""

    def __init__(self, folder: Path, source: Path) -> None:
        # A name that every file system takes, of at most 40 × 4 bytes from the source's.
        stem = re.sub(r"[^\w.-]+", "_", source.resolve().stem)[:40]
        self.path = folder / f"import-{_now()}-{stem}.csv"
        self._files = contextlib.ExitStack()
        self._writer: Any = None
        self._count = 0

    def __enter__(self) -> _ImportReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, error: RowError) -> None:
        """Write one refused row."""
        if self._writer is None:
            file = self._files.enter_context(
                # with a byte order mark, so that Excel reads it
                self.path.open("w", encoding="utf-8-sig", newline="")
            )
            self._writer = csv.writer(file)
            self._writer.writerow(("line", "column", "value", "reason"))
        texts = map(spreadsheet_cell, (error.column, error.value, error.reason))
        self._writer.writerow((error.line, *texts))
        self._count += 1
        if self._count <= PROBLEMS_SHOWN:
            say(str(error))
        elif self._count == PROBLEMS_SHOWN + 1:
            say("… and more, in the report")
