"""`satchel identify --where` and `satchel facets`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.workspace import Workspace
from support.cli import satchel


@pytest.fixture
def here(filled: Workspace, tmp_path: Path) -> Path:
    """Five products of the brands A, A, 나, 나 and C."""
    with filled.catalogue.writing() as writer:
        for code, number in filled.catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": ("A", "A", "나", "나", "C")[int(code[1])]})
    (tmp_path / "disc.jpg").write_bytes(jpeg("disc", 50))
    return filled.folder


def test_only_products_that_pass(here: Path, tmp_path: Path) -> None:
    photo = str(tmp_path / "disc.jpg")
    done = satchel(here, "identify", photo, "--json", "--where", "brand=나", "--where", "brand=c")
    answer = json.loads(done.stdout)
    assert {one["code"] for one in answer["candidates"]} == {"M2", "M3", "M4"}
    assert answer["where"] == {"brand": ["나", "C"]}
    table = satchel(here, "identify", photo, "--where", "Brand=a", "--where", "material=paint")
    assert "of 2 products with brand = A, material = paint" in table.stdout
    assert "M2" not in table.stdout


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("brand=B", "no product has brand = 'B'; closest in the catalogue: A (2)"),
        ("brnad=A", "no product has an attribute 'brnad'"),
        ("brand", "expected ATTRIBUTE=VALUE, such as brand=Dior, got 'brand'"),
        ("\x1b[31m=x", "no product has an attribute '\\\\x1b[31m'"),
    ],
)
def test_filters_that_cannot_be_used_end_the_command(
    here: Path, tmp_path: Path, where: str, message: str
) -> None:
    done = satchel(here, "identify", str(tmp_path / "disc.jpg"), "--where", where)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "\x1b" not in done.stderr


def test_facets(here: Path) -> None:
    done = satchel(here, "facets", "--json")
    facets = {one["attribute"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert list(facets) == ["brand", "colour", "material"]
    assert facets["brand"]["total"] == 3
    assert {one["value"]: one["products"] for one in facets["brand"]["values"]} == {
        "A": 2,
        "나": 2,
        "C": 1,
    }
    table = satchel(here, "facets", "Brand", "--where", "material=paint").stdout
    assert "나" in table
    assert "paint" not in table


def test_facets_that_there_are_not(here: Path, workspace: Workspace) -> None:
    done = satchel(here, "facets", "view")
    assert done.returncode == 2
    assert "expected one of brand, colour, material, got 'view'" in done.stderr


def test_facets_of_an_empty_catalogue(workspace: Workspace) -> None:
    done = satchel(workspace.folder, "facets")
    assert (done.returncode, done.stdout) == (0, "")
    assert "has no brands" in done.stderr
