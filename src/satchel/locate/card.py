"""The card of a detector: identity of its model file, and how its input and output are laid out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from satchel.onnx_model import ModelCard
from satchel.translations import translatable

MAX_SIDE_PX: Final = 2048
MAX_CLASSES: Final = 1_000

STRIDES: Final = (8, 16, 32)
"""Pixels a cell of the three maps of the layout "yolox"."""

CATEGORIES: Final = (
    translatable("bag"),
    translatable("small leather good"),
    translatable("shoe"),
    translatable("eyewear"),
    translatable("watch"),
    translatable("jewellery"),
    translatable("hat"),
    translatable("belt"),
    translatable("scarf"),
    translatable("garment"),
    translatable("other product"),
)
"""Satchel's own categories of goods; a detector may have others."""

ClassName = Annotated[str, Field(min_length=1, max_length=80)]
Side = Annotated[int, Field(gt=0, le=MAX_SIDE_PX)]
Share = Annotated[float, Field(ge=0, le=1)]
Triple = tuple[float, float, float]

UNSAID: Final = "not said"

DESCRIPTION: Final = frozenset(
    ("name", "file", "parts", "architecture", "weights", "licence", "parity", "recipe", "figures")
)
"""Fields that change nothing of what is detected."""


class LocatorCard(ModelCard):
    """The card of a detector, as JSON next to its ONNX file.

    The model takes `images`: float32, shape (n, 3, height, width). Its output:

    - layout "boxes_scores": `boxes`, float32, shape (n, k, 4), x0 y0 x1 y1 in pixels of the input,
      and `scores`, float32, shape (n, k, classes), in [0, 1]. If the card has `main_score`, also
      `main`, float32, shape (n, k): probability that the photo's main good is there; sums to 1.
    - layout "yolox": one tensor, float32, shape (n, cells, 5 + classes): centre x and y and log
      width and height relative to the cell, objectness and classes in [0, 1]; cells of the strides
      8, 16 and 32, row by row. As YOLOX exports it (Ge et al., "YOLOX: Exceeding YOLO Series in
      2021").

    Overlapping boxes are not suppressed in the model.
    """

    architecture: str = UNSAID
    weights: str = Field(UNSAID, description="where they come from")
    licence: str = UNSAID
    parity: str = Field(UNSAID, description="agreement with the model it was exported from")
    recipe: str = Field(UNSAID, description="the command that makes the file again")

    layout: Literal["boxes_scores", "yolox"]
    height_px: Side = Field(description="of the input")
    width_px: Side = Field(description="of the input")
    fit: Literal["letterbox", "stretch"] = Field(
        "letterbox",
        description="photos keep their proportions, in the top left corner, or fill the input",
    )
    colour_order: Literal["rgb", "bgr"] = "rgb"
    mean: Triple = Field((0.0, 0.0, 0.0), description="subtracted from values in [0, 255]")
    std: Triple = Field((1.0, 1.0, 1.0), description="divides what is left")
    pad_value: int = Field(114, ge=0, le=255, description="of pixels beyond the photo")
    class_names: tuple[ClassName, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    categories: Mapping[ClassName, ClassName] = Field(
        {},
        description="class → category; classes without one are not goods and are not reported; "
        "empty: every class is a category",
    )
    score: Share = Field(0.3, description="of a detection, at least")
    iou: Share = Field(0.5, description="boxes that overlap a better one by more are dropped")
    main_score: Share | None = Field(
        None,
        description="probability of the main good's box, at least; none: no output `main`",
    )
    figures: Mapping[str, float] = Field({}, description="measured: average precision and the like")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = sorted(set(self.categories) - set(self.class_names))
        if unknown:
            raise ValueError(f"categories of classes that the detector does not have: {unknown}")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("expected class names that differ")
        if min(self.std) <= 0:
            raise ValueError("expected std above 0")
        if self.layout == "yolox" and self.main_score is not None:
            raise ValueError('only the layout "boxes_scores" has an output `main`: no main_score')
        if self.layout == "yolox" and (self.height_px % STRIDES[-1] or self.width_px % STRIDES[-1]):
            raise ValueError(f"expected a height and width in multiples of {STRIDES[-1]}")
        return self

    def category_of(self, name: str) -> str | None:
        """Category of a class; None where it is not reported."""
        return self.categories.get(name) if self.categories else name

    def fingerprint(self, pad: float) -> str:
        """SHA-256 of all that decides what is detected and cropped: model, settings, padding."""
        decisive = {**self.model_dump(mode="json", exclude=set(DESCRIPTION)), "pad": pad}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
