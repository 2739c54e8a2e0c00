"""Facets: which values of brand, category, colour and further attributes products have.

A filter, and the counts of every facet, are answered from memory; `satchel.catalog.facet_store`
reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial, reduce
from typing import Final

import numpy as np

from satchel.arrays import Bools, Ints
from satchel.catalog.brands import Brands
from satchel.catalog.filters import Filter, Selection, Where, attribute_key, normalised, shown
from satchel.errors import NoMatch
from satchel.records import PRODUCT_FIELDS, Facet, FacetValue
from satchel.text import folded, printable

MAX_FACETS: Final = 50
"""Attributes that are counted, at most: a catalogue file may have thousands of columns."""

CLOSEST: Final = 8
"""Values that a message proposes."""

COMPARED: Final = 2_000
"""Values that a mistyped one is compared with, those of most products."""

LEAST_SIMILARITY: Final = 0.5
"""Of a mistyped value and one that is proposed; see `difflib.SequenceMatcher.ratio`."""


@dataclass(frozen=True, slots=True)
class ValueProducts:
    """One value of an attribute in its most frequent spelling, and its products.

    Attributes:
        products: shape (n,), int64, ids, ascending; n ≥ 1.
    """

    shown: str
    products: Ints


def fold(brands: Brands, attribute: str, value: str) -> str:
    """Return the form in which values of an attribute, by its key, are compared."""
    return brands.key(value) if attribute == "brand" else folded(value)


class Facets:
    """The attributes of all products. Not changed after it is made: safe in several threads."""

    def __init__(
        self,
        values: Mapping[str, Mapping[str, ValueProducts]],
        names: Mapping[str, str],
        brands: Brands,
    ) -> None:
        """Set up from what was read.

        Args:
            values: attribute's key → folded value → its products; see `fold`.
            names: attribute's key → its name.
            brands: by which brands were folded.
        """
        self._values = values
        self._names = names
        self._fold = partial(fold, brands)
        every = [value.products for of_key in values.values() for value in of_key.values()]
        self._size = max((int(products[-1]) for products in every), default=0) + 1

    def select(self, where: Where) -> Selection:
        """Select the products that pass a filter of one attribute at least.

        Raises:
            UsageError: the filter is malformed.
            NoMatch: an attribute or a value is unknown, or no product has all of it.
        """
        wanted = normalised(where, self._fold)
        passing = {key: self._having(key, values) for key, values in wanted.items()}
        spelled = {
            self._names[key]: tuple(self._values[key][value].shown for value in values)
            for key, values in wanted.items()
        }
        products = reduce(np.intersect1d, passing.values())
        if not len(products):
            raise self._no_combination(passing, spelled)
        return Selection(spelled, products)

    def counts(self, selection: Selection | None = None) -> list[Facet]:
        """Count the products of each value: brand, category, colour and size, then the others.

        Under a filter, an attribute's values count the products that pass the filter's other
        attributes: those that choosing the value would leave. Attributes whose every value belongs
        to a single product, such as an address, are left out.
        """
        passing = {}
        for name, values in (selection.where if selection else {}).items():
            key = attribute_key(name)
            passing[key] = self._having(key, {self._fold(key, value): value for value in values})
        return [self._facet(key, passing) for key in self._counted()]

    def _having(self, key: str, values: Mapping[str, str]) -> Ints:
        """Ids of the products that have one of the values, ascending."""
        if key not in self._values:
            raise self._no_attribute(key)
        for value, given in values.items():
            if value not in self._values[key]:
                raise self._no_value(key, value, given)
        return np.unique(np.concatenate([self._values[key][value].products for value in values]))

    def _facet(self, key: str, passing: Mapping[str, Ints]) -> Facet:
        allowed = np.ones(self._size, np.bool_)
        for other, products in passing.items():
            if other != key:
                allowed &= self._mask(products)
        counted = [
            FacetValue(value.shown, int(allowed[value.products].sum()))
            for value in self._values[key].values()
        ]
        counted.sort(key=lambda one: (-one.products, folded(one.value)))
        return Facet(self._names[key], tuple(one for one in counted if one.products))

    def _mask(self, products: Ints) -> Bools:
        mask = np.zeros(self._size, np.bool_)
        mask[products] = True
        return mask

    def _counted(self) -> list[str]:
        """Keys of the attributes that are facets, in their order."""
        own = [name for name in PRODUCT_FIELDS if name != "name" and self._values.get(name)]
        further = sorted(
            key
            for key, values in self._values.items()
            if key not in PRODUCT_FIELDS and any(len(one.products) > 1 for one in values.values())
        )
        return (own + further)[:MAX_FACETS]

    # -- what does not match ----------------------------------------------------------------

    def _no_attribute(self, key: str) -> NoMatch:
        names = [self._names[known] for known in self._counted()]
        closest = get_close_matches(key, self._values, CLOSEST, LEAST_SIMILARITY)
        hint = f"did you mean {printable(self._names[closest[0]])!r}? " if closest else ""
        return NoMatch(
            f"no product has an attribute {printable(key)!r}; {hint}the catalogue has "
            f"{printable(', '.join(names)) or 'no attributes'}",
            key,
            [self._names[known] for known in closest] or names[:CLOSEST],
        )

    def _no_value(self, key: str, value: str, given: str) -> NoMatch:
        name, closest = self._names[key], self._closest(key, value)
        counted = _counted([FacetValue(one.shown, len(one.products)) for one in closest])
        hint = "; give several values one by one" if "," in given else ""
        return NoMatch(
            f"no product has {printable(name)} = {printable(given)!r}; closest "
            f"in the catalogue: {counted}{hint}",
            name,
            [one.shown for one in closest],
        )

    def _closest(self, key: str, value: str) -> list[ValueProducts]:
        """The values most like one that does not exist; where none is, those of most products."""
        known = self._values[key]
        often = sorted(known, key=lambda one: (-len(known[one].products), one))
        parts = [one for one in often if value in one or one in value][:CLOSEST]
        similar = get_close_matches(value, often[:COMPARED], CLOSEST, LEAST_SIMILARITY)
        closest = list(dict.fromkeys([*parts, *similar])) or often
        return [known[one] for one in closest[:CLOSEST]]

    def _no_combination(self, passing: Mapping[str, Ints], spelled: Filter) -> NoMatch:
        """Name the values of the last attribute that the rest of the filter leaves."""
        *_, last = passing
        name, facet = self._names[last], self._facet(last, passing)
        rest = {attribute: values for attribute, values in spelled.items() if attribute != name}
        return NoMatch(
            f"no product has {printable(shown(spelled))} together; with {printable(shown(rest))}, "
            f"{printable(name)} is one of: {_counted(facet.values[:CLOSEST]) or 'none'}",
            name,
            [one.value for one in facet.values[:CLOSEST]],
        )


def _counted(values: Iterable[FacetValue]) -> str:
    return printable(", ".join(f"{one.value} ({one.products:,})" for one in values))
