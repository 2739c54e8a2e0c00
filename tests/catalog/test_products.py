from __future__ import annotations

from typing import Any

import pytest

from satchel.errors import CatalogueError
from satchel.workspace import Workspace


def test_a_transaction_that_fails_leaves_nothing(workspace: Workspace) -> None:
    catalogue = workspace.catalogue

    def write_and_fail() -> None:
        with catalogue.writing() as writer:
            product = writer.add_product("M1", {"brand": "Atelier"})
            writer.link(product, writer.add_photo("0" * 64, 1, 1, 1), {}, {})
            raise RuntimeError

    before = catalogue.revision()
    with pytest.raises(RuntimeError):
        write_and_fail()
    assert catalogue.size().products == 0
    assert catalogue.revision() == before


def test_search_wants_every_word_anywhere_and_takes_no_wildcards(filled: Workspace) -> None:
    def codes(query: str, **page: Any) -> list[str]:
        found = filled.catalogue.products(query, **page)
        return [product.code for product, _ in found.products]

    assert codes("") == ["M0", "M1", "M2", "M3", "M4"]
    assert codes("atelier RING") == ["M3"]
    assert codes("m2") == ["M2"]
    assert codes("%") == codes("_") == codes("nothing") == []
    assert codes("", offset=3, limit=1) == ["M3"]
    assert filled.catalogue.products("", limit=2).total == 5


def test_unknown_code(workspace: Workspace) -> None:
    with pytest.raises(CatalogueError, match="no product has the code 'X'"):
        workspace.catalogue.product("X")
