"""`satchel encoder`: image encoders from their official sources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from satchel.cli.shared import (
    AsJson,
    Bars,
    Yes,
    confirm,
    open_workspace,
    print_result,
    print_table,
    say,
)

if TYPE_CHECKING:
    from satchel.convert.licence import Licence
    from satchel.encode.fit import EncoderFit
    from satchel.workflows.encoder_figures import EncoderFigures
    from satchel.workflows.encoders import AddedEncoder, KnownEncoder

encoder = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Add image encoders from their official sources, and compare them.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="An encoder: satchel encoder list.")]


@encoder.command()
def add(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="hf-hub:ORGANISATION/NAME, with @REVISION if need be; timm:NAME; "
            "open_clip:ARCHITECTURE/TAG; a folder or a file (.safetensors, .onnx).",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Its name here; default, the source's.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Expected of the file with the weights.")
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", help="I may use the model, though its licence is not permissive."
        ),
    ] = False,
    kind: Annotated[
        Literal["fastest", "fp32", "fp16", "int8"],
        typer.Option(help="Of the file that is kept; default, the fastest that agrees."),
    ] = "fastest",
    side: Annotated[
        int | None, typer.Option(help="Of square crops, in pixels; default, what it learned from.")
    ] = None,
    before_projection: Annotated[
        bool,
        typer.Option(
            "--before-projection", help="Leave out the projection to the space shared with texts."
        ),
    ] = False,
    about: Annotated[
        Path | None, typer.Option(help="A TOML file that says what the source does not.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Measure on the photos in this folder; default, the workspace's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an encoder: convert it, compare each file with it in float32, keep the fastest."""
    from satchel.convert.gate import KINDS
    from satchel.extras import need_extra
    from satchel.workflows.add_encoder import add_encoder
    from satchel.workflows.encoder_files import Wanted

    need_extra("encoders")
    workspace = open_workspace(context)
    wanted = Wanted(
        name=name,
        sha256=sha256,
        side_px=side,
        kinds=KINDS if kind == "fastest" else (kind,),
        projected=not before_projection,
        about=about,
        photos=photos,
    )
    with Bars(resumes=False) as bars:

        def accept(licence: Licence) -> bool:
            bars.end()
            return _accepted(licence, accept_licence)

        card, added = add_encoder(workspace, source, wanted, accept=accept, progress=bars)
    if as_json:
        print_result({"added": card.name, "card": card, "from": added})
        return
    _print_exports(added)
    say(f"licence: {added.origin.licence}")
    say(
        f"{card.name} is added, {card.parity}; not calibrated. Next: satchel encoder compare "
        f"clip-b16 {card.name}, then satchel promote {card.name}"
    )


def _accepted(licence: Licence, said: bool) -> bool:
    """Whether a person accepts a licence, by an option or when asked."""
    if said or not sys.stdin.isatty():
        return said
    say(f"licence: {licence}")
    return typer.confirm("It may not allow your use. Have you read it, and may you?", err=True)


def _print_exports(added: AddedEncoder) -> None:
    from rich.table import Table

    table = Table("", "MB", "cosine, 99 of 100", "nearest five", "ms per photo", "")
    for one in added.exports:
        table.add_row(
            one.kind,
            f"{one.bytes / 1e6:.1f}",
            f"{one.cosine:.4f}",
            f"{one.overlap:.1%}",
            f"{one.ms_per_photo:.1f}",
            "agrees" if one.agrees else "does not agree",
        )
    print_table(table)


@encoder.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the encoders: Satchel's own, added and trained ones."""
    from rich.table import Table

    from satchel.workflows.encoders import known_encoders

    found = known_encoders(open_workspace(context))
    if as_json:
        print_result({"encoders": [_described(one) for one in found]})
        return
    table = Table("", "licence", "side", "numbers", "MB", "")
    for one in found:
        notes = "served" if one.served else ""
        if one.card is None:
            table.add_row(one.name, "", "", "", "", f"damaged: {one.fault}")
            continue
        side, dimension = str(one.card.input_side_px), str(one.card.dimension)
        size = f"{one.bytes / 1e6:.0f}"
        table.add_row(one.name, _licence(one), side, dimension, size, notes)
    print_table(table)


def _licence(one: KnownEncoder) -> str:
    if one.added:
        return one.added.origin.licence.name
    return one.card.licence if one.card else ""


def _described(one: KnownEncoder) -> dict[str, Any]:
    return {
        "name": one.name,
        "served": one.served,
        "bytes": one.bytes,
        "fault": one.fault,
        "card": one.card,
        "from": one.added,
    }


