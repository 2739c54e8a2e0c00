"""An image encoder's weights by our names, whatever layout they are stored in."""

from __future__ import annotations

from typing import Final

import numpy as np

from satchel.convert.layouts.find import Found
from satchel.convert.spec import VitSpec, Weights

CLASSIFIERS: Final = (1_000, 11_821, 21_841, 21_843)
"""Outputs of classifiers of ImageNet, whose inputs are what is wanted."""


def weights_of(found: Found, spec: VitSpec, *, projected: bool = True) -> Weights:
    """Read the weights, by our names.

    Args:
        projected: with the projection to the space that images share with texts, if there is one.
    """
    read = found.read
    weights: Weights = {"patch": read("patch")}
    for name in ("patch.b", "pre.g", "pre.b", "post.g", "post.b", "fc.g", "fc.b"):
        if name in found:
            weights[name] = read(name)
    weights |= _tokens(found, spec)
    for number in range(spec.blocks):
        weights |= _block(found, number)
    if "pool.probe" in found:
        weights |= _pool(found, spec)
    if projected:
        weights |= _projection(found)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def _tokens(found: Found, spec: VitSpec) -> Weights:
    """Positions of patches; and tokens before them with their own positions."""
    positions = found.read("position").reshape(-1, spec.width)
    places = spec.grid**2
    weights = {"position": positions[len(positions) - places :]}
    before = []
    if "class" in found:
        token = found.read("class").reshape(1, spec.width)
        before.append(token + positions[:1] if len(positions) > places else token)
    if "registers" in found:
        before.append(found.read("registers").reshape(-1, spec.width))
    if before:
        weights["prefix"] = np.concatenate(before)
    return weights


def _block(found: Found, number: int) -> Weights:
    read = found.read
    names = [f"{number}.{one}" for one in ("ln1.g", "ln1.b", "ln2.g", "ln2.b")]
    weights = {name: read(name) for name in names}
    for layer, scale in (("qkv", ""), ("out", "scale1"), ("fc1", ""), ("fc2", "scale2")):
        name = f"{number}.{layer}"
        by = read(f"{number}.{scale}") if f"{number}.{scale}" in found else np.float32(1)
        weights[f"{name}.w"] = read(f"{name}.w").T * by
        weights[f"{name}.b"] = read(f"{name}.b") * by
    return weights


def _pool(found: Found, spec: VitSpec) -> Weights:
    read, width = found.read, spec.width
    if "pool.qkv.w" in found:
        layers, biases = read("pool.qkv.w"), read("pool.qkv.b")
    else:
        layers, biases = (
            np.concatenate([read(f"pool.q.{part}"), read(f"pool.kv.{part}")]) for part in "wb"
        )
    query, key, value = np.split(layers, 3)
    weights = {
        "pool.query": query @ read("pool.probe").reshape(width) + biases[:width],
        "pool.key.w": key.T,  # its bias adds the same to every token's score
        "pool.value.w": value.T,
        "pool.value.b": biases[2 * width :],
    }
    for layer in ("out", "fc1", "fc2"):
        weights[f"pool.{layer}.w"] = read(f"pool.{layer}.w").T
        weights[f"pool.{layer}.b"] = read(f"pool.{layer}.b")
    return weights | {name: read(name) for name in ("pool.ln.g", "pool.ln.b")}


def _projection(found: Found) -> Weights:
    read = found.read
    if "projection" in found:  # (width, outputs)
        return {"projection": read("projection")}
    if "projection.w" in found:  # (outputs, width)
        return {"projection": read("projection.w").T}
    if "head.w" in found and _head_projects(found):
        return {"projection": read("head.w").T, "projection.b": read("head.b")}
    return {}


def _head_projects(found: Found) -> bool:
    """Whether timm's head is a projection of CLIP or PE, and no classifier."""
    with_texts = bool(found.prefix) or "pre.g" in found
    return with_texts and found.shape("head.w")[0] not in CLASSIFIERS
