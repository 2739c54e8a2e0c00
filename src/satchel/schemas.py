"""Records → JSON, for the command line and the HTTP API alike.

`satchel.web.schemas` adds the links of the pages. Scores and confidences are rounded to 4 decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from satchel import records
from satchel.catalog import lookalike_groups as stored
from satchel.locate.locator import main_detection
from satchel.lookalikes.differences import advice, differences

DECIMALS = 4


class Difference(BaseModel):
    """An attribute in which look-alikes differ."""

    kind: str = Field(
        description="What to compare: `size`, `hardware`, `material`, `colour` or `other`.",
        examples=["size"],
    )
    attribute: str = Field(description="Its name in the catalogue, or the kind's.")
    values: dict[str, str | None] = Field(
        description="By code; null where the catalogue has none.",
        examples=[{"M22675": "Mini 17 cm", "M22676": "Small 20 cm"}],
    )

    @classmethod
    def all_of(cls, codes: Sequence[str], found: Sequence[records.Difference]) -> list[Self]:
        """Convert the differences of the products with these codes."""
        return [
            cls(
                kind=one.kind,
                attribute=one.attribute,
                values=dict(zip(codes, one.values, strict=True)),
            )
            for one in found
        ]


class LookAlike(BaseModel):
    """A product of a group that photos cannot tell apart."""

    code: str
    brand: str | None
    name: str | None
    colour: str | None
    size: str | None
    confidence: float = Field(description="Probability that this one is right.")

    @classmethod
    def of(cls, member: records.LookAlike, **links: Any) -> Self:
        """Convert a member of a group."""
        product = member.product
        return cls(
            code=product.code,
            brand=product.brand,
            name=product.name,
            colour=product.colour,
            size=product.size,
            confidence=round(member.confidence, DECIMALS),
            **links,
        )


class LookAlikes(BaseModel):
    """A confirmed group that counts as one candidate."""

    members: Sequence[LookAlike] = Field(description="The candidate first, then nearest first.")
    differences: list[Difference] = Field(description="What tells them apart; may be empty.")
    advice: str = Field(
        description="The same as one English sentence.",
        examples=["Mini 17 cm, Small 20 cm: measure the width"],
    )

    @classmethod
    def of(cls, group: records.LookAlikes, members: Sequence[LookAlike] | None = None) -> Self:
        """Convert a group.

        Args:
            members: the converted members; default, without links.
        """
        return cls(
            members=[LookAlike.of(one) for one in group.members] if members is None else members,
            differences=Difference.all_of(
                [one.product.code for one in group.members], group.differences
            ),
            advice=advice(group.differences),
        )


class Candidate(BaseModel):
    """One catalogue model proposed for the item, or a group of look-alikes by its nearest one."""

    rank: int = Field(description="1 for the likeliest.", examples=[1])
    code: str = Field(description="The product's code.", examples=["M22675"])
    brand: str | None
    name: str | None
    confidence: float = Field(
        description="Probability that this is the right model, or one of its `look_alikes`, in "
        "[0, 1]. Confidences sum to less than 1: the remainder is the probability of none of them.",
        examples=[0.83],
    )
    likely: bool = Field(description="Whether it is one of the `likely` first models.")
    score: float = Field(description="Cosine in [-1, 1] between item and product.", examples=[0.71])
    photo: str = Field(description="The product's photo nearest to the item, whole.")
    look_alikes: LookAlikes | None = Field(
        description="The products, this one included, that photos cannot tell apart and that "
        "count as one here; null where there are none."
    )

    @classmethod
    def of(cls, candidate: records.Candidate, look_alikes: LookAlikes | None, **links: Any) -> Self:
        """Convert a candidate.

        Args:
            look_alikes: its converted group.
            links: `photo`, and what a subclass adds.
        """
        return cls(
            rank=candidate.rank,
            code=candidate.product.code,
            brand=candidate.product.brand,
            name=candidate.product.name,
            confidence=round(candidate.confidence, DECIMALS),
            likely=candidate.likely,
            score=round(candidate.score, DECIMALS),
            look_alikes=look_alikes,
            **links,
        )


class Box(BaseModel):
    """A rectangle in a photo, as fractions of its upright width and height, from the top left."""

    x0: float = Field(ge=0, le=1, description="Left.")
    y0: float = Field(ge=0, le=1, description="Top.")
    x1: float = Field(ge=0, le=1, description="Right.")
    y1: float = Field(ge=0, le=1, description="Bottom.")

    @classmethod
    def of(cls, box: records.Box) -> Self:
        """Convert a box."""
        return cls(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)


class Detection(BaseModel):
    """An object that the locator found in a photo."""

    box: Box
    category: str | None = Field(
        description="Its class; null where the locator has none.", examples=["bag"]
    )
    score: float = Field(description="In [0, 1].", examples=[0.87])
    main: bool = Field(description="Whether it is the photo's main object, which is identified.")

    @classmethod
    def all_of(cls, detections: Sequence[records.Detection] | None) -> list[Self] | None:
        """Convert the detections of a photo; None where no locator was asked."""
        if detections is None:
            return None
        main = main_detection(detections)
        return [
            cls(
                box=Box.of(one.box),
                category=one.category,
                score=round(one.score, DECIMALS),
                main=one is main,
            )
            for one in detections
        ]


class LocatedPhoto(BaseModel):
    """What was found in a photo."""

    photo: str
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    box: Box | None = Field(description="Of the main object; null where no product was found.")
    detections: list[Detection] | None = Field(
        description="Best first; null where the encoder's saliency located."
    )
    drawn: str | None = Field(description="The photo with its boxes, where it was written.")


class Identification(BaseModel):
    """The answer for one item."""

    photo: str | list[str] = Field(description="The photo, or the photos, of the item.")
    verdict: records.Verdict = Field(
        description="It is very probably the first candidate, probably that, one of the first "
        "`likely`, unclear, or not in the catalogue. It follows from the confidences."
    )
    candidates: Sequence[Candidate] = Field(description="Likeliest first.")
    boxes: list[Box] = Field(description="Where the item was found, one box for each photo.")
    detections: list[list[Detection] | None] = Field(
        description="For each photo all that the locator found, best first, empty where it found "
        "no product; null where none was asked: a box was given, or saliency locates."
    )
    in_catalogue: float = Field(
        description="Probability that the item's model is in the catalogue, in [0, 1]."
    )
    likely: int = Field(
        description="How many of the first candidates the answer names: 1 if the first one, 2 to "
        "5 with the verdict `one_of`, else 0. Their confidences sum to 0.6 or more.",
        examples=[3],
    )
    precision: float = Field(
        description="Share of the answers `identified` that are right, at least.",
        examples=[0.9],
    )
    calibrated: bool = Field(
        description="Whether confidences were fitted on photos of this catalogue's products; if "
        "not, on those that the encoder was measured with."
    )
    where: dict[str, list[str]] = Field(
        description="The filter that the candidates pass; empty without one.",
        examples=[{"brand": ["Maison"]}],
    )
    own_pictures: list[list[str]] = Field(
        description="For each photo, codes of the products whose own picture in the catalogue it "
        "is, or a copy of; usually none. Where all photos are such pictures of a product, "
        "confidences follow from that.",
        examples=[[["M22675"]]],
    )
    different_items: list[list[int]] = Field(
        description="Numbers of the photos, 1 for the first of `photo`, in groups that seem to "
        "show different items, so that they should be identified one by one; empty where they seem "
        "to show one. A photo that is not sure is in no group.",
        examples=[[[1, 3], [2]]],
    )

    @classmethod
    def of(
        cls,
        photo: str | list[str],
        found: records.Identification,
        candidates: Sequence[Candidate],
    ) -> Self:
        """Convert an identification, whose candidates are converted."""
        return cls(
            photo=photo,
            verdict=found.verdict,
            candidates=candidates,
            boxes=[Box.of(box) for box in found.boxes],
            detections=[Detection.all_of(one) for one in found.detections],
            in_catalogue=round(found.in_catalogue, DECIMALS),
            likely=found.likely,
            precision=found.precision,
            calibrated=found.calibrated,
            where={name: list(values) for name, values in found.where.items()},
            own_pictures=[list(codes) for codes in found.own_pictures],
            different_items=[list(photos) for photos in found.different_items],
        )


class FacetValue(BaseModel):
    """One value of an attribute."""

    value: str = Field(examples=["Maison"])
    products: int = Field(description="How many products have it and pass the rest of the filter.")


class Facet(BaseModel):
    """An attribute that products can be filtered by."""

    attribute: str = Field(examples=["brand"])
    values: list[FacetValue] = Field(description="Those of most products first.")
    total: int = Field(description="How many values there are.")

    @classmethod
    def of(cls, facet: records.Facet, limit: int) -> Self:
        """Convert a facet, with its first `limit` values."""
        return cls(
            attribute=facet.attribute,
            values=[
                FacetValue(value=one.value, products=one.products) for one in facet.values[:limit]
            ],
            total=len(facet.values),
        )


class LookAlikeGroup(BaseModel):
    """Products that photos cannot tell apart, or that are proposed as such."""

    group: int = Field(description="Its number.", examples=[12])
    state: stored.GroupState
    likeness: float = Field(
        description="Cosine of the nearest photos of two members, the least of all pairs."
    )
    codes: list[str] = Field(examples=[["M22675", "M22676"]])
    differences: list[Difference] = Field(description="What tells them apart; may be empty.")
    advice: str = Field(description="The same as one English sentence.")
    decided_by: str | None
    decided_at: datetime | None = Field(description="UTC, to the second.")

    @classmethod
    def of(
        cls,
        group: stored.LookAlikeGroup,
        products: Sequence[records.Product],
        visible: Sequence[str] = (),
    ) -> Self:
        """Convert a group.

        Args:
            products: its products.
            visible: see `satchel.lookalikes.visible.is_visible`.
        """
        found = differences(products, visible)
        return cls(
            group=group.number,
            state=group.state,
            likeness=round(group.likeness, DECIMALS),
            codes=list(group.codes),
            differences=Difference.all_of(group.codes, found),
            advice=advice(found),
            decided_by=group.by,
            decided_at=group.at and group.at.replace(tzinfo=UTC, microsecond=0),
        )
