"""How the gallery is compared with photos, and with itself: `[search]` and `[look_alikes]`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SearchRules(BaseModel):
    """How photos are compared. Measured: docs/decisions/0012-ranking.md, 0017 and 0020."""

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
        description="of the likeness of colours beside the cosine of the vectors; 0 does without; "
        "for lite0, and what is trained from it, 0.2 is better",
    )
    rival_weight: float = Field(
        0.1,
        ge=0,
        le=10,
        description="of how much of a photo a candidate's pictures make up beside those of its "
        "rivals, beside the score; 0 does without; helps where products have many pictures",
    )
    patch_weight: float = Field(
        1.0,
        ge=0,
        le=10,
        description="of how much of a photo's parts a candidate's pictures have too, beside the "
        "score of the whole, both being equally spread; divided by the square of how many pictures "
        "products have; 0 does without, and asks the database for nothing more; for encoders that "
        "give patches (clip-b16)",
    )


class LookAlikeRules(BaseModel):
    """What look-alikes are. Measured: docs/decisions/0014-look-alikes.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chance: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="that the ranking, asked with the very picture of one product, leaves another "
        "between the two: from there on they are proposed as look-alikes; less proposes more",
    )
    colour_chance: float = Field(
        0.15,
        gt=0,
        le=0.5,
        description="the same where the catalogue gives the two different colours: a photo shows "
        "those, so that pictures have to be all but equal",
    )
    counted: Literal["confirmed", "proposed", "off"] = Field(
        "confirmed",
        description="which groups count as one candidate in answers: those that a person has "
        "confirmed, proposed ones too, or none (off)",
    )
