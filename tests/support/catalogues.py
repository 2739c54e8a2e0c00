"""Catalogues of products that need no photos."""

from __future__ import annotations

from pathlib import Path

from satchel.catalog.store import Catalogue
from satchel.records import PRODUCT_FIELDS
from support.databases import new_catalogue


def catalogue_of(folder: Path, products: list[dict[str, str]]) -> Catalogue:
    """A catalogue of products P0, P1, …, one photo each."""
    catalogue = new_catalogue(folder / "satchel.db")
    with catalogue.writing() as writer:
        for number, values in enumerate(products):
            own = {name: value for name, value in values.items() if name in PRODUCT_FIELDS}
            product = writer.add_product(f"P{number}", own)
            photo = writer.add_photo(f"{number:064x}", 10, 10, 100)
            more = {name: value for name, value in values.items() if name not in PRODUCT_FIELDS}
            writer.link(product, photo, {}, more)
    return catalogue
