"""Settings of search and of look-alikes: `[search]` and `[look_alikes]` in satchel.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from satchel.validation import StrictModel


class SearchRules(StrictModel):
    """How photos are compared. Measured: docs/decisions/0012-ranking.md, 0017 and 0020."""

    view_power: float = Field(
        0.25,
        ge=0,
        le=0.5,
        description="whitening by views: each direction is divided by its variance between the "
        "whole photo and its object, to this power; 0 turns it off; 0.2 to 0.3 is equally good",
    )
    product_power: float = Field(
        0.35,
        ge=0,
        le=0.5,
        description="whitening by products: the same for the variance between photos of one "
        "product, where products have several photos",
    )
    colour_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="weight of colour similarity relative to the cosine of the vectors; 0 turns it "
        "off; 0.2 is better for lite0 and for models trained from it",
    )
    rerank_weight: float = Field(
        0.1,
        ge=0,
        le=10,
        description="weight of candidate re-ranking relative to the score: the share of the photo "
        "that each candidate's photos reconstruct in competition with the others'; 0 turns it off; "
        "helps where products have many photos",
    )
    patch_weight: float = Field(
        1.0,
        ge=0,
        le=10,
        description="weight of patch matching relative to the score, both scaled to one standard "
        "deviation; divided by the square of the mean number of photos per product; 0 turns it off "
        "and saves a database query; for encoders with patch output (clip-b16)",
    )


class LookAlikeRules(StrictModel):
    """What counts as look-alikes. Measured: docs/decisions/0014-look-alikes.md."""

    chance: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="two products are proposed as look-alikes where a gallery photo of one, used "
        "as a query, leaves the other at least this posterior probability; lower proposes more",
    )
    colour_chance: float = Field(
        0.15,
        gt=0,
        le=0.5,
        description="the same for two products of different colours in the catalogue: photos show "
        "colours, so their photos have to be nearly equal",
    )
    counted: Literal["confirmed", "proposed", "off"] = Field(
        "confirmed",
        description="which groups count as one candidate in answers: confirmed by a person, "
        "proposed ones too, or none (off)",
    )
