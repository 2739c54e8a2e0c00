"""What was read in a photo → JSON, for the command line and the HTTP API alike."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from satchel.reading import records
from satchel.reading.records import Match

DECIMALS = 4


class ReadText(BaseModel):
    """A line of text, or the content of a barcode."""

    text: str
    box: list[float] = Field(
        description="Left, top, right and bottom, as fractions of the upright photo.",
        examples=[[0.21, 0.4, 0.62, 0.47]],
    )
    score: float = Field(description="Confidence of reading in [0, 1].")
    barcode: str | None = Field(description="Kind of the barcode; null for text.")

    @classmethod
    def of(cls, one: records.ReadText) -> Self:
        """Convert a text."""
        box = [round(at, DECIMALS) for at in one.box.xyxy]
        score = round(one.score, DECIMALS)
        return cls(text=one.text, box=box, score=score, barcode=one.barcode)


class ReadCode(BaseModel):
    """A code of the catalogue that may be written in the photo: read, not seen."""

    code: str = Field(examples=["M41414"])
    read: str = Field(description="As it is written in the photo.", examples=["M4I414"])
    match: Match
    text: ReadText = Field(description="The text that it is in.")


class Reading(BaseModel):
    """What is written in a photo. It says nothing of whether the item is what its tag says."""

    codes: list[ReadCode] = Field(description="The best match first; often none.")
    texts: list[ReadText] = Field(description="All that was read.")

    @classmethod
    def of(cls, found: records.Reading) -> Self:
        """Convert a reading."""
        return cls(
            codes=[
                ReadCode(
                    code=one.code, read=one.read, match=one.match, text=ReadText.of(one.source)
                )
                for one in found.codes
            ],
            texts=[ReadText.of(one) for one in found.texts],
        )
