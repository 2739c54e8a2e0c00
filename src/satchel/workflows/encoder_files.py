"""The files of an encoder: a ViT, another network of timm, or an ONNX file, in each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel.convert.checkpoint import Checkpoint
from satchel.convert.facts import CONFIG, TimmConfig, read_facts, read_timm
from satchel.convert.gate import KINDS, Exported, Kind
from satchel.convert.sources import ONNX, Source
from satchel.convert.spec import check_size
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.errors import UsageError
from satchel.onnx_model import open_session
from satchel.parallel import cores
from satchel.progress import Progress
from satchel.workflows.encoder_photos import MeasuredPhoto, crops_of

TIMM_SIDE_PX: Final = 224
"""Of timm's networks whose config does not say it."""

NO_PROJECTION: Final = "it is for a ViT with a projection to the space that it shares with texts"


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


@dataclass(frozen=True, slots=True)
class MadeFiles:
    """Files of an encoder, and what its card says of it."""

    exports: list[Exported]
    architecture: str
    side_px: int
    patch_px: int | None
    patch_dimension: int | None
    spec: dict[str, Any]


def made_files(
    source: Source, wanted: Wanted, photos: Sequence[MeasuredPhoto], progress: Progress
) -> MadeFiles:
    """Make the files of a source, and compare them on photos.

    Raises:
        UsageError: an option does not fit the source, or too few photos can be decoded.
        EncoderError: the source is damaged, or cannot be converted.
    """
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


def _of_vit(
    source: Source,
    checkpoint: Checkpoint,
    wanted: Wanted,
    photos: Sequence[MeasuredPhoto],
    progress: Progress,
) -> MadeFiles:
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
    crops = crops_of(photos, side_px)
    exports = export_vit(spec, weights, served, crops, wanted.kinds, progress=progress)
    pooled = {"token": "class token", "attention": "attention pooling", "mean": "mean of patches"}
    projected = ", projected" if "projection" in weights else ""
    return MadeFiles(
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
    photos: Sequence[MeasuredPhoto],
    progress: Progress,
) -> MadeFiles:
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
    crops = crops_of(photos, side_px)
    exports = export_crops(backbone, crops, wanted.kinds, int8_layers=ALL_LAYERS)
    return MadeFiles(
        exports,
        f"{backbone.name} (timm) without classifier",
        side_px,
        None,
        None,
        {"architecture": backbone.name, **backbone.origin()},
    )


def _of_onnx(
    source: Source, wanted: Wanted, photos: Sequence[MeasuredPhoto], progress: Progress
) -> MadeFiles:
    from satchel.convert.export import export_model  # noqa: PLC0415 - onnx is an extra
    from satchel.convert.static_int8 import ALL_LAYERS  # noqa: PLC0415
    from satchel.convert.wrap import read_onnx, read_preprocessing, wrapped  # noqa: PLC0415

    _refuse("--side", wanted.side_px is not None, "side_px in the file for --about says it")
    _refuse("--before-projection", not wanted.projected, NO_PROJECTION)
    given = read_preprocessing(wanted.about)
    plain = wrapped(read_onnx(source.file), given).SerializeToString()
    crops = crops_of(photos, given.side_px)
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
    return MadeFiles(
        exports,
        f"{source.file.name}, as it was given",
        given.side_px,
        None,
        None,
        given.model_dump(mode="json"),
    )
