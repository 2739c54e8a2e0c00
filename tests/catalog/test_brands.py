"""Brands under all their names, in import, search, filters and look-alikes alike."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from satchel.catalog.brands import SHIPPED, Brands, plain
from satchel.catalog.store import Catalogue
from satchel.errors import WorkspaceError
from support.catalogues import catalogue_of

PRODUCTS = [
    {"brand": "디올", "name": "레이디백"},
    {"brand": "Christian Dior", "name": "Saddle"},
    {"brand": "루이 비통", "name": "Speedy"},
    {"brand": "LV", "name": "Neverfull"},
    {"brand": "Maison", "name": "Dior lookalike"},
]


def test_no_spelling_belongs_to_two_brands() -> None:
    brands: dict[str, set[str]] = {}
    for brand, others in tomllib.loads(SHIPPED.read_text(encoding="utf-8")).items():
        for name in (brand, *others):
            brands.setdefault(plain(name), set()).add(brand)
    assert len(brands) > 250
    assert {name: found for name, found in brands.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("디올", "Dior"),
        ("프라다", "PRADA"),
        ("크리스챤 디올", "christian  dior"),
        ("HERMES", "에르메스"),
        ("Dolce&Gabbana", "돌체앤가바나"),
        ("ＧＵＣＣＩ", "구찌"),
        ("Atelier Nord", "atelier-nord"),  # not on the list
    ],
)
def test_spellings_of_one_brand(one: str, other: str) -> None:
    assert Brands().key(one) == Brands().key(other)
    assert Brands().key(one) != Brands().key("Gucc")


def test_a_workspace_adds_its_own(tmp_path: Path) -> None:
    path = tmp_path / "brands.toml"
    brands = Brands(path)
    path.write_text('"디올" = ["크디"]\n"Atelier" = ["아틀리에", "BV"]\n', encoding="utf-8")
    assert brands.key("크디") == brands.key("Christian Dior")
    assert brands.key("아틀리에") == brands.key("ATELIER") == brands.key("BV")  # not Bottega Veneta
    assert Brands().key("아틀리에") != brands.key("아틀리에")
    for wrong in ("= x", 'Dior = "디올"', "[Dior]\na = 1", "Dior = [1]"):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(WorkspaceError, match=r"expected lines such as .* in .*brands\.toml"):
            Brands(path).key("x")


def test_a_changed_file_counts_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    catalogue = catalogue_of(tmp_path, PRODUCTS)  # stays open, as in a server
    path = tmp_path / "brands.toml"

    def of_dior() -> tuple[list[int], list[str]]:
        chosen = catalogue.facets.read().select({"brand": "Dior"})
        return list(chosen.products), [p.code for p, _ in catalogue.products("크디").products]

    assert of_dior() == ([1, 2], [])
    path.write_text('"디올" = ["크디", "Maison"]\n', encoding="utf-8")
    assert of_dior() == ([1, 2, 5], ["P0", "P1", "P4"])
    path.write_text("= x", encoding="utf-8")
    assert of_dior() == ([1, 2, 5], ["P0", "P1", "P4"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once
    path.unlink()
    assert of_dior() == ([1, 2], [])


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path, PRODUCTS)


@pytest.mark.parametrize("name", ["dior", "디올", "DIOR", "크리스찬 디올", "Christian Dior"])
def test_search_and_filter_find_a_brand_under_every_name(catalogue: Catalogue, name: str) -> None:
    chosen = catalogue.facets.read().select({"브랜드": name})
    assert list(chosen.products) == [1, 2]
    found = [product.code for product, _ in catalogue.products(name).products]
    assert set(found) >= {"P0", "P1"}
    assert set(found) <= {"P0", "P1", "P4"}  # one whose name says it
    assert [p.code for p, _ in catalogue.products(f"{name} saddle").products] == ["P1"]
    assert [p.code for p, _ in catalogue.products(f"saddle {name}").products] == ["P1"]


def test_names_of_several_words_are_found(catalogue: Catalogue) -> None:
    for query in ("louis vuitton", "루이비통", "lv", "루이 비통"):
        assert [p.code for p, _ in catalogue.products(query).products] == ["P2", "P3"], query


def test_facets_count_a_brand_once_in_its_most_frequent_spelling(catalogue: Catalogue) -> None:
    (brands, *_) = catalogue.facets.read().counts()
    assert {one.value: one.products for one in brands.values} == {
        "Christian Dior": 2,
        "LV": 2,
        "Maison": 1,
    }


def test_look_alikes_compare_brands_under_all_names(catalogue: Catalogue) -> None:
    kinds = catalogue.product_kinds()
    assert kinds[1].brand == kinds[2].brand != kinds[3].brand == kinds[4].brand
