"""What an image encoder of the ViT family is, whatever checkpoint it comes from."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from satchel.arrays import Floats
from satchel.errors import EncoderError
from satchel.validation import StrictModel

Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
Pool = Literal["token", "attention", "mean"]

Weights = dict[str, Floats]
"""By name, float32. Of block i: `{i}.ln1.g`, `.b`, `{i}.ln2.g`, `.b`, and of its layers qkv, out,
fc1 and fc2 `{i}.{layer}.w` of shape (inputs, outputs) and `{i}.{layer}.b`; scales of layers are
multiplied in. `patch` of shape (width, 3, p, p), `position` of shape (grid², width), `prefix` of
shape (tokens before the patches, width), positions added; `post.g`, `.b`. Where the model has them:
`patch.b`, `pre.g`, `.b`; `fc.g`, `.b`, after pooling; `projection` of shape (width, outputs) and
`projection.b`; of attention pooling `pool.query` of shape (width,), `pool.key.w` of shape (width,
width), layers `pool.value`, `pool.out`, `pool.fc1`, `pool.fc2`, and `pool.ln.g`, `.b`."""


class VitSpec(StrictModel):
    """An image encoder of the ViT family.

    Attributes are those of the checkpoint; at what side it is served is another matter.
    """

    layout: str = Field(description="whose names the checkpoint has")
    width: PositiveInt
    blocks: PositiveInt
    heads: PositiveInt
    hidden: PositiveInt = Field(description="width of the MLPs' hidden layers")
    patch_px: PositiveInt
    grid: PositiveInt = Field(description="patches a side that it was trained with")
    activation: Activation
    epsilon: PositiveFloat = Field(description="of normalisations")
    pool: Pool = Field(description="class token, attention with a learned query, or the mean")
    pool_heads: PositiveInt = 1
    rope: bool = Field(False, description="queries and keys are rotated by their places, too")
    mean: tuple[float, float, float] = Field(description="of colours, in [0, 1]")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @model_validator(mode="after")
    def _whole_heads(self) -> VitSpec:
        for heads in (self.heads, self.pool_heads):
            if self.width % heads:
                raise ValueError(f"{heads} heads do not divide the width {self.width}")
        if self.rope and self.width // self.heads % 4:
            raise ValueError("with rotary positions a head's width has to be a multiple of 4")
        return self

    @property
    def side_px(self) -> int:
        """Side of the crops that it was trained with."""
        return self.grid * self.patch_px


MAX_MODEL_BYTES: Final = (1 << 31) - (64 << 20)
"""Protobuf's limit of an ONNX file, and a little for what is not weights."""


def check_size(name: str, numbers: int) -> None:
    """Check that an image encoder fits into an ONNX file in float32.

    Args:
        numbers: how many its weights are.

    Raises:
        EncoderError: it does not.
    """
    if 4 * numbers > MAX_MODEL_BYTES:
        raise EncoderError(
            f"the image encoder in {name} has {numbers / 1e6:,.0f} million numbers: expected "
            f"{MAX_MODEL_BYTES // 4_000_000:,} million at most, since an ONNX file holds 2 GiB and "
            "all kinds are made from one in float32; take a smaller model of the same family"
        )


CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
