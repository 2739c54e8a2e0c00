"""Crops → tokens: those of patches with their positions, and those before them."""

from __future__ import annotations

import numpy as np

from satchel.convert.spec import Weights
from satchel.convert.vit.layers import Layers
from satchel.convert.vit.positions import learned_positions


def n_prefix(weights: Weights) -> int:
    """Count the tokens before the patches: the class token and registers."""
    return len(weights.get("prefix", ()))


def patches_along(layers: Layers, pixels: str, axis: int) -> str:
    """How many patches crops have along an axis; shape (1,), int64."""
    found = layers.graph.add("Shape", pixels, start=axis, end=axis + 1)
    return layers.graph.add("Div", found, layers.graph.shape(layers.spec.patch_px))


def embedded(layers: Layers, pixels: str, rows: str, columns: str, most: int) -> str:
    """Patches → tokens; the photo's mean and spread are part of the patches' weights."""
    graph, spec, weights = layers.graph, layers.spec, layers.weights
    patch, colours = graph.shape(spec.patch_px), graph.shape(3)
    places = (graph.shape(-1), rows, patch, columns, patch, colours)
    cut = graph.add("Reshape", pixels, graph.add("Concat", *places, axis=0))
    cut = graph.add("Transpose", cut, perm=[0, 1, 3, 2, 4, 5])
    count = graph.add("Shape", pixels, end=1)
    flat = graph.add("Concat", count, graph.shape(-1, spec.patch_px**2 * 3), axis=0)
    cut = graph.add("Reshape", cut, flat)
    mean, std = (np.array(one, np.float32) for one in (spec.mean, spec.std))
    kernel = weights["patch"].transpose(2, 3, 1, 0)  # rows, columns, colours, channels
    scale = (kernel / (255 * std)[None, None, :, None]).reshape(-1, spec.width)
    shift = (kernel * (mean / std)[None, None, :, None]).sum((0, 1, 2))
    shift = shift - weights.get("patch.b", np.float32(0))
    patches = graph.add("MatMul", cut, graph.constant("patch", scale.astype(np.float32)))
    positions = learned_positions(layers, rows, columns, shift, most)
    patches = graph.add("Add", patches, positions)
    before = n_prefix(weights)
    if not before:
        return patches
    spread = graph.add("Concat", count, graph.shape(before, spec.width), axis=0)
    first = graph.constant("class", weights["prefix"][None])
    return graph.add("Concat", graph.add("Expand", first, spread), patches, axis=1)


def only_patches(layers: Layers, tokens: str) -> str:
    """The patches among the tokens."""
    graph, before = layers.graph, n_prefix(layers.weights)
    if not before:
        return tokens
    start, end, axis = graph.shape(before), graph.shape(1 << 31), graph.shape(1)
    return graph.add("Slice", tokens, start, end, axis)


def class_token(layers: Layers, tokens: str) -> str:
    """The first token; shape (n, 1, width)."""
    zero, one = layers.graph.shape(0), layers.graph.shape(1)
    return layers.graph.add("Slice", tokens, zero, one, one)
