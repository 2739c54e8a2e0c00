"""Darknet detectors: `.cfg` and `.weights`, converted to ONNX in memory and run as all others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from satchel.errors import LocatorError
from satchel.locate.card import LocatorCard
from satchel.locate.darknet_cfg import Section, read_cfg
from satchel.locate.darknet_graph import build_graph
from satchel.locate.darknet_weights import Weights
from satchel.validation import reason

MAX_NAMES_BYTES: Final = 1_000_000


def convert_darknet(
    cfg: Path, *, names: Path | None = None, categories: Mapping[str, str] | None = None
) -> tuple[LocatorCard, bytes]:
    """Convert a Darknet detector to ONNX.

    Photos are stretched to the input, as Darknet does, unless `[net]` says `letter_box=1`.

    Args:
        cfg: the network; its weights lie next to it, with the same name and `.weights`.
        names: class names, one a line; default, next to the cfg, with the same name and `.names`.
        categories: of classes; see `LocatorCard`.

    Returns:
        Its card and the model's bytes.

    Raises:
        LocatorError: a file is missing, or they do not fit together; the message names the line.
    """
    net, layers, text = read_cfg(cfg)
    weights = Weights.read(cfg.with_suffix(".weights"))
    graph = build_graph(net, layers, weights)
    weights.finish()
    model = graph.model()
    assert graph.yolo is not None  # `model` would have refused
    try:
        card = LocatorCard(
            name=cfg.stem,
            file="darknet.onnx",
            sha256=hashlib.sha256(text + weights.data).hexdigest(),
            architecture="Darknet",
            layout="boxes_scores",
            height_px=graph.height,
            width_px=graph.width,
            fit="letterbox" if net.integer("letter_box", 0, low=0, high=1) else "stretch",
            std=(255.0, 255.0, 255.0),
            pad_value=128,
            class_names=_names(names or cfg.with_suffix(".names"), graph.classes, graph.yolo),
            categories=dict(categories or {}),
        )
    except ValidationError as error:
        raise LocatorError(f"{cfg.name}: {reason(error)}") from None
    return card, model


def _names(path: Path, count: int, yolo: Section) -> tuple[str, ...]:
    """Class names, one a line; empty lines at the end do not count."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_NAMES_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise LocatorError(
            f"expected the names of the {count} classes, one a line, at {path}: {reason(error)}; "
            "put the .names file there, or name yours by `names` under [locate]"
        ) from None
    except UnicodeDecodeError:
        raise LocatorError(f"{path}: expected class names as text in UTF-8") from None
    names = [line.strip() for line in text.rstrip().splitlines()]
    if len(names) != count:
        raise LocatorError(
            f"{path}: expected {count} class names, one a line, as {yolo.file}, line {yolo.line}, "
            f"says; got {len(names)}"
        )
    for line, name in enumerate(names, start=1):
        if not name or name in names[: line - 1]:
            what = f"{name!r} again" if name else "an empty one"
            raise LocatorError(f"{path}, line {line}: expected another class name, got {what}")
    return tuple(names)
