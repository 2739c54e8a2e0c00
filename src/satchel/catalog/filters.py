"""Filters: which products a person leaves to choose from, such as those of one brand.

A filter maps attributes to values. A product passes if, of each attribute, it has one of the
values. Attributes and values are compared without differences of case, width and spacing (see
`satchel.text.folded`), brands under all their names (`satchel.catalog.brands`). The values that
there are: `satchel.catalog.facets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.arrays import Ints
from satchel.catalog.headers import attribute_field
from satchel.errors import UsageError
from satchel.text import folded, printable

Where = Mapping[str, str | Sequence[str]]
"""A filter as people give it: attribute → value, or several of which one has to be there."""

Filter = Mapping[str, tuple[str, ...]]
"""A filter in the catalogue's own spelling."""

MAX_PAIRS: Final = 50
"""Values of a filter, at most."""

MAX_CHARS: Final = 200
"""Longest attribute, and longest value, that can be filtered by."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The products that pass a filter.

    Attributes:
        where: the filter, in the catalogue's spelling.
        products: shape (n,), int64, their ids, ascending; n ≥ 1.
    """

    where: Filter
    products: Ints


def parse_where(texts: Iterable[str]) -> dict[str, list[str]]:
    """Read `ATTRIBUTE=VALUE` texts; several of one attribute are alternatives.

    A comma is a part of the value. Empty texts are left out: forms send them.

    Raises:
        UsageError: a text is not of this form.
    """
    where: dict[str, list[str]] = {}
    for text in texts:
        if not text.strip():
            continue
        attribute, equals, value = text.partition("=")
        if not (equals and attribute.strip() and value.strip()):
            raise UsageError(
                f"expected ATTRIBUTE=VALUE, such as brand=Dior, got {printable(text[:MAX_CHARS])!r}"
            )
        where.setdefault(attribute, []).append(value)
    return where


def attribute_key(name: str) -> str:
    """The form in which names of attributes are compared: "Color" and "색상" are `colour`."""
    return attribute_field(name) or folded(name)


def normalised(
    where: Where, fold: Callable[[str, str], str] = lambda _, value: folded(value)
) -> dict[str, dict[str, str]]:
    """Fold a filter: attribute → folded value → the value as it was given.

    Args:
        fold: attribute's key, value → the form in which values are compared.

    Raises:
        UsageError: it has too many values, too long ones, or an attribute without any.
    """
    found: dict[str, dict[str, str]] = {}
    for attribute, given in where.items():
        values = [given] if isinstance(given, str) else list(given)
        if not values or not all(folded(value) for value in values):
            raise UsageError(f"expected a value of {printable(attribute[:MAX_CHARS])!r}, got none")
        if any(len(text) > MAX_CHARS for text in (attribute, *values)):
            raise UsageError(f"expected at most {MAX_CHARS} characters in a filter's value")
        key = attribute_key(attribute)
        of_key = found.setdefault(key, {})
        of_key |= {fold(key, value): value for value in values}
    if sum(map(len, found.values())) > MAX_PAIRS:
        raise UsageError(f"expected at most {MAX_PAIRS} values in a filter")
    return found


def shown(where: Filter) -> str:
    """One line for people: "brand = Dior or Celine, category = bag"."""
    return ", ".join(f"{name} = {' or '.join(values)}" for name, values in where.items())
