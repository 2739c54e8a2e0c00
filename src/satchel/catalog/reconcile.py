"""After an import with `update`: take back what the file no longer says.

A photo leaves the codes under which the file does not name it, where the file names it under
another; a field is emptied where the file has its column and no row of the product fills it.
This needs the whole file, so it comes after the last row. A row that was refused may have said
otherwise: its product keeps everything, and where its code is unknown, all products do.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

import numpy as np

from satchel.catalog.dialect import MAX_PARAMETERS
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.catalog.store import Catalogue
from satchel.parallel import batched
from satchel.records import PRODUCT_FIELDS

_BITS: Final = {name: 1 << at for at, name in enumerate(PRODUCT_FIELDS)}


class FileContents:
    """What a file says of photos and products, gathered row by row.

    Memory: 16 bytes a row, and some 200 bytes a product.

    Attributes:
        unknown: how many refused rows have a code that is not known.
    """

    def __init__(self) -> None:
        self.unknown = 0
        self._photos = array("q")
        self._products = array("q")
        self._filled: dict[int, int] = {}
        self._empty: dict[int, int] = {}
        self._codes: dict[int, str] = {}
        self._refused: set[str] = set()

    def add(self, row: CatalogueRow, product_id: int, photo_id: int) -> None:
        """Record a row that was written."""
        self._photos.append(photo_id)
        self._products.append(product_id)
        filled = sum(_BITS[name] for name in row.product)
        self._filled[product_id] = self._filled.get(product_id, 0) | filled
        empty = sum(bit for name, bit in _BITS.items() if name in row.empty)
        if empty:
            self._empty[product_id] = self._empty.get(product_id, 0) | empty
            self._codes[product_id] = row.code

    def refuse(self, problem: RowProblem) -> None:
        """Record a row that was refused or is left for later."""
        if problem.code:
            self._refused.add(problem.code)
        else:
            self.unknown += 1

    def apply(self, catalogue: Catalogue) -> tuple[int, int]:
        """Move photos and empty fields.

        Returns:
            how many photos left a code, and of how many products a field was emptied.
        """
        if self.unknown or not self._photos:
            return 0, 0
        moved = emptied = 0
        for photos in self._photo_products():
            with catalogue.writing() as writer:
                moved += writer.unlink_others(photos, self._refused)
        for some in batched(self._to_empty(), MAX_PARAMETERS):
            with catalogue.writing() as writer:
                emptied += sum(writer.clear_fields(product, names) for product, names in some)
        return moved, emptied

    def _photo_products(self) -> Iterator[dict[int, set[int]]]:
        """Yield the products of each photo, some photos at a time."""
        photos, products = np.array(self._photos), np.array(self._products)
        order = np.argsort(photos, kind="stable")
        distinct, starts = np.unique(photos[order], return_index=True)
        groups = np.split(products[order], starts[1:])
        for some in batched(zip(distinct, groups, strict=True), MAX_PARAMETERS):
            yield {int(photo): set(of_photo.tolist()) for photo, of_photo in some}

    def _to_empty(self) -> Iterator[tuple[int, list[str]]]:
        for product, empty in self._empty.items():
            bits = empty & ~self._filled[product]
            if bits and self._codes[product] not in self._refused:
                yield product, [name for name, bit in _BITS.items() if bits & bit]
