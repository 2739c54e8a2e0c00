"""Queries for the photos of a product, from templates, in the languages that people search in."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from satchel.catalog.brands import Brands
from satchel.collect.rules import QUERY_FIELDS
from satchel.records import Product
from satchel.text import folded

WORDS: Final = Path(__file__).with_name("words.toml")
MAX_QUERY_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    Attributes:
        code: of the product.
        text: as it is entered in a search field.
        template: that it was made of.
        language: "en" or "ko".
    """

    code: str
    text: str
    template: str = ""
    language: str = "en"


def build_queries(
    product: Product, templates: Sequence[str], languages: Sequence[str], brands: Brands
) -> list[Query]:
    """Fill the templates in, each in all languages; equal queries are made once.

    A template of which neither code nor name is left is passed over: it finds other products.

    Raises:
        WorkspaceError: the workspace's list of brands is malformed.
    """
    queries: dict[str, Query] = {}
    for template in templates:
        if not any(
            f"{{{name}}}" in template and _value(product, name) for name in ("code", "name")
        ):
            continue
        for language in languages:
            text = _fill(template, product, language, brands)
            queries.setdefault(folded(text), Query(product.code, text, template, language))
    return list(queries.values())


def _fill(template: str, product: Product, language: str, brands: Brands) -> str:
    values = {name: _value(product, name) for name in QUERY_FIELDS}
    values["brand"] = _brand_in(values["brand"], language, brands)
    values["category"] = _category_in(values["category"], language)
    return " ".join(template.format(**values).split())[:MAX_QUERY_CHARS].strip()


def _value(product: Product, name: str) -> str:
    return getattr(product, name) or ""


def _brand_in(brand: str, language: str, brands: Brands) -> str:
    """Return a brand as it is written in a language, or as it is."""
    names = (brand, *brands.written(brand)) if brand else ()
    return next((name for name in names if _is_korean(name) == (language == "ko")), brand)


def _category_in(category: str, language: str) -> str:
    word = folded(category)
    if language == "ko":
        return _korean().get(word, category)
    return _english().get(word, category)


def _is_korean(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


@cache
def _korean() -> dict[str, str]:
    return tomllib.loads(WORDS.read_text(encoding="utf-8"))


@cache
def _english() -> dict[str, str]:
    """Korean → English, the first that is listed."""
    return {korean: english for english, korean in reversed(_korean().items())}
