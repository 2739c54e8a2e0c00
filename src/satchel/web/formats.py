"""How pages write codes, times and the values of attributes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from markupsafe import Markup

from satchel.catalog.headers import attribute_field
from satchel.locate.card import CATEGORIES
from satchel.translations import DEFAULT, number, translations

PRICE_WORDS: Final = ("price", "가격", "판매가", "정가", "소비자가", "금액")
PRICE: Final = re.compile(
    r"(?P<won>₩|krw)?\s*(?P<amount>\d{1,12}(\.\d{1,2})?|\d{1,3}(,\d{3}){1,3})\s*(?P<after>원|krw)?",
    re.IGNORECASE,
)


def model(code: str) -> Markup:
    """Lay out a code within a sentence, so that it does not break in the middle."""
    return Markup('<span class="model">{}</span>').format(code)


def good(category: str | None, language: str) -> str | None:
    """Name a category of goods in a language; others stay as the catalogue or detector has them."""
    if category is None or category.casefold() not in CATEGORIES or language == DEFAULT:
        return category
    return translations(language).gettext(category.casefold())


def value(name: str, text: str, *, currency: str = "") -> str:
    """Lay out the value of an attribute: prices with separators, and with their currency.

    A number in another column is left alone: it may be a barcode or a year.

    Args:
        name: the attribute's.
        currency: of prices that name none, as ISO 4217 has it; empty for none.
    """
    if not is_price(name):
        return text
    found = PRICE.fullmatch(text.strip())
    if not found:
        return text
    amount = number(float(found["amount"].replace(",", "")))
    if found["won"] or found["after"] or "krw" in name.lower() or currency == "KRW":
        return f"₩{amount}"
    return f"{currency} {amount}".strip()


def is_price(name: str) -> bool:
    """Whether a column of this name holds prices."""
    plain = name.lower()
    return attribute_field(name) == "price" or any(word in plain for word in PRICE_WORDS)


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Write a time of the database, which is UTC, in a zone; None for UTC, named."""
    if zone is None:
        return f"{at:%Y-%m-%d %H:%M} UTC"
    return f"{at.replace(tzinfo=UTC).astimezone(zone):%Y-%m-%d %H:%M}"
