"""`satchel locate`: find the objects in photos, and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.photo_paths import decoder_for, photo_paths
from satchel.cli.shared import SOME_FAILED, AsJsonLines, complain, print_json, print_table
from satchel.cli.stage_display import show_answers
from satchel.cli.stdin import read_photo_or_stdin
from satchel.text import printable

if TYPE_CHECKING:
    from satchel.records import Problem
    from satchel.workflows.locate import LocatedPhoto


def locate(
    context: typer.Context,
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders of photos, patterns, or -, stdin.")
    ],
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each photo with its boxes into this folder."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="saliency, builtin, an ONNX detector's card (.json) or a Darknet .cfg; default "
            "from satchel.toml. With this option no workspace is needed."
        ),
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="Class names of a Darknet detector, one a line.")
    ] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Find the objects in photos."""
    from satchel.config import Settings
    from satchel.workflows.locate import LocatedPhoto, PhotoLocator
    from satchel.workspace import Workspace

    failed = False

    def fail(problem: Problem) -> None:
        nonlocal failed
        complain(f"{printable(problem.what)}: {problem.reason}")
        failed = True

    workspace = None if model else Workspace.open(context.obj)
    settings = workspace.settings if workspace else Settings()
    changes = {"model": model, "names": names}
    rules = settings.locate.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    folder = workspace.folder if workspace else Path()
    locator = PhotoLocator.open(rules, folder, workspace)
    drawings = None if draw is None else _Drawings(draw)
    paths, limits = list(photo_paths(photos, fail)), settings.photos.limits()
    decoder = decoder_for(len(paths), limits)
    show = _print_json if as_json else _print_table
    with show_answers("locate", len(paths)) as advance:
        for photo in locator.locate(paths, limits, decoder=decoder, read=read_photo_or_stdin):
            if isinstance(photo, LocatedPhoto):
                show(photo, drawings.write(photo) if drawings else None)
            else:
                fail(photo)
            advance(1)
    if failed:
        raise typer.Exit(SOME_FAILED)


class _Drawings:
    """Writes photos with their boxes into a folder, each under a name of its own."""

    def __init__(self, folder: Path) -> None:
        from satchel.errors import UsageError

        self._folder = folder
        self._names: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from None

    def write(self, photo: LocatedPhoto) -> Path:
        """Write one, and return its path."""
        from satchel.errors import UsageError
        from satchel.files import write_atomically
        from satchel.images import encode_jpeg
        from satchel.locate.drawing import draw_box, draw_detections

        if photo.detections is None:
            assert photo.box is not None  # saliency always finds one
            picture = draw_box(photo.pixels, photo.box)
        else:
            picture = draw_detections(photo.pixels, photo.detections)
        path = self._folder / self._free_name(photo.path.stem)
        try:
            write_atomically(path, encode_jpeg(picture, 90))
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        return path

    def _free_name(self, stem: str) -> str:
        name, count = f"{stem}.located.jpg", 1
        while name in self._names:
            count += 1
            name = f"{stem}-{count}.located.jpg"
        self._names.add(name)
        return name


def _print_json(photo: LocatedPhoto, drawn: Path | None) -> None:
    from satchel import schemas

    height, width = photo.pixels.shape[:2]
    located = schemas.LocatedPhoto(
        photo=str(photo.path),
        width=width,
        height=height,
        box=None if photo.box is None else schemas.Box.of(photo.box),
        detections=schemas.Detection.all_of(photo.detections),
        drawn=None if drawn is None else str(drawn),
    )
    print_json(located.model_dump(mode="json"))


def _print_table(photo: LocatedPhoto, drawn: Path | None) -> None:
    from rich.table import Table

    from satchel.locate.locator import main_detection

    height, width = photo.pixels.shape[:2]
    name = printable(str(photo.path))
    if photo.box is None:
        print(f"{name}: no product found")
    else:
        print(f"{name}: {width} × {height} pixels")  # a title would be broken over lines
        table = Table()
        for heading in ("", "category", "score", "left, top", "right, bottom", "share of photo"):
            table.add_column(heading, justify="left" if heading == "category" else "right")
        boxes = [(photo.box, "object", "", True)]
        if photo.detections is not None:
            main = main_detection(photo.detections)
            boxes = [
                (one.box, one.category or "", f"{one.score:.2f}", one is main)
                for one in photo.detections
            ]
        for box, category, score, is_main in boxes:
            table.add_row(
                "main" if is_main else "",
                category,
                score,
                f"{round(box.x0 * width)}, {round(box.y0 * height)}",
                f"{round(box.x1 * width)}, {round(box.y1 * height)}",
                f"{box.width * box.height:.0%}",
            )
        print_table(table)
    if drawn is not None:
        print(f"  {drawn}")
