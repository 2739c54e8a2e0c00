"""The file of CLIP's image encoder: its sizes, and its weights read back out of it.

The file is written by `recipes/clip_b16`; adapting reads it, see `satchel.adapt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from satchel.arrays import Floats
from satchel.convert import spec

Weights = dict[str, Floats]
"""By name: of block i and its layers qkv, out, fc1 and fc2, `{i}.{layer}.w` of shape (inputs,
outputs) and `{i}.{layer}.b`; `{i}.ln1.g`, `.b` and `{i}.ln2.g`, `.b`; `pre` and `post`, the other
normalisations; `patch` of shape (768, 3, 16, 16), `class`, `position` of shape (197, 768)."""

PATCH: Final = 16
WIDTH: Final = 768
HEADS: Final = 12
BLOCKS: Final = 12
TRAINED_GRID: Final = 14
"""Patches a side that it was trained with, at 224 pixels."""

MOST_PATCHES: Final = 32
"""Most patches a side of a crop."""

EPSILON: Final = 1e-5

CLIP_B16: Final = spec.VitSpec(
    layout="satchel.adapt.clip_file",
    width=WIDTH,
    blocks=BLOCKS,
    heads=HEADS,
    hidden=4 * WIDTH,
    patch_px=PATCH,
    grid=TRAINED_GRID,
    activation="quick_gelu",
    epsilon=EPSILON,
    pool="token",
    mean=spec.CLIP_MEAN,
    std=spec.CLIP_STD,
)


def weights_of(model: onnx.ModelProto) -> Weights:
    """Read the image encoder's weights back out of a file of `recipes.clip_b16.recipe`, as float32.

    They are smoothed, and dequantised from int8.
    """
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layers = [name.removesuffix(".q") for name in kept if name.endswith(".q")]
    weights = {f"{layer}.w": stored_layer(kept, layer) for layer in layers}
    weights |= {name: kept[name] for name in kept if name.endswith((".g", ".b"))}
    mean, std = (np.array(one, np.float32) for one in (spec.CLIP_MEAN, spec.CLIP_STD))
    # The file holds the patches' weights with the photo's mean and spread in them: undo that.
    kernel = kept["patch"].reshape(PATCH, PATCH, 3, WIDTH) * (255 * std)[None, None, :, None]
    shift = (kernel * (mean / std)[None, None, :, None]).sum((0, 1, 2))
    places = kept["positions"].reshape(-1, WIDTH) + shift
    return weights | {
        "patch": np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
        "position": np.concatenate([np.zeros((1, WIDTH), np.float32), places]),
        "class": kept["class"][0, 0],
    }


def stored_layer(kept: Mapping[str, npt.NDArray[Any]], layer: str) -> Floats:
    """Dequantise a layer's int8 weights, shape (inputs, outputs), out of a file's tensors."""
    values: Floats = kept[f"{layer}.q"].astype(np.float32) * kept[f"{layer}.steps"]
    return values


def as_vit(weights: Weights) -> spec.Weights:
    """The weights under the names that `satchel.convert` has for all image encoders."""
    found = dict(weights)
    position = found.pop("position")
    return found | {"prefix": found.pop("class")[None] + position[:1], "position": position[1:]}


def as_clip(weights: spec.Weights) -> Weights:
    """The other way round; the class token's position is a part of the class token."""
    found = dict(weights)
    places = np.concatenate([np.zeros((1, WIDTH), np.float32), found.pop("position")])
    return found | {"class": found.pop("prefix")[0], "position": places}
