"""Settings of the locator: `[locate]` in satchel.toml."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from satchel.validation import StrictModel

SALIENCY: Final = "saliency"
BUILTIN: Final = "builtin"

PAD: Final = 0.05
"""Share of a box's width and height that its crop shows beyond each side."""


class LocateRules(StrictModel):
    """How the object in a photo is located. Changed, the gallery is embedded again."""

    model: str = Field(
        BUILTIN,
        description='"builtin" is Satchel\'s own detector; "saliency" finds the object where the '
        "encoder responds most; or the path of another detector: an ONNX detector's card (.json) "
        "or a Darknet .cfg, from this folder. Changed, `satchel index` embeds the gallery again",
    )
    names: str = Field(
        "",
        description="class names of a Darknet detector, one a line; empty: next to its .cfg, with "
        "the same name and .names",
    )
    classes: dict[str, str] = Field(
        {},
        description='category of each class of the detector, as { handbag = "bag" }; other classes '
        "are no products. Empty: as its card says, and without a card every class is a category",
    )
    score: float = Field(
        0.0, ge=0, le=1, description="score of a detection, at least; 0: as its card says"
    )
    pad: float = Field(
        PAD,
        ge=0,
        le=1,
        description="share of a box's width and height that its crop shows beyond each side",
    )
