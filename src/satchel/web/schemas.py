"""What the API answers, field by field; the classes are named as in its OpenAPI description."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from satchel import records
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.lookalike_groups import LookAlikeGroup as GroupOfProducts
from satchel.catalog.products import ProductPage as ProductRange
from satchel.lookalikes.differences import (
    advice,
    differences,
    differences_as_json,
    look_alikes_as_json,
)
from satchel.web.links import photo_link, product_link, thumbnail_link


class Difference(BaseModel):
    """An attribute in which look-alikes differ."""

    kind: str = Field(
        description="What to look at: `size`, `hardware`, `material`, `colour` or `other`.",
        examples=["size"],
    )
    attribute: str = Field(description="Its name in the catalogue, or the kind's.")
    values: dict[str, str | None] = Field(
        description="By code; null where the catalogue has none.",
        examples=[{"M22675": "Mini 17 cm", "M22676": "Small 20 cm"}],
    )

    @classmethod
    def all_of(cls, codes: Sequence[str], found: Sequence[records.Difference]) -> list[Difference]:
        """Lay out what tells products apart."""
        return [cls(**one) for one in differences_as_json(codes, found)]


class LookAlike(BaseModel):
    """A product of a group that photos cannot tell apart."""

    code: str
    brand: str | None
    name: str | None
    colour: str | None
    size: str | None
    confidence: float = Field(description="Chance that this one is right, its part of the whole.")
    product: str = Field(description="The product's page.", examples=["/products/M22675"])


class LookAlikes(BaseModel):
    """A confirmed group that counts as one candidate."""

    members: list[LookAlike] = Field(description="The candidate first, then nearest first.")
    differences: list[Difference] = Field(description="What tells them apart; may be empty.")
    advice: str = Field(
        description="The same as one English sentence.",
        examples=["Mini 17 cm, Small 20 cm: measure the width"],
    )

    @classmethod
    def of(cls, group: records.LookAlikes) -> LookAlikes:
        """Lay out a group."""
        told = look_alikes_as_json(group)
        for member in told["members"]:
            member["product"] = product_link(member["code"])
        return cls.model_validate(told)


class Candidate(BaseModel):
    """One catalogue model proposed for the item, or a group of look-alikes by its nearest one."""

    rank: int = Field(description="1 for the likeliest.", examples=[1])
    code: str = Field(description="The product's code.", examples=["M22675"])
    brand: str | None
    name: str | None
    confidence: float = Field(
        description="Chance that this is the right model, or one of its `look_alikes`, in [0, 1]; "
        "what all candidates leave of 1 is the chance that it is none of them.",
        examples=[0.83],
    )
    likely: bool = Field(description="Whether it is one of the `likely` first models.")
    score: float = Field(description="Cosine in [-1, 1] between item and product.", examples=[0.71])
    photo: str = Field(description="The product's photo nearest to the item, whole.")
    thumbnail: str = Field(description="The same photo, small.")
    product: str = Field(description="The product's page.", examples=["/products/M22675"])
    look_alikes: LookAlikes | None = Field(
        description="The products, this one included, that photos cannot tell apart and that "
        "count as one here; null where there are none."
    )

    @classmethod
    def of(cls, candidate: records.Candidate) -> Candidate:
        """Lay out a candidate."""
        return cls(
            rank=candidate.rank,
            code=candidate.product.code,
            brand=candidate.product.brand,
            name=candidate.product.name,
            confidence=round(candidate.confidence, 4),
            likely=candidate.likely,
            score=round(candidate.score, 4),
            photo=photo_link(candidate.photo),
            thumbnail=thumbnail_link(candidate.photo),
            product=product_link(candidate.product.code),
            look_alikes=LookAlikes.of(candidate.look_alikes) if candidate.look_alikes else None,
        )


class Box(BaseModel):
    """A rectangle in a photo, as fractions of its upright width and height, from the top left."""

    x0: float = Field(ge=0, le=1, description="Left.")
    y0: float = Field(ge=0, le=1, description="Top.")
    x1: float = Field(ge=0, le=1, description="Right.")
    y1: float = Field(ge=0, le=1, description="Bottom.")


class Identification(BaseModel):
    """The answer for one item."""

    photo: list[str] = Field(description="Names of the photos that were sent, in their order.")
    verdict: records.Verdict = Field(description="How far the first candidate can be relied on.")
    candidates: list[Candidate] = Field(description="Likeliest first.")
    boxes: list[Box] = Field(description="Where the item was found, one box for each photo.")
    in_catalogue: float = Field(
        description="Chance that the item's model is in the catalogue, in [0, 1]."
    )
    likely: int | None = Field(
        description="How many of the first models hold the right one, if it is in the catalogue, "
        "with the chance `coverage`; may be more than there are candidates, and null where no "
        "number of them is enough.",
        examples=[3],
    )
    coverage: float = Field(description="That chance, in (0, 1).", examples=[0.9])

    @classmethod
    def of(cls, names: Sequence[str], found: records.Identification) -> Identification:
        """Lay out an identification."""
        return cls(
            photo=list(names),
            verdict=found.verdict,
            candidates=[Candidate.of(candidate) for candidate in found.candidates],
            boxes=[Box(x0=b.x0, y0=b.y0, x1=b.x1, y1=b.y1) for b in found.boxes],
            in_catalogue=round(found.in_catalogue, 4),
            likely=found.likely,
            coverage=found.coverage,
        )


class Product(BaseModel):
    """A catalogue model."""

    code: str = Field(examples=["M22675"])
    brand: str | None
    name: str | None
    category: str | None
    colour: str | None
    size: str | None
    attributes: dict[str, str] = Field(description="Further columns of the catalogue file.")
    product: str = Field(description="The product's page.", examples=["/products/M22675"])
    photo: str | None = Field(description="Its first photo, whole.")
    thumbnail: str | None = Field(description="Its first photo, small.")

    @classmethod
    def of(cls, product: records.Product, cover: str | None) -> Product:
        """Lay out a product whose first photo has the SHA-256 `cover`."""
        return cls(
            code=product.code,
            brand=product.brand,
            name=product.name,
            category=product.category,
            colour=product.colour,
            size=product.size,
            attributes=dict(product.attributes),
            product=product_link(product.code),
            photo=photo_link(cover) if cover else None,
            thumbnail=thumbnail_link(cover) if cover else None,
        )


class ProductPhoto(BaseModel):
    """A photo of a product."""

    sha256: str
    photo: str = Field(description="The photo, whole.")
    thumbnail: str = Field(description="The photo, small.")
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    role: str | None
    source: str | None
    license: str | None

    @classmethod
    def of(cls, photo: records.ProductPhoto) -> ProductPhoto:
        """Lay out a photo."""
        return cls(
            sha256=photo.sha256,
            photo=photo_link(photo.sha256),
            thumbnail=thumbnail_link(photo.sha256),
            width=photo.width,
            height=photo.height,
            role=photo.role,
            source=photo.source,
            license=photo.license,
        )


class ProductDetail(BaseModel):
    """A catalogue model with all its photos."""

    product: Product
    photos: list[ProductPhoto]

    @classmethod
    def of(cls, product: records.Product, photos: Sequence[records.ProductPhoto]) -> ProductDetail:
        """Lay out a product and its photos."""
        cover = photos[0].sha256 if photos else None
        return cls(
            product=Product.of(product, cover),
            photos=[ProductPhoto.of(photo) for photo in photos],
        )


class ProductPage(BaseModel):
    """A stretch of the products that match, ordered by code."""

    total: int = Field(description="How many products match.")
    offset: int
    limit: int
    products: list[Product]

    @classmethod
    def of(cls, page: ProductRange, offset: int, limit: int) -> ProductPage:
        """Lay out a stretch of products."""
        products = [Product.of(product, cover) for product, cover in page.products]
        return cls(total=page.total, offset=offset, limit=limit, products=products)


class LookAlikeGroup(BaseModel):
    """Products that photos cannot tell apart, or are thought not to."""

    group: int = Field(description="Its number.", examples=[12])
    state: GroupState
    likeness: float = Field(
        description="Cosine of the nearest pictures of two members, the least of all pairs."
    )
    codes: list[str] = Field(examples=[["M22675", "M22676"]])
    differences: list[Difference] = Field(description="What tells them apart; may be empty.")
    advice: str = Field(description="The same as one English sentence.")
    decided_by: str | None
    decided_at: datetime | None = Field(description="UTC.")

    @classmethod
    def of(cls, group: GroupOfProducts, products: Sequence[records.Product]) -> LookAlikeGroup:
        """Lay out a group, whose products are these."""
        found = differences(products)
        return cls(
            group=group.number,
            state=group.state,
            likeness=round(group.likeness, 4),
            codes=list(group.codes),
            differences=Difference.all_of(group.codes, found),
            advice=advice(found),
            decided_by=group.by,
            decided_at=None if group.at is None else group.at.replace(tzinfo=UTC),
        )


class LookAlikePage(BaseModel):
    """A stretch of the groups in one state, by number."""

    total: int = Field(description="How many groups are in this state.")
    groups: list[LookAlikeGroup]


class LookAlikeDecision(BaseModel):
    """What a person says of a group."""

    model_config = ConfigDict(extra="forbid")

    choice: Literal["confirm", "reject", "undo"]
    codes: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None,
        max_length=100,
        description="With `confirm`: the codes that look the same; all of the group by default.",
    )
    by: str | None = Field(None, max_length=60, description="Who decides, kept with the decision.")


class Health(BaseModel):
    """Whether the server can answer, and how much it knows."""

    status: str = Field(description="`ok`, or `no_index` where nothing can be identified yet.")
    products: int
    photos: int = Field(description="Photos over all products.")
    indexed: int = Field(description="Photos that are searched.")
