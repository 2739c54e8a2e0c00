"""Requests and answers of the HTTP API about edits of the catalogue."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from satchel.edit_schemas import CatalogueEdit

MAX_NUMBER: Final = 2**63 - 1
MAX_COLUMNS: Final = 50

Code = Annotated[str, Field(max_length=200, description="The product's code.")]
Photo = Annotated[
    str | None,
    Field(max_length=64, description="SHA-256 of the photo, or six digits or more of it."),
]


class _Edit(BaseModel):
    """Who edits, and why."""

    model_config = ConfigDict(extra="forbid")

    by: str | None = Field(None, max_length=60, description="Who decides, kept with the edit.")
    why: str | None = Field(None, max_length=400, description="Why, kept with the edit.")


class ColumnEdit(_Edit):
    """Columns to set."""

    code: Code
    values: dict[str, Annotated[str, Field(max_length=4_000)]] = Field(
        min_length=1,
        max_length=MAX_COLUMNS,
        description="By the names of columns in a catalogue file; an empty value removes.",
        examples=[{"colour": "navy", "size": ""}],
    )
    photo: Photo = None


class Renaming(_Edit):
    """A new code for a product."""

    code: Code
    new: str = Field(max_length=200, description="The new code.")


class Merging(_Edit):
    """A product that goes into another one."""

    code: Code
    into: str = Field(max_length=200, description="Code of the product that stays.")


class Deletion(_Edit):
    """What to delete."""

    code: Code
    photo: Photo = None


class Undoing(BaseModel):
    """Which edit to undo."""

    model_config = ConfigDict(extra="forbid")

    decision: int = Field(ge=0, le=MAX_NUMBER, description="Its number.")
    by: str | None = Field(None, max_length=60, description="Who undoes it, kept with the edit.")


class EditPage(BaseModel):
    """The last edits."""

    edits: list[CatalogueEdit] = Field(description="The latest first.")
