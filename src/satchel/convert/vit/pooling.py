"""Tokens → one vector, where it is not the class token; and how much each patch counts in it."""

from __future__ import annotations

import numpy as np

from satchel.convert.vit.layers import Layers
from satchel.convert.vit.tokens import only_patches


def mean_pool(layers: Layers, tokens: str) -> tuple[str, str]:
    """Pool patches by their mean; and the length of each."""
    graph = layers.graph
    kept = only_patches(layers, tokens)
    vector = graph.add("ReduceMean", kept, graph.shape(1), keepdims=0)
    attention = graph.add("ReduceL2", kept, graph.shape(-1), keepdims=0)
    if "fc.g" in layers.weights:
        vector = layers.normalised(vector, "fc")
    return vector, attention


def attention_pool(layers: Layers, tokens: str) -> tuple[str, str]:
    """Pool tokens by a learned query; and how much it attends to each patch."""
    graph, spec, weights = layers.graph, layers.spec, layers.weights
    heads, each = spec.pool_heads, spec.width // spec.pool_heads
    query = weights["pool.query"].reshape(heads, each) * each**-0.5
    keys = np.einsum("whd,hd->wh", weights["pool.key.w"].reshape(spec.width, heads, each), query)
    scores = graph.add("MatMul", tokens, graph.constant("pool.keys", keys.astype(np.float32)))
    shares = graph.add("Softmax", scores, axis=1)
    mean_shares = graph.add("ReduceMean", shares, graph.shape(2), keepdims=0)
    attention = only_patches(layers, mean_shares)
    pooled = graph.add("MatMul", graph.add("Transpose", shares, perm=[0, 2, 1]), tokens)
    values = weights["pool.value.w"].reshape(spec.width, heads, each).transpose(1, 0, 2)
    pooled = graph.add(
        "MatMul",
        graph.add("Unsqueeze", pooled, graph.shape(2)),
        graph.constant("pool.values", np.ascontiguousarray(values)),
    )
    pooled = graph.add("Reshape", pooled, graph.shape(0, spec.width))
    pooled = graph.add("Add", pooled, graph.constant("pool.value.b", weights["pool.value.b"]))
    vector = layers.plain(pooled, "pool.out")
    hidden = layers.activated(layers.plain(layers.normalised(vector, "pool.ln"), "pool.fc1"))
    return graph.add("Add", vector, layers.plain(hidden, "pool.fc2")), attention
