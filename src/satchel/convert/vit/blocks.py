"""Transformer blocks: of all tokens, and the last one of the class token alone."""

from __future__ import annotations

import numpy as np

from satchel.convert.vit.layers import CONTRIB, Layers
from satchel.convert.vit.positions import Rotation, rotated
from satchel.convert.vit.tokens import class_token, only_patches


def block(layers: Layers, tokens: str, number: int, rotation: Rotation | None) -> str:
    """Add a block of all tokens."""
    query, key, value = _projected(layers, tokens, number)
    if rotation:
        query, key = (rotated(layers, one, rotation) for one in (query, key))
    return _attended(layers, tokens, number, (query, key, value))


def class_token_block(
    layers: Layers, tokens: str, number: int, rotation: Rotation | None
) -> tuple[str, str]:
    """Add a block of the class token alone, which does not turn; and its attention to patches."""
    query, key, value = _projected(layers, tokens, number)
    if rotation:
        key = rotated(layers, key, rotation)
    query, tokens = (class_token(layers, one) for one in (query, tokens))
    attention = _attention(layers, query, key)
    return _attended(layers, tokens, number, (query, key, value)), attention


def _projected(layers: Layers, tokens: str, number: int) -> list[str]:
    """Queries, keys and values."""
    normalised = layers.normalised(tokens, f"{number}.ln1")
    return layers.graph.split(layers.linear(normalised, f"{number}.qkv"), 3)


def _attended(layers: Layers, tokens: str, number: int, projected: tuple[str, str, str]) -> str:
    """Add what tokens attend to, by queries, keys and values; then the MLP."""
    graph = layers.graph
    seen = graph.add("MultiHeadAttention", *projected, domain=CONTRIB, num_heads=layers.spec.heads)
    tokens = graph.add("Add", tokens, layers.linear(seen, f"{number}.out"))
    hidden = layers.linear(layers.normalised(tokens, f"{number}.ln2"), f"{number}.fc1")
    hidden = layers.activated(hidden)
    return graph.add("Add", tokens, layers.by_token(hidden, f"{number}.fc2"))


def _attention(layers: Layers, query: str, key: str) -> str:
    """How much the class token attends to each patch, mean of the heads; (n, patches)."""
    graph, heads = layers.graph, layers.spec.heads
    each = layers.spec.width // heads
    query, key = (
        graph.add("Reshape", one, graph.shape(0, -1, heads, each)) for one in (query, key)
    )
    query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    scale = graph.constant("scale", np.float32(each**-0.5))
    likeness = graph.add("Mul", graph.add("MatMul", query, key), scale)
    shares = graph.add("Softmax", likeness, axis=-1)
    return only_patches(layers, graph.add("ReduceMean", shares, graph.shape(1, 2), keepdims=0))
