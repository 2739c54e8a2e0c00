"""Finding products by words, as people type them.

Codes, names and brands are compared by their letters and digits alone: "M-22675", "m 22675" and
"M22675" are one, and so are "스피디30" and "스피디 30". Every column counts, so a name in another
language is found in a column of its own. All is in memory: some milliseconds for 100,000 products.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from sqlalchemy import Connection

from satchel.arrays import Ints
from satchel.catalog.brands import Brands
from satchel.catalog.product_columns import further_columns, own_columns
from satchel.text import squeezed
from satchel.translations import translations

MAX_WORDS: Final = 8
"""Words of a search that count."""


class ProductSearch:
    """What is searched of all products. Not changed after it is made: safe in several threads.

    Args:
        ids: shape (n,), int64, database ids, in the order of codes.
        texts: of each: its values, squeezed, one a line.
    """

    def __init__(self, ids: Ints, texts: Sequence[str]) -> None:
        self._ids = ids
        self._texts = texts

    def find(self, query: str) -> Ints:
        """Return the products with every word of a query in some value, in the order of codes.

        Words without a letter or digit do not count; without any other word nothing is found.
        """
        words = [word for word in map(squeezed, query.split()) if word][:MAX_WORDS]
        left: Sequence[int] = range(len(self._texts)) if words else ()
        for word in sorted(words, key=len, reverse=True):  # the rarest first, most likely
            left = [at for at in left if word in self._texts[at]]
        return self._ids[np.array(left, np.int64)]


def read_search(connection: Connection, brands: Brands) -> ProductSearch:
    """Read what is searched: codes, columns, brands under all names, categories in Korean too."""
    further: dict[int, list[str]] = {}
    for number, _, value in further_columns(connection):
        further.setdefault(number, []).append(value)
    # Most values are those of many products.
    spellings, short = cache(brands.spellings), cache(squeezed)
    korean = cache(translations("ko").gettext)
    ids, texts = [], []
    for number, code, fields in own_columns(connection):
        values = [code, *fields.values(), *further.get(number, ())]
        values += spellings(fields.get("brand", ""))
        if "category" in fields:
            values.append(korean(fields["category"].casefold()))
        ids.append(number)
        texts.append("\n".join(map(short, values)))
    return ProductSearch(np.array(ids, np.int64), texts)
