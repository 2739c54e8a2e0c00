"""Settings of collecting: `[collect]` in satchel.toml."""

from __future__ import annotations

from pydantic import Field

from satchel.validation import StrictModel


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
    max_photos_per_product: int = Field(
        200, gt=0, description="photos that are collected for one product, at most"
    )
    permitted: list[str] = Field(
        [],
        description="hosts whose owner lets you collect, such as your own shop: their robots.txt "
        'and reservations are not asked: ["photos.example.com"]',
    )