def _against(fit: EncoderFit) -> str:
    """How an encoder compares with the built-in one on the gallery."""
    if not fit.photos:
        return "not measured: thresholds are the same"
    distances = f"distances {fit.distance:g} times, whitened {fit.searched:g} times as large"
    weights = f"weight of colours {fit.colours:g} times, of local features {fit.patches:g} times"
    chosen = f"; {weights} ({fit.queries} queries)" if fit.queries else ""
    return f"{distances} ({fit.photos} photos){chosen}"


@encoder.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show an encoder: what it is, where it comes from, how its files compared."""
    from rich.table import Table

    from satchel.errors import EncoderError
    from satchel.served import space_of
    from satchel.workflows.encoders import known_encoder

    workspace = open_workspace(context)
    found = known_encoder(workspace, name)
    fit = space_of(workspace, found.card).fit if found.card else None
    if as_json:
        print_result(_described(found) | {"fit": fit})
        return
    if found.card is None or fit is None:
        raise EncoderError(found.fault or f"{name} is damaged")
    card = found.card
    shape = f"{card.input_side_px} × {card.input_side_px} pixels"
    if card.patch_px:
        shape = f"as many pixels as {shape} has, in the photo's proportions"
    table = Table(name, "served" if found.served else "")
    rows = {
        "architecture": card.architecture,
        "weights": card.weights,
        "licence": card.licence,
        "crops": shape,
        "numbers of a vector": str(card.dimension),
        "local features": f"{card.patch_dimension} numbers each"
        if card.patch_dimension
        else "none",
        "agreement": card.parity,
        "confidence": f"{card.confidence.measured_on}",
        "against clip-b16": _against(fit),
        "made by": card.recipe,
    }
    for what, said in rows.items():
        table.add_row(what, said)
    print_table(table)
    if found.added:
        _print_exports(found.added)


@encoder.command()
def remove(context: typer.Context, name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove an encoder that is not served."""
    from satchel.workflows.encoders import needed_for_rollback, removable_encoder, remove_encoder

    workspace = open_workspace(context)
    removable_encoder(workspace, name)
    further = ""
    if needed_for_rollback(workspace, name):
        further = "; a promotion after it can then no longer be taken back"
    confirm(f"remove the encoder {name} for good{further}", yes=yes)
    remove_encoder(workspace, name)
    if as_json:
        print_result({"removed": [name]})
    say(f"removed: {name}")


Known = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Real query photos with their codes, as for import; default, each photo of the "
        "gallery is searched in the others.",
    ),
]


@encoder.command()
def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="NAME", help="An encoder.")],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    known: Known = None,
    as_json: AsJson = False,
) -> None:
    """Compare two encoders on this workspace's photos: how often right, how fast, how alike."""
    figures = _measured(context, [first, second], known)
    alike = figures[0].agreement(figures[1])
    if as_json:
        print_result({"encoders": [_figures(one) for one in figures], "same_first": alike})
        return
    _print_figures(figures)
    say(f"{len(figures[0].ranks):,} queries; {alike:.1%} have the same first candidate")


@encoder.command()
def bench(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Encoders; default, all there are.")
    ] = None,
    known: Known = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table to this file, in Markdown.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure encoders on this workspace's photos: licence, size, side, time, accuracy."""
    from satchel.files import write_atomically
    from satchel.workflows import encoder_figures
    from satchel.workflows.encoders import known_encoders

    workspace = open_workspace(context)
    there = {one.name: one for one in known_encoders(workspace)}
    chosen = names or list(there)
    missing = {
        name: "damaged"
        for name in chosen
        if (one := there.get(name)) is not None and one.card is None
    }
    figures = _measured(context, [name for name in chosen if name not in missing], known)
    if markdown is not None:
        write_atomically(markdown, encoder_figures.markdown(figures, missing).encode())
    if as_json:
        print_result({"encoders": [_figures(one) for one in figures], "not_measured": missing})
        return
    _print_figures(figures)
    for name, why in missing.items():
        say(f"{name}: not measured, {why}")


def _measured(context: typer.Context, names: list[str], known: Path | None) -> list[EncoderFigures]:
    from satchel.catalog.importers import open_rows
    from satchel.workflows.encoder_figures import measure_encoders

    workspace = open_workspace(context)
    source = None if known is None else open_rows(known, None)
    with Bars() as bars:
        return measure_encoders(workspace, names, known=source, progress=bars)


def _figures(one: EncoderFigures) -> dict[str, Any]:
    return {
        "name": one.name,
        "licence": one.card.licence,
        "bytes": one.bytes,
        "side_px": one.card.input_side_px,
        "ms_per_photo": one.ms_per_photo,
        "queries": len(one.ranks),
        "top": {str(k): found for k, found in one.top.items()},
    }


def _print_figures(figures: list[EncoderFigures]) -> None:
    from rich.table import Table

    from satchel.workflows.encoder_figures import HEADER, cells

    table = Table(*HEADER)
    for one in figures:
        table.add_row(*cells(one))
    print_table(table)
