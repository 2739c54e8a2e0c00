"""Which product of the catalogue a shop means: by its code, or by name and brand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from satchel.catalog.brands import Brands
from satchel.collect.shops.markup import ShopProduct
from satchel.records import Product
from satchel.text import folded, squeezed

SHORTEST_CODE: Final = 4
"""Characters of a code without which it is too common to be compared loosely."""
FEWEST_WORDS: Final = 2
"""Words that a name needs to be found within a longer one."""


class Matcher:
    """Finds products of the catalogue for those of a shop.

    Args:
        products: that photos are wanted of.
    """

    def __init__(self, products: Iterable[Product], brands: Brands) -> None:
        self._brands = brands
        self._codes: dict[str, set[str]] = defaultdict(set)
        self._names: dict[str, list[tuple[frozenset[str], str]]] = defaultdict(list)
        for one in products:
            self._codes[code_key(one.code)].add(one.code)
            if one.brand and one.name:
                words = frozenset(folded(one.name).split())
                self._names[brands.key(one.brand)].append((words, one.code))

    def match(self, shown: ShopProduct) -> str | None:
        """Return the code of the one product that is meant; None for none, or for several."""
        found = {code for shop_code in shown.codes for code in self._of(shop_code)}
        if found:
            return found.pop() if len(found) == 1 else None
        return self._by_name(shown)

    def _of(self, code: str) -> set[str]:
        return self._codes.get(code_key(code), set())

    def _by_name(self, shown: ShopProduct) -> str | None:
        if not shown.brand or not shown.name:
            return None
        words = frozenset(folded(shown.name).split())
        brand = frozenset(folded(shown.brand).split())
        found = {
            code
            for own, code in self._names.get(self._brands.key(shown.brand), ())
            if own - brand and (own - brand == words - brand or _within(own, words))
        }
        return found.pop() if len(found) == 1 else None


def _within(own: frozenset[str], words: frozenset[str]) -> bool:
    return len(own) >= FEWEST_WORDS and own <= words


def code_key(code: str) -> str:
    """Return the form in which codes are compared: "s-22675" is "S22675"; short ones stay."""
    key = squeezed(code)
    return key if len(key) >= SHORTEST_CODE else folded(code)
