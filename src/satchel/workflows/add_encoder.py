"""`satchel encoder add`: an image encoder from its official source.

A source's weights become an ONNX file in each kind; the fastest that agrees with them in float32 is
kept, in a folder of `models` with its card and where it comes from. `satchel promote` serves it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel.arrays import Bytes
from satchel.convert.checkpoint import Checkpoint
from satchel.convert.facts import CONFIG, TimmConfig, read_facts, read_timm
from satchel.convert.gate import KINDS, Exported, Kind, best
from satchel.convert.licence import Licence
from satchel.convert.sources import ONNX, Provenance, Source, default_name, resolve
from satchel.convert.spec import check_size
from satchel.encode.card import EncoderCard, uncalibrated
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.encode.registry import BUILTINS, CARD, NAME_PATTERN
from satchel.errors import EncoderError, PhotoError, UsageError
from satchel.files import sync
from satchel.folders import is_photo, walk_files
from satchel.images import RGB, crop, decode, read_photo
from satchel.onnx_model import open_session, write_model
from satchel.parallel import cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import WHOLE_PHOTO, Box
from satchel.served import served_space
from satchel.workflows.encoders import PROVENANCE, AddedEncoder, Figures
from satchel.workspace import Workspace

MODEL: Final = "model.onnx"

MEASURED_PHOTOS: Final = 48
"""Photos that files are compared on, each whole and cropped to its object."""

FEWEST_PHOTOS: Final = 6
"""Fewer have no five nearest others."""

TIMM_SIDE_PX: Final = 224
"""Of timm's networks whose config does not say it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an encoder is added.

    Attributes:
        name: of its folder; None: after its source.
        sha256: expected of the file with the weights.
        side_px: of square crops; None: what the model was trained with.
        kinds: files that are made, of which the fastest that agrees is kept.
        projected: with the projection to the space that images share with texts.
        about: a TOML file with what the source does not say.
        photos: a folder of photos to measure on; None: the workspace's.
    """

    name: str | None = None
    sha256: str | None = None
    side_px: int | None = None
    kinds: Sequence[Kind] = KINDS
    projected: bool = True
    about: Path | None = None
    photos: Path | None = None


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
    photos = _sample(workspace, wanted.photos)
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
    made = _made(source, wanted, photos, progress)
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


# -- photos to measure on --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo to measure on, decoded when it is needed."""

    read: Callable[[], RGB]
    box: Box = WHOLE_PHOTO


def _sample(workspace: Workspace, folder: Path | None) -> list[_Photo]:
    """Photos to measure on: of the workspace, or of a folder."""
    found = _of_workspace(workspace) if folder is None else _of_folder(workspace, folder)
    if len(found) < FEWEST_PHOTOS:
        where = f"in {folder}" if folder else "in the catalogue"
        raise UsageError(
            f"expected {FEWEST_PHOTOS} photos or more {where} to measure on, got {len(found)}: "
            "import a catalogue first, or name a folder of photos with --photos (such as "
            "examples/maison of Satchel's source)"
        )
    rows = np.unique(np.linspace(0, len(found) - 1, MEASURED_PHOTOS).astype(int))
    return [found[row] for row in rows.tolist()]


def _of_workspace(workspace: Workspace) -> list[_Photo]:
    kept = workspace.catalogue.kept_photos(served_space(workspace).id)
    return [
        _Photo(lambda name=one.sha256: decode(workspace.photos.read(name)), one.box)  # type: ignore[misc]
        for one in kept
    ]


def _of_folder(workspace: Workspace, folder: Path) -> list[_Photo]:
    if not folder.is_dir():
        raise UsageError(f"expected a folder of photos for --photos, got {folder}")
    limits = workspace.settings.photos.limits()
    return [
        _Photo(lambda path=path: decode(read_photo(path, limits), limits=limits))  # type: ignore[misc]
        for path in walk_files(folder)
        if is_photo(path)
    ]


def _crops(photos: Sequence[_Photo], side_px: int) -> Bytes:
    """Each photo whole and, where that is not all of it, its object; (n, side, side, 3).

    Raises:
        UsageError: too few can be decoded.
    """

    def work(photo: _Photo) -> list[RGB]:
        boxes = [WHOLE_PHOTO] if photo.box == WHOLE_PHOTO else [WHOLE_PHOTO, photo.box]
        try:
            pixels = photo.read()
        except PhotoError:
            return []  # others do as well
        return [crop(pixels, box, side_px) for box in boxes]

    found = [one for each in map_in_order(work, photos, workers=cores()) for one in each]
    if len(found) < FEWEST_PHOTOS:
        raise UsageError(
            f"expected {FEWEST_PHOTOS} photos to measure on, {len(found)} are readable"
        )
    return np.stack(found)


# -- making the files ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """Files of an encoder, and what its card says of it."""

    exports: list[Exported]
    architecture: str
    side_px: int
    patch_px: int | None
    patch_dimension: int | None
    spec: dict[str, Any]


def _made(source: Source, wanted: Wanted, photos: Sequence[_Photo], progress: Progress) -> _Made:
    if source.file.suffix.lower() == ONNX:
        return _of_onnx(source, wanted, photos, progress)
    checkpoint, config = Checkpoint(source.file), read_timm(source.folder)
    if config is not None and config.convolutional:
        return _of_timm(checkpoint, config, wanted, photos, progress)
    return _of_vit(source, checkpoint, wanted, photos, progress)


