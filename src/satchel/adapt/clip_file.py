"""The file of CLIP's image encoder: its sizes, and its weights read back out of it.

The file is written by `recipes/clip_b16`; adapting reads it, see `satchel.adapt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from satchel.arrays import Floats

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

MEAN: Final = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
STD: Final = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)

EPSILON: Final = 1e-5
QUICK: Final = 1.702
"""QuickGELU's: x × sigmoid(1.702 x)."""

CONTRIB: Final = "com.microsoft"


def weights_of(model: onnx.ModelProto) -> Weights:
    """Read the image encoder's weights back out of a file of `recipes.clip_b16.recipe`, as float32.

    They are smoothed, and dequantised from int8.
    """
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layers = [name.removesuffix(".q") for name in kept if name.endswith(".q")]
    weights = {f"{layer}.w": stored_layer(kept, layer) for layer in layers}
    weights |= {name: kept[name] for name in kept if name.endswith((".g", ".b"))}
    # The file holds the patches' weights with the photo's mean and spread in them: undo that.
    kernel = kept["patch"].reshape(PATCH, PATCH, 3, WIDTH) * (255 * STD)[None, None, :, None]
    shift = (kernel * (MEAN / STD)[None, None, :, None]).sum((0, 1, 2))
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


def resampling() -> Floats:
    """Resampling of 14 position embeddings to n, for n up to `MOST_PATCHES`.

    Cubic, without a low-pass filter: 14 positions and 11 are near enough.

    Returns:
        shape (`MOST_PATCHES` + 1, `MOST_PATCHES`, 14); of [n] the first n rows, others are zero.
    """
    resizing = np.zeros((MOST_PATCHES + 1, MOST_PATCHES, TRAINED_GRID), np.float32)
    each = np.eye(TRAINED_GRID, dtype=np.float32)
    for count in range(1, MOST_PATCHES + 1):
        size = (TRAINED_GRID, count)
        resizing[count, :count] = cv2.resize(each, size, interpolation=cv2.INTER_CUBIC)
    return resizing
