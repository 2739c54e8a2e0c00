"""Image encoders of the ViT family in PyTorch, to train: what `satchel.convert.vit` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import onnx
import torch
from torch.nn.functional import (
    conv2d,
    gelu,
    layer_norm,
    linear,
    normalize,
    scaled_dot_product_attention,
)

from satchel.adapt.clip_file import CLIP_B16, MOST_PATCHES, as_vit, weights_of
from satchel.arrays import Bytes, Halves
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.vit.layers import QUICK
from satchel.convert.vit.positions import ROPE_BASE, ROPE_OFFSET, resampling

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of each token's place, shape (tokens, head / 2)."""


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of crops of r × c patches.

    Attributes:
        vectors: shape (n, d), of length 1.
        tokens: of patches; shape (n, r × c, width). Where the class token is the output they are
            those before the last block, otherwise the last ones.
        attention: how much each of them counts, ≥ 0; shape (n, r × c). Of the class token to it in
            the last block, or of the pooling's query, in the mean of the heads; or its length.
        grid: r and c.
    """

    vectors: torch.Tensor
    tokens: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]


class TorchVit(torch.nn.Module):
    """An image encoder of the ViT family: crops → features."""

    tables: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, spec: VitSpec, weights: Weights, *, most: int) -> None:
        """Make an encoder.

        Args:
            most: patches along a side of any crop.
        """
        super().__init__()
        self.spec = spec
        self.parts = torch.nn.ParameterDict(
            {_inner(name): torch.from_numpy(value.copy()) for name, value in weights.items()}
        )
        constants = {
            "tables": torch.from_numpy(resampling(spec.grid, most)),
            "mean": torch.tensor(spec.mean).view(3, 1, 1),
            "std": torch.tensor(spec.std).view(3, 1, 1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def weights(self) -> Weights:
        """The weights as they are now."""
        return weights_of_state(self.state_dict())

    def last_blocks(self, blocks: int) -> list[torch.nn.Parameter]:
        """What the last blocks and the output are made of; everything, if there are no more."""
        first = self.spec.blocks - blocks
        if first <= 0:
            return list(self.parts.values())
        return [
            value
            for name, value in self.parts.items()
            if name.split("/")[0] in {"post", "fc", "pool", "projection"}
            or (name[0].isdigit() and int(name.split("/")[0]) >= first)
        ]

    def forward(self, crops: torch.Tensor) -> ImageFeatures:
        """Encode crops, shape (n, 3, h, w), in [0, 255]; sides are whole multiples of a patch."""
        tokens, grid, rotation = self._before_last(crops)
        last = self.spec.blocks - 1
        if self.spec.pool == "token":
            attended, attention = self._attended(tokens, last, rotation, class_token=True)
            vector = self._post(self._block_output(tokens[:, :1], attended, last)[:, 0])
            return ImageFeatures(self._output(vector), self._patches(tokens), attention, grid)
        attended, _ = self._attended(tokens, last, rotation)
        tokens = self._post(self._block_output(tokens, attended, last))
        patches = self._patches(tokens)
        if self.spec.pool == "attention":
            vector, attention = self._attention_pool(tokens)
        else:
            vector, attention = patches.mean(1), patches.norm(dim=2)
            if self._has("fc.g"):
                vector = self._normalised(vector, "fc")
        return ImageFeatures(self._output(vector), patches, attention, grid)

    def head_tokens(self, crops: torch.Tensor) -> torch.Tensor:
        """What enters the last block of the class token, and its attention's output; (n, 2, d).

        As `satchel.adapt.clip_head.Head` takes it.
        """
        tokens, _, rotation = self._before_last(crops)
        attended, _ = self._attended(tokens, self.spec.blocks - 1, rotation, class_token=True)
        return torch.stack([tokens[:, 0], attended[:, 0]], 1)

    # -- tokens ------------------------------------------------------------------------------------

    @property
    def _prefix(self) -> int:
        """Tokens before the patches."""
        return len(self.parts["prefix"]) if self._has("prefix") else 0

    def _patches(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, self._prefix :]

    def _before_last(
        self, crops: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[int, int], Rotation | None]:
        """Tokens as they enter the last block, rows and columns, and how tokens turn."""
        grid = crops.shape[2] // self.spec.patch_px, crops.shape[3] // self.spec.patch_px
        tokens = self._tokens(crops, grid)
        if self._has("pre.g"):
            tokens = self._normalised(tokens, "pre")
        rotation = self._rotation(grid) if self.spec.rope else None
        for block in range(self.spec.blocks - 1):
            attended, _ = self._attended(tokens, block, rotation)
            tokens = self._block_output(tokens, attended, block)
        return tokens, grid, rotation

    def _tokens(self, crops: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        spec = self.spec
        bias = self.parts["patch/b"] if self._has("patch.b") else None
        pixels = (crops / 255 - self.mean) / self.std
        patches = conv2d(pixels, self.parts["patch"], bias, stride=spec.patch_px)
        places = self.parts["position"].reshape(spec.grid, spec.grid, spec.width)
        down, along = (self.tables[count, :count] for count in grid)
        placed = torch.einsum("ri,cj,ijd->rcd", down, along, places).reshape(-1, spec.width)
        tokens: torch.Tensor = patches.flatten(2).transpose(1, 2) + placed
        if not self._prefix:
            return tokens
        return torch.cat([self.parts["prefix"].expand(len(crops), -1, -1), tokens], 1)

    def _rotation(self, grid: tuple[int, int]) -> Rotation:
        """A quarter of a head's width turns with the column, the next with the row."""
        spec = self.spec
        bands = spec.width // spec.heads // 4
        steps = torch.arange(bands, device=self.mean.device) / bands
        down, along = (
            (torch.arange(count, device=steps.device) + ROPE_OFFSET)[:, None]
            * (spec.grid / count)
            * ROPE_BASE**-steps
            for count in grid
        )
        angles = torch.cat(
            [along.expand(grid[0], -1, -1), down[:, None].expand(-1, grid[1], -1)], 2
        ).reshape(-1, 2 * bands)
        angles = torch.cat([angles.new_zeros(self._prefix, 2 * bands), angles])
        return angles.cos(), angles.sin()

    # -- blocks ------------------------------------------------------------------------------------

    def _attended(
        self,
        tokens: torch.Tensor,
        block: int,
        rotation: Rotation | None,
        *,
        class_token: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention output of a block; with `class_token` of the first token alone.

        Returns:
            Shape (n, t, width); and with `class_token` how much it attends to each patch.
        """
        joined = self._linear(self._normalised(tokens, f"{block}.ln1"), f"{block}.qkv")
        query, key, value = (
            part.unflatten(-1, (self.spec.heads, -1)).transpose(1, 2)
            for part in joined.chunk(3, -1)
        )
        attention = tokens.new_empty(0)
        if rotation is not None:
            query, key = (_turned(one, rotation) for one in (query, key))
        if class_token:
            query = query[:, :, :1]
            likeness = query.float() @ key.float().transpose(2, 3) * query.shape[-1] ** -0.5
            attention = self._patches(likeness.softmax(-1).mean(1)[:, 0])
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return attended, attention

    def _block_output(
        self, tokens: torch.Tensor, attended: torch.Tensor, block: int
    ) -> torch.Tensor:
        """Tokens after a block, given its attention output."""
        tokens = tokens + self._linear(attended, f"{block}.out")
        hidden = self._linear(self._normalised(tokens, f"{block}.ln2"), f"{block}.fc1")
        return tokens + self._linear(self._activated(hidden), f"{block}.fc2")

    def _attention_pool(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool tokens by a learned query; and how much it attends to each patch."""
        heads = self.spec.pool_heads
        query = self.parts["pool/query"].unflatten(0, (heads, -1))
        key = self.parts["pool/key/w"].unflatten(
            1, (heads, -1)
        )  # their biases would change nothing
        value = self._linear(tokens, "pool.value").unflatten(2, (heads, -1))
        scores = torch.einsum("ntw,whd,hd->nht", tokens, key, query) * query.shape[1] ** -0.5
        shares = scores.softmax(2)
        pooled = torch.einsum("nht,nthd->nhd", shares, value).flatten(1)
        vector = self._linear(pooled, "pool.out")
        hidden = self._linear(self._normalised(vector, "pool.ln"), "pool.fc1")
        vector = vector + self._linear(self._activated(hidden), "pool.fc2")
        return vector, self._patches(shares.mean(1))

    # -- output ------------------------------------------------------------------------------------

    def _post(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._normalised(tokens, "post") if self._has("post.g") else tokens

    def _output(self, vector: torch.Tensor) -> torch.Tensor:
        """Project, where there is a projection, and scale to length 1."""
        if self._has("projection"):
            vector = vector @ self.parts["projection"].to(vector.dtype)
            if self._has("projection.b"):
                vector = vector + self.parts["projection/b"]
        return normalize(vector.float(), dim=1)

    # -- layers ------------------------------------------------------------------------------------

    def _has(self, name: str) -> bool:
        return _inner(name) in self.parts

    def _activated(self, values: torch.Tensor) -> torch.Tensor:
        if self.spec.activation == "quick_gelu":
            return values * torch.sigmoid(QUICK * values)
        return gelu(values, approximate="none" if self.spec.activation == "gelu" else "tanh")

    def _normalised(self, values: torch.Tensor, name: str) -> torch.Tensor:
        scale, shift = (self.parts[_inner(f"{name}.{part}")] for part in "gb")
        return layer_norm(values, (len(scale),), scale, shift, self.spec.epsilon)

    def _linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = (self.parts[_inner(f"{name}.{part}")] for part in "wb")
        return linear(values, weight.T, bias)


def clip_vit(weights: Weights) -> TorchVit:
    """The built-in encoder's network, of weights as `satchel.adapt.clip_file` has them."""
    return TorchVit(CLIP_B16, as_vit(weights), most=MOST_PATCHES)


class TorchTokenEncoder:
    """The built-in encoder in PyTorch up to its head, in floating point, on a GPU.

    As `satchel.adapt.clip_head.TokenEncoder`, without the loss of int8.

    Attributes:
        batch: crops of one forward pass.
    """

    batch: Final = 64

    def __init__(self, model: onnx.ModelProto, device: torch.device) -> None:
        self._device = device
        self._network = clip_vit(weights_of(model)).to(device).eval()

    def head_tokens(self, crops: Bytes) -> Halves:
        """Inputs of the head, shape (n, 2, d), of crops, shape (n, h, w, 3), uint8."""
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            tokens: Halves = self._network.head_tokens(pixels).half().cpu().numpy()
        return tokens


def _turned(values: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Turn pairs of a head's channels, shape (n, heads, tokens, width of a head)."""
    cos, sin = rotation
    even, odd = values[..., ::2], values[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def weights_of_state(state: Mapping[str, torch.Tensor]) -> Weights:
    """The weights of a network by its `state_dict`."""
    return {
        name.removeprefix("parts.").replace("/", "."): value.detach().float().cpu().numpy()
        for name, value in state.items()
    }


def _inner(name: str) -> str:
    """Replace the dots of a name, which PyTorch does not allow."""
    return name.replace(".", "/")
