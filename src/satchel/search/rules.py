"""How the gallery is compared with photos: the section `[search]` of `satchel.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SearchRules(BaseModel):
    """How vectors are compared. Measured: docs/decisions/0012-ranking.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    view_power: float = Field(
        0.25,
        ge=0,
        le=0.5,
        description="how much less a direction counts the more a photo's vector varies along it "
        "between the whole photo and its object: divided by the variance to this power; 0 does "
        "without; from 0.2 to 0.3 is as good",
    )
    product_power: float = Field(
        0.35,
        ge=0,
        le=0.5,
        description="the same for how photos of one product vary, where products have several",
    )
    colour_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of the likeness of colours beside the cosine of the vectors; 0 does without",
    )
