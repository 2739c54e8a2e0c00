"""Finding products by words, against a loop over all values; and when what is kept is made anew."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.catalog.database import writing
from satchel.catalog.product_search import ProductSearch
from satchel.catalog.store import Catalogue
from satchel.jobs.queue import enqueue
from satchel.text import squeezed
from support.catalogues import catalogue_of

PRODUCTS = [
    {"brand": "Louis Vuitton", "name": "Speedy 30", "category": "bag", "name_ko": "스피디 30"},
    {"brand": "Louis Vuitton", "name": "Speedy 25", "category": "bag", "name_ko": "스피디 25"},
    {"brand": "Céline", "name": "M-22675 (2020)", "category": "shoe", "material": "calf"},
    {"name": "nameless", "colour": "black"},
]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path, PRODUCTS)


def codes(catalogue: Catalogue, query: str, *, unfindable: bool = False) -> list[str]:
    page = catalogue.products(query, unfindable=unfindable)
    assert page.total == len(page.products)
    return [product.code for product, _ in page.products]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("M22675", "P2"),
        ("m-22675", "P2"),
        ("m 22675", "P2"),
        ("Ｍ／22675", "P2"),  # full width
        ("P-2", "P2"),
        ("스피디 30", "P0"),
        ("스피디30", "P0"),
        (unicodedata.normalize("NFD", "스피디 30"), "P0"),
        ("speedy-30", "P0"),
        ("speedy", "P0 P1"),
        ("루이비통 스피디", "P0 P1"),
        ("30 bag vuitton", "P0"),
        ("가방", "P0 P1"),  # as Korean pages name its category
        ("celine", "P2"),
        ("calf", "P2"),
        ("M - 22675", "P2"),
        ("speedy calf", ""),
        ("303", ""),  # not across two values
        ("-", ""),
        ("%", ""),
        (" ", "P0 P1 P2 P3"),
    ],
)
def test_products_are_found_as_people_type_them(
    catalogue: Catalogue, query: str, found: str
) -> None:
    assert codes(catalogue, query) == found.split()


def test_only_those_that_are_not_searched_are_found_among_them(catalogue: Catalogue) -> None:
    assert codes(catalogue, "speedy", unfindable=True) == []
    with catalogue.writing() as writer:
        writer.add_product("P9", {"name": "Speedy 40"})
    assert codes(catalogue, "speedy", unfindable=True) == ["P9"]
    assert codes(catalogue, "speedy") == ["P0", "P1", "P9"]


TEXT = st.text("aB-9 é가ㄱ_", max_size=6)


@given(st.lists(st.lists(TEXT, max_size=3), max_size=4), TEXT)
def test_every_word_is_in_some_value(products: list[list[str]], query: str) -> None:
    texts = ["\n".join(map(squeezed, values)) for values in products]
    found = ProductSearch(np.arange(len(texts)), texts).find(query)
    words = [word for word in map(squeezed, query.split()) if word]
    wanted = [
        at
        for at, values in enumerate(products)
        if words and all(any(word in squeezed(value) for value in values) for word in words)
    ]
    assert found.tolist() == wanted


@given(st.text(max_size=12))
def test_squeezing_keeps_letters_and_digits_alone(text: str) -> None:
    alone = squeezed(text)
    assert squeezed(alone) == alone
    assert alone == squeezed(f" -{text}_ ") == squeezed(unicodedata.normalize("NFD", text))


def test_writing_elsewhere_makes_nothing_anew(catalogue: Catalogue) -> None:
    facets = catalogue.facets.read()
    with writing(catalogue.engine) as connection:
        enqueue(connection, "anything", {})
        connection.commit()
    assert catalogue.facets.read() is facets


def set_name(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        writer.set_product(4, {"name": "found"})


def clear_colour(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        assert writer.clear_fields(4, ["colour"])


def update_attribute(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        writer.link(4, 4, {}, {"name_ko": "발견"}, update=True)


def add_photo(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        writer.link(4, writer.add_photo("f" * 64, 1, 1, 1), {}, {"lining": "red"})


CHANGES: list[Callable[[Catalogue], object]] = [
    set_name,
    clear_colour,
    update_attribute,
    add_photo,
    lambda catalogue: catalogue.edits.edit("P3", {"name": "edited", "lining": "blue"}),
    lambda catalogue: catalogue.edits.rename("P3", "Q3"),
    lambda catalogue: catalogue.edits.merge("P1", "P3"),
    lambda catalogue: catalogue.edits.delete_product("P0"),
    lambda catalogue: catalogue.edits.undo(catalogue.edits.rename("P3", "Q3").id),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_follows_every_change(
    catalogue: Catalogue, tmp_path: Path, change: Callable[[Catalogue], object]
) -> None:
    def seen(of: Catalogue) -> list[object]:
        words = ("found", "black", "발견", "red", "edited", "blue", "Q3", "P3", "P0", "speedy")
        return [of.facets.read().counts(), *(codes(of, word) for word in words)]

    before = seen(catalogue)
    change(catalogue)
    again = Catalogue.open(tmp_path / "satchel.db")
    assert seen(catalogue) == seen(again)
    assert seen(catalogue) != before or "undo" in str(change.__code__.co_names)
    again.close()
