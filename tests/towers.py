"""Weights of CLIP's tower, for tests."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from satchel.encode.card import BUILTIN, read_card, read_model
from satchel.train import clip


def shipped_weights() -> clip.Weights:
    """The tower's weights, smoothed, out of the file that ships: what its int8 stands for."""
    graph = onnx.load_from_string(read_model(read_card(), BUILTIN.parent)).graph
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {
        name.removesuffix(".q") + ".w": value.astype(np.float32)
        * kept[name.removesuffix(".q") + ".steps"]
        for name, value in kept.items()
        if name.endswith(".q")
    }
    found |= {name: kept[name] for name in kept if name.endswith((".g", ".b"))}
    # The file holds the patches' weights with the photo's mean and spread in them: undo that.
    kernel = kept["patch"].reshape(16, 16, 3, -1) * (255 * clip.STD)[None, None, :, None]
    shift = (kernel * (clip.MEAN / clip.STD)[None, None, :, None]).sum((0, 1, 2))
    places = kept["positions"].reshape(-1, clip.WIDTH) + shift
    return found | {
        "patch": kernel.transpose(3, 2, 0, 1),
        "position": np.concatenate([np.zeros((1, clip.WIDTH), np.float32), places]),
        "class": kept["class"][0, 0],
    }
