"""CLIP's image encoder in PyTorch, for training and for inference on a GPU.

The network that `recipes/clip_b16` writes into a graph, in floating point; weights go in and come
out in the form of `satchel.adapt.clip_file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx
import torch
from torch.nn.functional import layer_norm, linear, normalize, scaled_dot_product_attention

from satchel.adapt.clip_file import (
    BLOCKS,
    EPSILON,
    HEADS,
    MOST_PATCHES,
    PATCH,
    TRAINED_GRID,
    WIDTH,
    Weights,
    weights_of,
)
from satchel.arrays import Bytes, Halves
from satchel.convert.spec import CLIP_MEAN, CLIP_STD
from satchel.convert.vit.layers import QUICK
from satchel.convert.vit.positions import resampling


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of crops of r × c patches.

    Attributes:
        vectors: shape (n, `WIDTH`), of length 1.
        tokens: of patches, before the last block; shape (n, r × c, `WIDTH`).
        attention: of the class token to each of them in the last block, mean of the heads; shape
            (n, r × c); with its attention to itself the sum is 1.
        grid: r and c.
    """

    vectors: torch.Tensor
    tokens: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]


class TorchImageEncoder(torch.nn.Module):
    """CLIP's image encoder: crops → features."""

    tables: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.parts = torch.nn.ParameterDict(
            {_inner(name): torch.from_numpy(value.copy()) for name, value in weights.items()}
        )
        constants = {
            "tables": torch.from_numpy(resampling(TRAINED_GRID, MOST_PATCHES)),
            "mean": torch.tensor(CLIP_MEAN).view(3, 1, 1),
            "std": torch.tensor(CLIP_STD).view(3, 1, 1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def weights(self) -> Weights:
        """The weights as they are now."""
        return {
            _outer(name): value.detach().float().cpu().numpy() for name, value in self.parts.items()
        }

    def forward(self, crops: torch.Tensor) -> ImageFeatures:
        """Encode crops, shape (n, 3, h, w), in [0, 255]; sides are whole multiples of `PATCH`."""
        tokens, grid = self._before_last(crops)
        attended, attention = self._attended(tokens, BLOCKS - 1)
        last = self._block_output(tokens[:, :1], attended, BLOCKS - 1)
        vectors = normalize(self._normalised(last[:, 0], "post").float(), dim=1)
        return ImageFeatures(vectors, tokens[:, 1:], attention[:, 1:], grid)

    def head_tokens(self, crops: torch.Tensor) -> torch.Tensor:
        """The head's inputs, as `satchel.adapt.clip_head.Head` takes them; shape (n, 2, d)."""
        tokens, _ = self._before_last(crops)
        attended, _ = self._attended(tokens, BLOCKS - 1)
        return torch.stack([tokens[:, 0], attended[:, 0]], 1)

    def _before_last(self, crops: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Tokens as they enter the last block, the class token first, and rows and columns."""
        grid = crops.shape[2] // PATCH, crops.shape[3] // PATCH
        tokens = self._normalised(self._tokens(crops, grid), "pre")
        for block in range(BLOCKS - 1):
            attended, _ = self._attended(tokens, block)
            tokens = self._block_output(tokens, attended, block)
        return tokens, grid

    def _tokens(self, crops: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        pixels = (crops / 255 - self.mean) / self.std
        patches = torch.nn.functional.conv2d(pixels, self.parts["patch"], stride=PATCH)
        position = self.parts["position"]
        places = position[1:].reshape(TRAINED_GRID, TRAINED_GRID, WIDTH)
        down, along = (self.tables[count, :count] for count in grid)
        placed = torch.einsum("ri,cj,ijd->rcd", down, along, places).reshape(-1, WIDTH)
        first = (self.parts["class"] + position[0]).expand(len(crops), 1, -1)
        return torch.cat([first, patches.flatten(2).transpose(1, 2) + placed], 1)

    def _attended(self, tokens: torch.Tensor, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention output of a block for each token; in the last block for the class token alone.

        Returns:
            Shape (n, t, d); and in the last block the class token's attention, shape (n, t).
        """
        joined = self._linear(self._normalised(tokens, f"{block}.ln1"), f"{block}.qkv")
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in joined.chunk(3, -1)
        )
        attention = tokens.new_empty(0)
        if block == BLOCKS - 1:
            query = query[:, :, :1]
            likeness = query.float() @ key.float().transpose(2, 3) * (WIDTH // HEADS) ** -0.5
            attention = likeness.softmax(-1).mean(1)[:, 0]
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return attended, attention

    def _block_output(
        self, tokens: torch.Tensor, attended: torch.Tensor, block: int
    ) -> torch.Tensor:
        """Tokens after a block, given its attention output."""
        tokens = tokens + self._linear(attended, f"{block}.out")
        hidden = self._linear(self._normalised(tokens, f"{block}.ln2"), f"{block}.fc1")
        hidden = hidden * torch.sigmoid(QUICK * hidden)
        return tokens + self._linear(hidden, f"{block}.fc2")

    def _normalised(self, values: torch.Tensor, name: str) -> torch.Tensor:
        scale, shift = (self.parts[_inner(f"{name}.{part}")] for part in "gb")
        return layer_norm(values, (WIDTH,), scale, shift, EPSILON)

    def _linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = (self.parts[_inner(f"{name}.{part}")] for part in "wb")
        return linear(values, weight.T, bias)


class TorchTokenEncoder:
    """The built-in encoder in PyTorch up to its head, in floating point, on a GPU.

    As `satchel.adapt.clip_head.TokenEncoder`, without the loss of int8.

    Attributes:
        batch: crops of one forward pass.
    """

    batch: Final = 64

    def __init__(self, model: onnx.ModelProto, device: torch.device) -> None:
        self._device = device
        self._network = TorchImageEncoder(weights_of(model)).to(device).eval()

    def head_tokens(self, crops: Bytes) -> Halves:
        """Inputs of the head, shape (n, 2, d), of crops, shape (n, h, w, 3), uint8."""
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            tokens: Halves = self._network.head_tokens(pixels).half().cpu().numpy()
        return tokens


def _inner(name: str) -> str:
    """Replace the dots of a name, which PyTorch does not allow."""
    return name.replace(".", "/")


def _outer(name: str) -> str:
    return name.replace("/", ".")
