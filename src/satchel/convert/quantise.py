"""Ranges of activations, measured on photos, and weights that make them easy to quantise.

Inputs of attention and of the first layer of each MLP are smoothed: big channels are divided, and
the weights that meet them multiplied (G. Xiao et al., "SmoothQuant", ICML 2023, eq. 4), which the
normalisation before them takes up without a cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from satchel.arrays import Bytes, Floats
from satchel.convert.onnx_graph import Graph
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.vit.layers import LEAST_GELU, Layers, Ranges
from satchel.convert.vit.local_features import PatchAxes
from satchel.convert.vit.model import add_image_encoder, model_of
from satchel.convert.vit.served import Served
from satchel.encode.encoder import INPUT
from satchel.onnx_model import open_session
from satchel.parallel import cores
from satchel.progress import SILENT, Progress

SMOOTHING: Final = 0.5
"""SmoothQuant's α: how much of the difficulty moves from activations to weights."""

DIMENSIONS: Final = 128
"""Length of a local feature: the first principal axes of tokens."""

BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Observed:
    """What an image encoder in float32 makes of some crops.

    Attributes:
        vectors: shape (n, d), each of length 1.
        extents: by layer, least and greatest input of each channel; shape (2, inputs).
        patches: the space of local features.
    """

    vectors: Floats
    extents: dict[str, Floats]
    patches: PatchAxes


def observe(
    spec: VitSpec, weights: Weights, served: Served, crops: Bytes, *, progress: Progress = SILENT
) -> Observed:
    """Run an image encoder in float32 on crops, shape (n, h, w, 3).

    Args:
        progress: of the crops; one is begun by the caller.
    """
    model, layers = _observing(spec, weights, served)
    session = open_session(model.SerializeToString(), "the image encoder", threads=cores())
    sums = np.zeros((spec.width, spec.width))
    total, count = np.zeros(spec.width), 0
    vectors: list[Floats] = []
    extents: dict[str, Floats] = {}
    for batch in np.array_split(crops, max(1, -(-len(crops) // BATCH))):
        vector, tokens, *seen = session.run(None, {INPUT: batch})
        vectors.append(vector)
        flat = tokens.reshape(-1, spec.width).astype(np.float64)
        sums += flat.T @ flat
        total += flat.sum(0)
        count += len(flat)
        for at, layer in enumerate(layers):
            extent = np.stack(seen[2 * at : 2 * at + 2])
            before = extents.get(layer, extent)
            extents[layer] = np.stack(
                [np.minimum(before[0], extent[0]), np.maximum(before[1], extent[1])]
            )
        progress.advance(len(batch))
    return Observed(np.concatenate(vectors), extents, _principal_axes(sums, total, count))


def _observing(
    spec: VitSpec, weights: Weights, served: Served
) -> tuple[onnx.ModelProto, list[str]]:
    """A model in float32 that gives vectors, tokens, and extents of each layer's inputs."""
    graph = Graph()
    layers = Layers(graph, spec, weights)
    pixels = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    written = add_image_encoder(layers, pixels, served.most)
    names = [written.vectors, written.tokens]
    for values in layers.inputs.values():
        for kind in ("ReduceMin", "ReduceMax"):
            names.append(graph.add(kind, values, graph.shape(0, 1), keepdims=0))
    outputs = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in names]
    return model_of(graph, outputs), list(layers.inputs)


def _principal_axes(sums: Any, total: Any, count: int) -> PatchAxes:
    """First `DIMENSIONS` principal axes by sums of outer products, of tokens, and their count."""
    centre = total / count
    _, axes = np.linalg.eigh(sums / count - np.outer(centre, centre))
    first = np.ascontiguousarray(axes[:, ::-1][:, :DIMENSIONS], np.float32)
    return PatchAxes(centre.astype(np.float32), first)


def quantisable(
    spec: VitSpec, weights: Weights, extents: Mapping[str, Floats]
) -> tuple[Weights, Ranges]:
    """Smooth an image encoder, and take the ranges of its layers' inputs.

    Args:
        extents: see `Observed`.
    """
    factors = {
        f"{block}.{layer}": _factors(weights[f"{block}.{layer}.w"], extents[f"{block}.{layer}"])
        for block in range(spec.blocks)
        for layer in ("qkv", "fc1")
    }
    even = smoothed(spec, weights, factors)
    ranges = {}
    for layer, (low, high) in extents.items():
        by = factors.get(layer, np.float32(1))
        ranges[layer] = (min(float((low / by).min()), 0.0), max(float((high / by).max()), 1e-6))
    # Divided by their maximum inside the image encoder, so that these are known beforehand.
    least = LEAST_GELU[spec.activation]
    return even, ranges | {f"{block}.fc2": (least, 1.0) for block in range(spec.blocks)}


def _factors(weight: Floats, extent: Floats) -> Floats:
    """What each channel that goes into a layer is divided by."""
    reach = np.abs(weight).max(1).clip(1e-4)
    seen = np.abs(extent).max(0).clip(1e-4)
    found: Floats = (seen**SMOOTHING / reach ** (1 - SMOOTHING)).astype(np.float32)
    return found


def smoothed(spec: VitSpec, weights: Weights, factors: Mapping[str, Floats]) -> Weights:
    """Divide the channels that go into layers by factors; what comes out does not change.

    Args:
        factors: by layer, `{i}.qkv` and `{i}.fc1`: shape (width,), > 0.
    """
    found = dict(weights)
    for block in range(spec.blocks):
        for norm, layer in (("ln1", "qkv"), ("ln2", "fc1")):
            by = factors[f"{block}.{layer}"]
            found[f"{block}.{layer}.w"] = weights[f"{block}.{layer}.w"] * by[:, None]
            for part in "gb":
                found[f"{block}.{norm}.{part}"] = weights[f"{block}.{norm}.{part}"] / by
    return found
