"""Languages: the translations of pages and reports, and how numbers are written.

English texts in code and templates are the keys; `locale/ko/LC_MESSAGES/satchel.po` translates
them. `python scripts/translations.py` updates it and compiles the .mo file that is read here.
"""

from __future__ import annotations

from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final

LOCALES: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "satchel"
NAMES: Final = {"en": "English", "ko": "한국어"}
DEFAULT: Final = "en"


@cache
def translations(language: str) -> NullTranslations:
    """Read the translations of a language; English texts are the keys themselves."""
    if language == DEFAULT:
        return NullTranslations()
    with (LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as file:
        return GNUTranslations(file)


def translatable(text: str) -> str:
    """Mark a text for extraction; it is translated where it is shown."""
    return text


def number(value: float) -> str:
    """Write a number as English and Korean do: 1,234.5, with three decimals at most."""
    text = f"{value:,.3f}"
    return text.rstrip("0").rstrip(".")


def won(price: int) -> str:
    """Write a price in won: ₩1,234,000."""
    return f"₩{price:,}"


def percent(share: float) -> str:
    """Write a probability as whole percents; never 0 or 100, since no model is certain."""
    return "< 1%" if share < 0.01 else f"{min(share, 0.99):.0%}"
