"""A whole image encoder, or its last blocks, as it is trained on real pairs.

As the head is in `satchel.adapt.pair_training`: the same loss, the same new projection, the same
photos that keep their vectors. But photos pass the encoder anew at each step, so that all of it can
learn.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from satchel.adapt.pair_training import contrast
from satchel.adapt.settings import PairSettings
from satchel.adapt.vit_torch import ImageFeatures, TorchVit
from satchel.arrays import Bytes, Floats
from satchel.convert.spec import Weights
from satchel.encode.card import EncoderCard
from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.train.measure import autocast
from satchel.train.settings import FitSettings

PASSED_TOGETHER: Final = 32
"""Crops that pass the encoder at once."""

PROJECTION: Final = ("projection", "projection.b")
"""Names of the weights that are new, or learn as new ones do."""


def with_projection(weights: Weights, width: int) -> Weights:
    """The same encoder with a projection at its end, which changes nothing where there was none.

    Args:
        width: of the vectors before it.
    """
    projection = weights.get("projection", np.eye(width, dtype=np.float32))
    bias = weights.get("projection.b", np.zeros(projection.shape[1], np.float32))
    return weights | dict(zip(PROJECTION, (projection, bias), strict=True))


def mapped(weights: Weights, matrix: Floats, shift: Floats) -> Weights:
    """The encoder whose vectors, before they are scaled, are (v − `shift`) `matrix`.

    Args:
        weights: with a projection, see `with_projection`.
        matrix: shape (d, d); shift: shape (d,).
    """
    projection, bias = (weights[name] for name in PROJECTION)
    changed = projection @ matrix, (bias - shift) @ matrix
    return weights | dict(
        zip(PROJECTION, (np.asarray(one, np.float32) for one in changed), strict=True)
    )


class PairNetwork(torch.nn.Module):
    """Crops of pairs → losses.

    What a forward pass computes inside the encoder is computed again on the way back (T. Chen et
    al., "Training deep nets with sublinear memory cost", 2016), so that the memory of a step does
    not grow with the batch.
    """

    def __init__(self, network: TorchVit, settings: PairSettings) -> None:
        """Set up training.

        Args:
            network: as it begins; catalogue photos keep the vectors that it gives now.
        """
        super().__init__()
        self.network = network
        self._settings = settings
        teacher = TorchVit(network.spec, network.weights(), most=len(network.tables) - 1)
        self._teacher = (teacher.eval().requires_grad_(False),)  # no part of what is saved

    def forward(
        self, classes: torch.Tensor, queries: int, *groups: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Losses by name.

        Args:
            classes, queries, groups: see `satchel.adapt.pair_batches.PairBatch`.
        """
        (teacher,) = self._teacher
        teacher.to(classes.device)
        crops = list(zip(groups[::2], groups[1::2], strict=True))
        found = _vectors(self.network, crops)
        with torch.no_grad():
            taught = _vectors(teacher, [(at[at >= queries], c[at >= queries]) for at, c in crops])
        settings = self._settings
        with torch.autocast(found.device.type, enabled=False):
            pairs = contrast(found[: len(classes)], classes, queries, settings.temperature)
            kept = (1 - (found[queries:] * taught).sum(1)).mean()
        return {"pairs": pairs, "kept": settings.distillation * kept}

    def groups(self, settings: FitSettings, blocks: int) -> list[dict[str, Any]]:
        """The trained parameters, each group with the peak of its learning rate."""
        new = [self.network.parts[name.replace(".", "/")] for name in PROJECTION]
        ids = {id(one) for one in new}
        old = [one for one in self.network.last_blocks(blocks) if id(one) not in ids]
        trained = ids | {id(one) for one in old}
        for parameter in self.network.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        rates = (old, self._settings.learning_rate), (new, self._settings.new_rate)
        decay = settings.weight_decay
        return [{"params": some, "peak": rate, "weight_decay": decay} for some, rate in rates]


def _vectors(
    network: TorchVit, groups: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """Vectors of crops of several shapes, shape (n, d), ordered by their places."""

    def encode(crops: torch.Tensor) -> torch.Tensor:
        features: ImageFeatures = network(crops.permute(0, 3, 1, 2).float())
        return features.vectors

    found = [
        checkpoint(encode, some, use_reentrant=False)
        for _, crops in groups
        for some in crops.split(PASSED_TOGETHER)
        if len(some)
    ]
    order = torch.cat([places for places, _ in groups]).argsort()
    return torch.cat(found)[order]


class VitEncoder:
    """Adapter: a network in training, as `satchel.encode.embed.embed` takes an encoder."""

    def __init__(self, network: TorchVit, card: EncoderCard) -> None:
        """Take a network as it is now; `card` is the one of the encoder that it began as."""
        self._device = network.mean.device
        self._precision = faster_precision(self._device)
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        if self._precision == "bf16":  # once, and not at each pass
            for part in self._network.parts.values():
                if part.ndim > 1:
                    part.data = part.data.bfloat16()
        self._cells = 2 * (card.input_side_px // network.spec.patch_px,)
        self.crop_shape: CropShape = card.crop_shape
        self.n_passes = card.n_passes

    def encode(self, crops: Bytes) -> EncoderOutput:
        """As `satchel.encode.encoder.Encoder.encode`; without local features."""
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float()
        with torch.inference_mode(), autocast(self._device, self._precision):
            features = self._network(pixels)
        attention = features.attention.float().unflatten(1, features.grid)[:, None]
        saliency = interpolate(attention, self._cells, mode="bilinear")[:, 0]
        return EncoderOutput(features.vectors.cpu().numpy(), saliency.cpu().numpy())


def faster_precision(device: torch.device) -> str:
    """The precision that this machine multiplies faster in: bf16 or fp32."""
    if device.type != "cpu":
        return "bf16"
    taken = {}
    with torch.inference_mode():
        for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            one = torch.ones(768, 768, dtype=kind)
            one @ one
            began = time.perf_counter()
            for _ in range(5):
                one @ one
            taken[precision] = time.perf_counter() - began
    return min(taken, key=lambda precision: taken[precision])
