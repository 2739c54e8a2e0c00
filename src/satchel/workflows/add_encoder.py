"""`satchel encoder add`: an image encoder from its official source.

A source's weights become an ONNX file in each kind; the fastest that agrees with them in float32 is
kept, in a folder of `models` with its card and where it comes from. `satchel promote` serves it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from satchel.convert.gate import Exported, best
from satchel.convert.licence import Licence
from satchel.convert.sources import Provenance, default_name, resolve
from satchel.encode.card import EncoderCard, uncalibrated
from satchel.encode.registry import BUILTINS, CARD, NAME_PATTERN
from satchel.errors import EncoderError, UsageError
from satchel.files import sync
from satchel.onnx_model import write_model
from satchel.progress import SILENT, Progress
from satchel.workflows.encoder_files import MadeFiles, Wanted, made_files
from satchel.workflows.encoder_photos import sample_photos
from satchel.workflows.encoders import PROVENANCE, AddedEncoder, Figures
from satchel.workspace import Workspace

MODEL: Final = "model.onnx"


def add_encoder(
    workspace: Workspace,
    given: str,
    wanted: Wanted,
    *,
    accept: Callable[[Licence], bool],
    progress: Progress = SILENT,
) -> tuple[EncoderCard, AddedEncoder]:
    """Add an image encoder to a workspace; nothing is served yet.

    Args:
        given: its source, see `satchel.convert.sources`.
        accept: whether a licence that is not permissive is accepted.

    Raises:
        UsageError: the source cannot be had, its licence is not accepted, or the name is taken.
        EncoderError: it is damaged, or cannot be converted, or no file agrees with it.
    """
    name = _free_name(workspace, wanted.name or default_name(given))
    photos = sample_photos(workspace, wanted.photos)
    progress.begin("fetch and verify", 0)
    source = resolve(given, sha256=wanted.sha256)
    origin = source.provenance
    if not origin.licence.permissive:
        if not accept(origin.licence):
            raise UsageError(
                f"the licence of {given} is {origin.licence}, which may not allow your use: read "
                "it, and add --accept-licence if you may use the model; nothing was added"
            )
        origin = origin.model_copy(update={"accepted": True})
    made = made_files(source, wanted, photos, progress)
    chosen = best(made.exports)
    if chosen is None:
        figures = "; ".join(one.parity for one in made.exports)
        raise EncoderError(
            f"no file of {given} agrees with it ({figures}); nothing was added: choose another "
            "--kind, or report this"
        )
    added = AddedEncoder(
        origin=origin,
        exports=tuple(map(Figures.of, made.exports)),
        spec=made.spec,
        projected=wanted.projected,
    )
    card = _card(name, origin, wanted, made, chosen)
    _write(workspace.models / name, card, chosen.model, added)
    return card, added


def _free_name(workspace: Workspace, name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"expected a name of letters, digits, dots, hyphens and underscores, got {name!r}; "
            "give one with --name"
        )
    if name in BUILTINS or (workspace.models / name).exists() or (workspace.runs / name).exists():
        raise UsageError(
            f"there is a model or run {name} already: give another name with --name, or remove it "
            f"first with `satchel encoder remove {name}`"
        )
    return name


def _card(
    name: str, origin: Provenance, wanted: Wanted, made: MadeFiles, chosen: Exported
) -> EncoderCard:
    options = f" --side {made.side_px}" + ("" if wanted.projected else " --before-projection")
    options += f" --about {wanted.about.name}" if wanted.about else ""
    return EncoderCard(
        name=name,
        file=MODEL,
        sha256=hashlib.sha256(chosen.model).hexdigest(),
        architecture=f"{made.architecture}, {chosen.kind}",
        weights=f"{origin.pinned}, {origin.files[0].name}, SHA-256 {origin.files[0].sha256}",
        licence=str(origin.licence),
        input_side_px=made.side_px,
        patch_px=made.patch_px,
        preprocessing="inside the model: RGB uint8",
        dimension=chosen.dimension,
        n_passes=1,
        patch_dimension=made.patch_dimension,
        parity=chosen.parity,
        recipe=(
            f"satchel encoder add {origin.pinned} --sha256 {origin.files[0].sha256}{options} "
            f"--kind {chosen.kind}"
        ),
        confidence=uncalibrated(),
    )


def _write(folder: Path, card: EncoderCard, model: bytes, added: AddedEncoder) -> None:
    """Write an encoder's folder, in one step: what a killed process leaves has no card."""
    temporary = folder.parent / f".{folder.name}.tmp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    temporary.mkdir()
    (temporary / PROVENANCE).write_text(added.model_dump_json(indent=2) + "\n", encoding="utf-8")
    sync(temporary / PROVENANCE)
    write_model(temporary / CARD, card, model)
    temporary.rename(folder)
    sync(folder.parent)
