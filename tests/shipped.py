"""Weights of CLIP's tower, for tests."""

from __future__ import annotations

import onnx

from satchel.adapt import clip_file
from satchel.encode.card import BUILTIN, read_card
from satchel.onnx_model import read_model


def shipped_model() -> onnx.ModelProto:
    """The file that ships."""
    return onnx.load_from_string(read_model(read_card(), BUILTIN.parent))


def shipped_weights() -> clip_file.Weights:
    """The tower's weights, smoothed, out of the file that ships: what its int8 stands for."""
    return clip_file.weights_of(shipped_model())
