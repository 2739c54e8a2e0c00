"""Facets and filters against a naive loop over the products."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.facets import Facets
from satchel.catalog.filters import MAX_CHARS, MAX_PAIRS, parse_where
from satchel.catalog.store import Catalogue
from satchel.errors import NoMatch, UsageError
from satchel.text import folded
from support.catalogues import catalogue_of

CATALOGUE = [
    {"brand": "Dior", "category": "bag", "colour": "black", "material": "calf"},
    {"brand": "DIOR", "category": "Bag", "colour": "검정", "material": "calf"},
    {"brand": "Dior", "category": "belt", "colour": "black, gold"},
    {"brand": "Céline", "category": "bag", "colour": "black", "sku": "x1"},
    {"brand": "구찌", "category": "shoe", "sku": "x2"},
    {"name": "nameless"},
]


@pytest.fixture
def facets(tmp_path: Path) -> Facets:
    return catalogue_of(tmp_path, CATALOGUE).facets.read()


def codes(facets: Facets, **where: str | list[str]) -> list[int]:
    """Numbers of the products that pass; ids count from 1."""
    return [int(one) - 1 for one in facets.select(where).products]


def test_values_are_compared_without_case_width_spacing_and_composition(facets: Facets) -> None:
    assert codes(facets, brand="dior") == [0, 1, 2]
    assert codes(facets, brand="  ＤＩＯＲ ") == [0, 1, 2]  # full width
    assert codes(facets, brand=unicodedata.normalize("NFD", "구찌")) == [4]
    assert codes(facets, brand=unicodedata.normalize("NFD", "CÉLINE")) == [3]
    assert codes(facets, Color="검정") == [1]  # another spelling of the attribute
    assert codes(facets, colour="black,  GOLD") == [2]  # a comma is a part of the value


def test_values_of_one_attribute_are_alternatives_and_attributes_all_count(facets: Facets) -> None:
    assert codes(facets, brand=["Dior", "구찌"]) == [0, 1, 2, 4]
    assert codes(facets, brand=["Dior", "구찌"], category="bag") == [0, 1]
    assert codes(facets, material="calf", brand="dior", colour="black") == [0]


def test_a_selection_is_in_the_catalogues_spelling(facets: Facets) -> None:
    selection = facets.select({"BRAND": ["dior"], "Category": ["BELT", "shoe"]})
    assert selection.where == {"brand": ("Dior",), "category": ("belt", "shoe")}


def test_a_mistyped_value_names_the_closest(facets: Facets) -> None:
    with pytest.raises(NoMatch, match=r"brand = 'Dioor'; closest.*: Dior \(3\)") as caught:
        facets.select({"brand": "Dioor"})
    assert caught.value.closest[0] == "Dior"
    with pytest.raises(NoMatch, match=r"Dior \(3\)") as caught:
        facets.select({"brand": "zzzzzz"})  # none is close: those of most products
    assert caught.value.closest[0] == "Dior"


def test_several_values_in_one_text_are_no_value(facets: Facets) -> None:
    with pytest.raises(NoMatch, match=r"bag.*belt.*give several values one by one"):
        facets.select({"category": "bag,belt"})


def test_an_unknown_attribute_names_those_that_there_are(facets: Facets) -> None:
    with pytest.raises(NoMatch, match=r"has brand, category, colour, material$") as caught:
        facets.select({"brnd": "Dior"})
    assert caught.value.closest == ("brand",)


def test_values_that_no_product_has_together(facets: Facets) -> None:
    with pytest.raises(NoMatch, match=r"with brand = Dior, category is one of: bag \(2\), belt"):
        facets.select({"brand": "dior", "category": "shoe"})


@pytest.mark.parametrize(
    "where",
    [
        {"brand": ""},
        {"brand": []},
        {"brand": ["Dior", " "]},
        {"brand": "x" * (MAX_CHARS + 1)},
        {"x" * (MAX_CHARS + 1): "x"},
        {"brand": [f"b{number}" for number in range(MAX_PAIRS + 1)]},
    ],
)
def test_malformed_filters(facets: Facets, where: dict[str, str | list[str]]) -> None:
    with pytest.raises(UsageError, match="expected"):
        facets.select(where)


def test_texts_of_a_filter() -> None:
    assert parse_where(["brand=Dior", "brand=A=B", "", " ", "no=1"]) == {
        "brand": ["Dior", "A=B"],
        "no": ["1"],
    }
    for text in ("brand", "=Dior", "brand=", " = ", "\x1b[2J"):
        with pytest.raises(UsageError, match="ATTRIBUTE=VALUE"):
            parse_where([text])


def test_counts(facets: Facets) -> None:
    counted = {
        facet.attribute: [(one.value, one.products) for one in facet.values]
        for facet in facets.counts()
    }
    assert counted == {
        "brand": [("Dior", 3), ("Céline", 1), ("구찌", 1)],
        "category": [("bag", 3), ("belt", 1), ("shoe", 1)],
        "colour": [("black", 2), ("black, gold", 1), ("검정", 1)],
        "material": [("calf", 2)],  # and no names, nor codes that each belong to one product
    }


def test_an_empty_catalogue(tmp_path: Path) -> None:
    facets = catalogue_of(tmp_path, []).facets.read()
    assert facets.counts() == []
    with pytest.raises(NoMatch, match="no attributes"):
        facets.select({"brand": "Dior"})


def test_photo_rows_that_disagree_give_no_attribute(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, [{"view": "front"}, {"view": "front"}])
    with catalogue.writing() as writer:
        writer.link(1, writer.add_photo("f" * 64, 1, 1, 1), {}, {"view": "back"})
    facets = catalogue.facets.read()
    assert codes(facets, view="front") == [1]
    assert catalogue.products_by_id([1])[0].attributes == {}


def test_long_values_are_no_facets(tmp_path: Path) -> None:
    facets = catalogue_of(tmp_path, [{"text": "long " * 100, "brand": "A" * 300}]).facets.read()
    assert facets.counts() == []


def test_a_change_of_the_catalogue_counts_at_once(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, [{"brand": "Dior"}])
    before = catalogue.facets.read()
    assert catalogue.facets.read() is before  # nothing is read again without a change
    other = Catalogue.open(tmp_path / "satchel.db")  # as another process would
    with other.writing() as writer:
        writer.set_product(1, {"brand": "Loewe"})
    assert codes(catalogue.facets.read(), brand="loewe") == [0]
    with pytest.raises(NoMatch):
        catalogue.facets.read().select({"brand": "Dior"})


WORDS = st.sampled_from(["a", "A", "ａ", "b", "가", "까", "c d", "C  D"])
ATTRIBUTES = st.sampled_from(["brand", "category", "colour", "size", "material"])
PRODUCTS = st.lists(st.dictionaries(ATTRIBUTES, WORDS, max_size=5), min_size=1, max_size=12)
WHERE = st.dictionaries(ATTRIBUTES, st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=3)


@settings(deadline=None, max_examples=40)
@given(PRODUCTS, WHERE)
def test_agrees_with_a_loop_over_all_products(
    tmp_path_factory: pytest.TempPathFactory,
    products: list[dict[str, str]],
    where: dict[str, list[str]],
) -> None:
    catalogue = catalogue_of(tmp_path_factory.mktemp("facets"), products)

    def passes(values: dict[str, str], wanted: dict[str, list[str]]) -> bool:
        return all(
            name in values and folded(values[name]) in map(folded, some)
            for name, some in wanted.items()
        )

    expected = [at for at, values in enumerate(products) if passes(values, where)]
    facets = catalogue.facets.read()
    try:
        selection = facets.select(where)
    except NoMatch:
        known = {name: {folded(p[name]) for p in products if name in p} for name in where}
        unknown = any(not set(map(folded, some)) <= known[name] for name, some in where.items())
        assert unknown or not expected
        return
    finally:
        catalogue.close()
    assert [int(one) - 1 for one in selection.products] == expected
    for facet in facets.counts(selection):
        others = {name: some for name, some in where.items() if name != facet.attribute}
        left = [values for values in products if passes(values, others)]
        counts = Counter(folded(one[facet.attribute]) for one in left if facet.attribute in one)
        assert {folded(one.value): one.products for one in facet.values} == counts