def _refuse(option: str, given: bool, why: str) -> None:
    """Refuse an option that would not count for such a source."""
    if given:
        raise UsageError(f"{option} does not count for this source: {why}; leave it out")


NO_PROJECTION: Final = "it is for a ViT with a projection to the space that it shares with texts"


def _of_vit(
    source: Source,
    checkpoint: Checkpoint,
    wanted: Wanted,
    photos: Sequence[_Photo],
    progress: Progress,
) -> _Made:
    from satchel.convert.export import export_vit  # noqa: PLC0415 - onnx is an extra
    from satchel.convert.layouts.architecture import spec_of  # noqa: PLC0415
    from satchel.convert.layouts.find import find  # noqa: PLC0415
    from satchel.convert.layouts.weights import weights_of  # noqa: PLC0415
    from satchel.convert.quantise import DIMENSIONS  # noqa: PLC0415
    from satchel.convert.vit.served import Served  # noqa: PLC0415

    found = find(checkpoint)
    spec = spec_of(found, read_facts(source.folder, found.layout.name, wanted.about))
    side_px = wanted.side_px or spec.side_px
    if side_px % spec.patch_px:
        near = max(1, round(side_px / spec.patch_px)) * spec.patch_px
        raise UsageError(
            f"expected a side of whole patches of {spec.patch_px} pixels, got {side_px}; "
            f"--side {near} is the nearest"
        )
    served = Served(side_px, spec.patch_px)
    weights = weights_of(found, spec, projected=wanted.projected)
    crops = _crops(photos, side_px)
    exports = export_vit(spec, weights, served, crops, wanted.kinds, progress=progress)
    pooled = {"token": "class token", "attention": "attention pooling", "mean": "mean of patches"}
    projected = ", projected" if "projection" in weights else ""
    return _Made(
        exports,
        f"ViT of {spec.blocks} blocks, width {spec.width}, patches of {spec.patch_px} pixels, "
        f"{pooled[spec.pool]}{projected}",
        side_px,
        spec.patch_px if served.any_shape else None,
        min(DIMENSIONS, spec.width),
        spec.model_dump(mode="json"),
    )


def _of_timm(
    checkpoint: Checkpoint,
    config: TimmConfig,
    wanted: Wanted,
    photos: Sequence[_Photo],
    progress: Progress,
) -> _Made:
    """ConvNeXt, EfficientNet and others by timm's own code, which needs torch."""
    from satchel.extras import need_extra  # noqa: PLC0415

    _refuse("--about", wanted.about is not None, f"timm's {CONFIG} says what it needs")
    _refuse("--before-projection", not wanted.projected, NO_PROJECTION)
    check_size(checkpoint.path.name, sum(map(prod, checkpoint.shapes.values())))
    need_extra("train")
    from satchel.convert.static_int8 import ALL_LAYERS  # noqa: PLC0415
    from satchel.train.export import export_crops  # noqa: PLC0415
    from satchel.train.pretrained import pretrained  # noqa: PLC0415

    trained_px = config.input_size[1] if config.input_size else TIMM_SIDE_PX
    side_px = wanted.side_px or trained_px
    progress.begin("read", 0)
    backbone = pretrained(config, checkpoint.path, side_px=side_px)
    progress.begin("convert and compare", 0)
    crops = _crops(photos, side_px)
    exports = export_crops(backbone, crops, wanted.kinds, int8_layers=ALL_LAYERS)
    return _Made(
        exports,
        f"{backbone.name} (timm) without classifier",
        side_px,
        None,
        None,
        {"architecture": backbone.name, **backbone.origin()},
    )


def _of_onnx(source: Source, wanted: Wanted, photos: Sequence[_Photo], progress: Progress) -> _Made:
    from satchel.convert.export import export_model  # noqa: PLC0415 - onnx is an extra
    from satchel.convert.static_int8 import ALL_LAYERS  # noqa: PLC0415
    from satchel.convert.wrap import read_onnx, read_preprocessing, wrapped  # noqa: PLC0415

    _refuse("--side", wanted.side_px is not None, "side_px in the file for --about says it")
    _refuse("--before-projection", not wanted.projected, NO_PROJECTION)
    given = read_preprocessing(wanted.about)
    plain = wrapped(read_onnx(source.file), given).SerializeToString()
    crops = _crops(photos, given.side_px)
    session = open_session(plain, source.file.name, threads=cores())
    own = np.concatenate(
        [
            session.run([OUTPUTS[0]], {INPUT: part})[0]
            for part in np.array_split(crops, -(-len(crops) // 8))
        ]
    )
    exports = export_model(
        plain, crops, own, wanted.kinds, int8_layers=ALL_LAYERS, progress=progress
    )
    return _Made(
        exports,
        f"{source.file.name}, as it was given",
        given.side_px,
        None,
        None,
        given.model_dump(mode="json"),
    )


# -- keeping ---------------------------------------------------------------------------------------


def _card(
    name: str, origin: Provenance, wanted: Wanted, made: _Made, chosen: Exported
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
