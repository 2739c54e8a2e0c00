"""Settings of collecting: `[collect]` in satchel.toml."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from satchel.validation import StrictModel

QUERY_FIELDS: Final = ("brand", "name", "code", "category", "colour", "size")


def _template(text: str) -> str:
    """Check that a query's template names fields of products, and its code or name."""
    expected = f"expected a query of {', '.join(f'{{{name}}}' for name in QUERY_FIELDS)}"
    try:
        names = {name for _, name, *_ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from None
    if unknown := sorted(names - set(QUERY_FIELDS)):
        raise ValueError(f"{expected}, got {{{unknown[0]}}}")
    if not names & {"code", "name"}:
        raise ValueError(f"{expected}, with {{code}} or {{name}}: others find other products")
    return text


class CollectRules(StrictModel):
    """How photos are collected from other sites."""

    contact: str = Field(
        "",
        max_length=200,
        pattern=r"^[ -~]*$",
        description="how sites reach you, an e-mail address or a page in ASCII; it is sent with "
        "every request, and without it nothing is fetched",
    )
    delay_s: float = Field(
        1.0,
        ge=0,
        le=3_600,
        description="seconds between two requests to one host, at least; its robots.txt may ask "
        "for more",
    )
    per_host: int = Field(1, ge=1, le=16, description="requests to one host at once, at most")
    max_mb: int = Field(10_000, gt=0, description="MB that one run fetches, at most")
    max_mbit_s: float = Field(
        0, ge=0, description="Mbit a second that are fetched, on average, at most; 0 sets no limit"
    )
    min_free_mb: int = Field(
        1_000, ge=0, description="a run ends when the disk has fewer MB free than this"
    )
    max_photos_per_product: int = Field(
        200, gt=0, description="photos that are collected for one product, at most"
    )
    permitted: list[str] = Field(
        [],
        description="hosts whose owner lets you collect, such as your own shop: their robots.txt "
        'and reservations are not asked: ["photos.example.com"]',
    )
    per_product: int = Field(
        50,
        ge=1,
        le=1_000,
        description="candidates that one source names for one product, at most; its further "
        "queries are then not made",
    )
    queries: list[Annotated[str, AfterValidator(_template)]] = Field(
        ["{brand} {name} {code}", "{brand} {code} {category}", "{brand} {name} {category}"],
        min_length=1,
        max_length=20,
        description="what is searched for, in this order, until there are enough candidates; of "
        "fields that a product lacks nothing is left",
    )
    languages: list[Literal["en", "ko"]] = Field(
        ["en", "ko"],
        min_length=1,
        description="in which brands and categories are named in queries, as far as that is known",
    )
    max_pages: int = Field(
        5_000, ge=1, description="product pages of a shop that one run reads, at most"
    )
