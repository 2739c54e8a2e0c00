"""Products and edits of the catalogue → JSON, for the command line and the HTTP API alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from satchel import records
from satchel.catalog.edit_records import CatalogueEdit as Edit

Kind = Literal["edit", "rename", "merge", "delete_product", "delete_photo", "purge"]
"""Kinds of edits, as in `satchel.catalog.decisions.Choice`."""


class CataloguePhoto(BaseModel):
    """A photo of a product, with all columns."""

    sha256: str
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    role: str | None
    source: str | None
    license: str | None
    attributes: dict[str, str] = Field(description="The further columns.")
    state: str = Field(description="`kept`, `doubtful` or `dropped`; kept ones are searched.")

    @classmethod
    def of(cls, photo: records.ProductPhoto, /, **more: Any) -> Self:
        """Convert a photo."""
        return cls(
            sha256=photo.sha256,
            width=photo.width,
            height=photo.height,
            role=photo.role,
            source=photo.source,
            license=photo.license,
            attributes=dict(photo.attributes),
            state=photo.state,
            **more,
        )


class CatalogueProduct(BaseModel):
    """A product with all columns."""

    code: str = Field(examples=["M22675"])
    brand: str | None
    name: str | None
    category: str | None
    colour: str | None
    size: str | None
    attributes: dict[str, str] = Field(description="On which all its photos agree.")

    @classmethod
    def of(cls, product: records.Product, /, **more: Any) -> Self:
        """Convert a product."""
        return cls(
            code=product.code,
            brand=product.brand,
            name=product.name,
            category=product.category,
            colour=product.colour,
            size=product.size,
            attributes=dict(product.attributes),
            **more,
        )


class ListedProduct(CatalogueProduct):
    """A product in a list."""

    photos: dict[str, int] = Field(description="How many it has, by state.")


class ShownProduct(CatalogueProduct):
    """A product with all its photos."""

    photos: Sequence[CataloguePhoto]


class EditedValue(BaseModel):
    """A value that an edit set; null for none."""

    before: str | None = Field(description="Null too where the product's photos differed.")
    after: str | None


class CatalogueEdit(BaseModel):
    """An edit of the catalogue, in the ledger."""

    decision: int = Field(description="Its number, by which it is undone.", examples=[12])
    kind: Kind = Field(examples=["rename"])
    codes: list[str] = Field(
        description="Of the product; of a renamed one then the new code, of a merged one then the "
        "code that it went into.",
        examples=[["M22675", "M22675-N"]],
    )
    photos: list[str] = Field(description="SHA-256 of the photos that it is about.")
    values: dict[str, EditedValue] = Field(description="What an edit of columns set.")
    decided_by: str | None
    decided_at: datetime = Field(description="UTC, to the second.")
    why: str | None
    undone_by: str | None
    undone_at: datetime | None = Field(description="Null where it is in force.")
    not_restored: int = Field(
        description="Of an edit that was undone just now: rows that did not come back, since they "
        "were purged."
    )

    @classmethod
    def of(cls, edit: Edit) -> Self:
        """Convert an edit."""
        return cls(
            decision=edit.id,
            kind=_kind(edit),
            codes=list(edit.codes),
            photos=list(edit.photos),
            values={
                name: EditedValue(before=before, after=after)
                for name, (before, after) in edit.values.items()
            },
            decided_by=edit.by,
            decided_at=_second(edit.at),
            why=edit.why,
            undone_by=edit.undone_by,
            undone_at=edit.undone_at and _second(edit.undone_at),
            not_restored=edit.not_restored,
        )


def _kind(edit: Edit) -> Kind:
    kind: Kind = edit.kind.value  # type: ignore[assignment] # only edits are in this store
    return kind


def _second(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC, microsecond=0)
