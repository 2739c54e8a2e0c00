"""`satchel identify`: name the likeliest catalogue models for photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.photo_paths import decoder_for, photo_paths
from satchel.cli.shared import (
    SOME_FAILED,
    AsJsonLines,
    Where,
    complain,
    print_json,
    print_table,
    say,
)
from satchel.cli.stage_display import show_answers
from satchel.cli.stdin import read_photo_or_stdin
from satchel.errors import BadBox, PhotoError, UsageError
from satchel.records import Problem
from satchel.text import printable

if TYPE_CHECKING:
    from satchel.catalog.filters import Selection
    from satchel.identify import Identifier
    from satchel.locate.given import GivenBox
    from satchel.records import Identification
    from satchel.workspace import Workspace


def identify(
    context: typer.Context,
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders of photos, patterns, or -, stdin.")
    ],
    top: Annotated[
        int | None, typer.Option(min=1, max=50, help="Candidates given; default from satchel.toml.")
    ] = None,
    as_json: AsJsonLines = False,
    item: Annotated[bool, typer.Option("--item", help="All photos show the same item.")] = False,
    where: Where = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="Where the item is, as fractions from the top left, or in pixels with px at the "
            "end; one for each photo, in order; '' for a photo without.",
        ),
    ] = None,
) -> None:
    """Name the likeliest catalogue models for photos."""
    from satchel.catalog.filters import parse_where
    from satchel.served import load_in_background
    from satchel.workspace import Workspace

    workspace = Workspace.open(context.obj)
    embedder = load_in_background(workspace)  # while photos are listed and libraries imported
    failures = _Failures()
    paths = list(photo_paths(photos, failures.name))
    from satchel.identify import Identifier

    decoder = decoder_for(len(paths), workspace.settings.photos.limits())
    identifier = Identifier.open(workspace, embedder=embedder, decoder=decoder)
    _warn_of_unindexed(workspace, identifier)
    selection = identifier.select(parse_where(where or ()))
    top = top or workspace.settings.identify.top
    answers = _Answers(workspace, identifier, top, as_json, selection, failures)
    boxes = _boxes(box or (), len(paths))
    if item:
        answers.answer(paths, boxes)
    else:
        with show_answers("identify", len(paths)) as advance:
            for path, own in zip(paths, boxes, strict=True):
                answers.answer([path], [own])
                advance(1)
    if failures.any:
        raise typer.Exit(SOME_FAILED)


def _boxes(texts: Sequence[str], photos: int) -> list[GivenBox | None]:
    """Read the boxes of the photos; none at all where no box is given."""
    from satchel.locate.given import parse_box

    if texts and len(texts) != photos:
        raise UsageError(
            f"expected one --box for each of {photos:,} photos ('' for a photo without), "
            f"got {len(texts):,}"
        )
    return [parse_box(text) if text.strip() else None for text in texts] or [None] * photos


class _Failures:
    """Names the inputs that failed."""

    def __init__(self) -> None:
        self.any = False

    def name(self, problem: Problem) -> None:
        """Name an input that failed."""
        complain(f"{printable(problem.what)}: {problem.reason}")
        self.any = True


class _Answers:
    """Identifies photos and prints the answers; a photo that fails is named and left out."""

    def __init__(
        self,
        workspace: Workspace,
        identifier: Identifier,
        top: int,
        as_json: bool,
        selection: Selection | None,
        failures: _Failures,
    ) -> None:
        from satchel.identify import MAX_ITEM_PHOTOS

        self._workspace = workspace
        self._identifier = identifier
        self._top = top
        self._selection = selection
        self._print = self._print_json if as_json else self._print_table
        self._most = MAX_ITEM_PHOTOS
        self._failures = failures

    def answer(self, paths: list[Path], boxes: Sequence[GivenBox | None]) -> None:
        """Identify the one item that these photos show, by those that can be read."""
        if len(paths) > self._most:
            raise UsageError(f"expected at most {self._most} photos of an item, got {len(paths)}")
        used, embedded = [], []
        for path, box in zip(paths, boxes, strict=True):
            try:
                data = read_photo_or_stdin(path, self._workspace.settings.photos.limits())
                embedded += self._identifier.embed([data], [box])
                used.append(path)
            except (PhotoError, BadBox) as error:
                self._failures.name(Problem(str(path), str(error)))
        if embedded:
            found = self._identifier.identify_embedded(
                embedded, top=self._top, selection=self._selection
            )
            self._print(used, found)

    def _print_json(self, paths: list[Path], found: Identification) -> None:
        from satchel import schemas

        names = [str(path) for path in paths]
        candidates = [
            schemas.Candidate.of(
                one,
                schemas.LookAlikes.of(one.look_alikes) if one.look_alikes else None,
                photo=str(self._workspace.photos.path(one.photo)),
            )
            for one in found.candidates
        ]
        photo = names if len(names) > 1 else names[0]
        answer = schemas.Identification.of(photo, found, candidates)
        print_json(answer.model_dump(mode="json"))

    def _print_table(self, paths: list[Path], found: Identification) -> None:
        from rich.table import Table

        from satchel.catalog.filters import shown
        from satchel.lookalikes.differences import advice

        names = printable(", ".join(map(str, paths)))
        print(f"{names}: {_said(found)}")  # a title would be broken over lines
        table = Table()
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
        if () in found.detections:
            print(f"  {_said_empty(found.detections)}")
        if found.different_items:
            numbers = " and ".join(
                f"photo {', '.join(map(str, photos))}" for photos in found.different_items
            )
            print(f"  {numbers} seem to show different items: identify them without --item")
        if not found.own_picture_of:
            for at, codes in enumerate(found.own_pictures, start=1):
                if codes:
                    print(f"  photo {at} is the catalogue's own picture of {', '.join(codes)}")
        if not found.calibrated and not found.own_picture_of:
            print("  not calibrated yet to this catalogue: `satchel calibrate`")
        if self._selection is not None:
            count = len(self._selection.products)
            products = "product" if count == 1 else "products"
            print(f"  of {count:,} {products} with {printable(shown(self._selection.where))}")
        for candidate in found.candidates:  # below: a path broken over lines cannot be copied
            print(f"  {candidate.rank}  {_short(self._workspace.photos.path(candidate.photo))}")


def _said_empty(detections: Sequence[object]) -> str:
    """Print that no product was found in photos."""
    if len(detections) == 1:
        return "no product found in the photo: all of it was compared"
    numbers = [str(at) for at, one in enumerate(detections, start=1) if one == ()]
    return f"no product found in photo {', '.join(numbers)}: all of it was compared"


def _said(found: Identification) -> str:
    """The answer in a sentence."""
    if found.own_picture_of:
        return f"the catalogue's own picture of {', '.join(found.own_picture_of)}"
    if found.verdict == "identified":
        return f"very probably {found.candidates[0].product.code}"
    if found.verdict == "probable":
        return f"probably {found.candidates[0].product.code}"
    if found.verdict == "one_of":
        together = sum(one.confidence for one in found.candidates[: found.likely])
        return f"probably one of the first {found.likely} ({together:.0%})"
    if found.verdict == "uncertain":
        return "not clear: compare them all"
    return "probably not in this catalogue"


def _meter(share: float, width: int = 10) -> str:
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def _short(path: Path) -> str:
    """Return the path relative to the current folder if it is in it, else the whole."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _warn_of_unindexed(workspace: Workspace, identifier: Identifier) -> None:
    waiting = workspace.catalogue.vectors.count_missing(identifier.space.id)
    if waiting:
        say(f"{waiting:,} photos are not in the index yet: run `satchel index` to include them")
