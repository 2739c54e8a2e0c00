"""Responses of the HTTP API: `satchel.schemas` with links; classes are named as in OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from satchel import records, schemas
from satchel.catalog.products import ProductPage as ProductRange
from satchel.edit_schemas import CataloguePhoto, CatalogueProduct
from satchel.errors import FaultyPhoto
from satchel.schemas import Facet, LookAlikeGroup
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.links import photo_link, product_link, thumbnail_link
from satchel.web.problems import URN, ReadyCheck, problem_of


class LookAlike(schemas.LookAlike):
    """A product of a group that photos cannot tell apart."""

    product: str = Field(description="The product's page.", examples=["/products/M22675"])


class LookAlikes(schemas.LookAlikes):
    """A confirmed group that counts as one candidate."""

    members: list[LookAlike] = Field(description="The candidate first, then nearest first.")

    @classmethod
    def linked(cls, group: records.LookAlikes) -> LookAlikes:
        """Convert a group, with links."""
        members = [
            LookAlike.of(one, product=product_link(one.product.code)) for one in group.members
        ]
        return cls.of(group, members)


class Candidate(schemas.Candidate):
    """One catalogue model proposed for the item, or a group of look-alikes by its nearest one."""

    thumbnail: str = Field(description="The same photo, small.")
    product: str = Field(description="The product's page.", examples=["/products/M22675"])
    look_alikes: LookAlikes | None = Field(
        description="The products, this one included, that photos cannot tell apart and that "
        "count as one here; null where there are none."
    )

    @classmethod
    def linked(cls, candidate: records.Candidate) -> Candidate:
        """Convert a candidate, with links."""
        return cls.of(
            candidate,
            LookAlikes.linked(candidate.look_alikes) if candidate.look_alikes else None,
            photo=photo_link(candidate.photo),
            thumbnail=thumbnail_link(candidate.photo),
            product=product_link(candidate.product.code),
        )


class RefusedPhoto(BaseModel):
    """A photo of the item that could not be used."""

    photo: int = Field(description="Which one; 1 for the first that was sent.")
    name: str = Field(description="Its name.", examples=["IMG_2041.jpg"])
    type: str = Field(
        description="What kind of problem, as in errors; stable.",
        examples=["urn:satchel:problem:corrupt-photo"],
    )
    detail: str = Field(description="What was expected, what came, and what to do next.")

    @classmethod
    def of(cls, error: FaultyPhoto) -> RefusedPhoto:
        """Convert the error of one photo."""
        return cls(
            photo=error.position,
            name=error.name,
            type=URN + problem_of(error).kind.slug,
            detail=str(error.reason),
        )


class Identification(schemas.Identification):
    """The answer for one item."""

    photo: list[str] = Field(
        description="Names of the photos that were used, in the order in which they were sent; "
        "`boxes`, `detections` and `kept` are of these."
    )
    refused: list[RefusedPhoto] = Field([], description="Photos that could not be used.")
    candidates: list[Candidate] = Field(description="Likeliest first.")
    answer: str | None = Field(
        None, description="Token of this answer, for feedback on it within a day."
    )
    kept: list[str | None] = Field(
        [],
        description="With `keep`: a token for each photo, which stands for it in further requests "
        "for a while; null for a photo that is too large to be kept.",
    )

    @classmethod
    def linked(
        cls,
        names: Sequence[str],
        found: records.Identification,
        answer: str | None = None,
        kept: Sequence[str | None] = (),
        refused: Sequence[FaultyPhoto] = (),
    ) -> Identification:
        """Convert an identification, with links and tokens."""
        candidates = [Candidate.linked(candidate) for candidate in found.candidates]
        more = {
            "answer": answer,
            "kept": list(kept),
            "refused": [RefusedPhoto.of(error) for error in refused],
        }
        return cls.of(list(names), found, candidates).model_copy(update=more)


class Product(CatalogueProduct):
    """A catalogue model."""

    product: str = Field(description="The product's page.", examples=["/products/M22675"])
    photo: str | None = Field(description="Its first photo, whole.")
    thumbnail: str | None = Field(description="Its first photo, small.")

    @classmethod
    def linked(cls, product: records.Product, cover: str | None) -> Self:
        """Convert a product whose first photo has the SHA-256 `cover`, with links."""
        return cls.of(
            product,
            product=product_link(product.code),
            photo=photo_link(cover) if cover else None,
            thumbnail=thumbnail_link(cover) if cover else None,
        )


class ProductPhoto(CataloguePhoto):
    """A photo of a product."""

    photo: str = Field(description="The photo, whole.")
    thumbnail: str = Field(description="The photo, small.")

    @classmethod
    def linked(cls, photo: records.ProductPhoto) -> Self:
        """Convert a photo, with links."""
        return cls.of(photo, photo=photo_link(photo.sha256), thumbnail=thumbnail_link(photo.sha256))


class ProductDetail(BaseModel):
    """A catalogue model with all its photos."""

    product: Product
    photos: list[ProductPhoto]

    @classmethod
    def of(cls, product: records.Product, photos: Sequence[records.ProductPhoto]) -> ProductDetail:
        """Lay out a product and its photos."""
        cover = photos[0].sha256 if photos else None
        return cls(
            product=Product.linked(product, cover),
            photos=[ProductPhoto.linked(photo) for photo in photos],
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
        products = [Product.linked(product, cover) for product, cover in page.products]
        return cls(total=page.total, offset=offset, limit=limit, products=products)


class FeedbackGiven(BaseModel):
    """What a person says of an answer."""

    model_config = ConfigDict(extra="forbid")

    answer: str = Field(max_length=MAX_TOKEN_CHARS, description="The answer's token.")
    code: str | None = Field(
        max_length=200,
        description="The right product's, whether or not it was a candidate; null for none of "
        "the candidates.",
    )
    expert: bool = Field(False, description="An expert is to say which it is; `code` is ignored.")
    keep: bool = Field(False, description="Keep the photos with the case, without metadata.")
    note: str = Field("", max_length=2_000, description="Shown with the case.")
    by: str = Field("", max_length=60, description="Who says so, kept with the case.")


class Feedback(BaseModel):
    """What was stored."""

    code: str | None = Field(description="The right product's; null for none of the candidates.")
    case: str = Field(description="The page of the case.", examples=["/cases/TOKEN"])
    total: int = Field(description="How many answers there is feedback on.")


class Facets(BaseModel):
    """What products can be filtered by."""

    products: int = Field(description="How many products pass the filter.")
    facets: list[Facet] = Field(
        description="Brand, category, colour and size, then the further attributes by name."
    )


class LookAlikePage(BaseModel):
    """A stretch of the groups in one state, by number."""

    total: int = Field(description="How many groups are in this state.")
    groups: list[LookAlikeGroup]


class LookAlikeDecision(BaseModel):
    """A person's decision on a group."""

    model_config = ConfigDict(extra="forbid")

    choice: Literal["confirm", "reject", "undo"]
    codes: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None,
        max_length=100,
        description="With `confirm`: the codes that look the same; all of the group by default.",
    )
    by: str | None = Field(None, max_length=60, description="Who decides, kept with the decision.")


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(description="`alive`.")


class Ready(BaseModel):
    """Everything that an answer needs is there."""

    status: str = Field(description="`ready`.")
    checks: list[ReadyCheck]


class Health(BaseModel):
    """Size of the catalogue, and of what is searched."""

    status: str = Field(description="`ok`, or `no_index` where nothing can be identified yet.")
    products: int
    photos: int = Field(description="Photos over all products.")
    indexed: int = Field(description="Photos that are searched.")
