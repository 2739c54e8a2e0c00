"""What a seller says of a good: grade, price, size, defects, text, code. Checked here."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from satchel.validation import StrictModel

MAX_PRICE_KRW: Final = 10_000_000_000
PRICE_STEP_KRW: Final = 1_000


class Grade(StrEnum):
    """Condition, in the grades of Korean resale: N is unused, S as new, A+ to C show more wear."""

    N = "N"
    S = "S"
    A_PLUS = "A+"
    A = "A"
    B_PLUS = "B+"
    B = "B"
    C = "C"


JOINERS: Final = "\u200c\u200d"
"""Within scripts, and within emoji of several people."""


def _printable(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\t", " ")  # as forms and spreadsheets send
    if not all(char.isprintable() or char in JOINERS or char == "\n" for char in text):
        raise ValueError("expected text without control characters")
    return text.strip()


def _in_steps(price: int | None) -> int | None:
    if price is not None and price % PRICE_STEP_KRW:
        raise ValueError(f"expected a price in steps of ₩{PRICE_STEP_KRW:,}")
    return price


Line = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Paragraphs = Annotated[str, Field(max_length=4_000), AfterValidator(_printable)]
Price = Annotated[int | None, Field(ge=PRICE_STEP_KRW, le=MAX_PRICE_KRW), AfterValidator(_in_steps)]


class ProposedProduct(StrictModel):
    """A product that the seller does not find in the catalogue, for the catalogue team."""

    brand: Line = ""
    name: Line
    code: Line = ""
    notes: Paragraphs = ""


class ListingFields(StrictModel):
    """Changes to a listing; what is left out stays as it is.

    Attributes:
        code: of the product in the catalogue; setting it removes `proposed`, and the reverse.
        price_krw: in won.
        consent_gallery: whether photos may be shown in the catalogue once the good is certified.
    """

    code: Line | None = None
    proposed: ProposedProduct | None = None
    grade: Grade | None = None
    defects: Paragraphs = ""
    size: Line = ""
    text: Paragraphs = ""
    price_krw: Price = None
    consent_gallery: bool = False

    def changes(self) -> dict[str, object]:
        """Return the columns to set, those alone that were given."""
        given = self.model_dump(mode="json", include=self.model_fields_set)
        if given.get("code"):
            given["proposed"] = None
        elif given.get("proposed"):
            given["code"] = None
        return given
