"""Differences between look-alikes: the catalogue attributes in which they differ.

An attribute is classified by the words of its name, a word of a product's name by itself
(`satchel.lookalikes.kinds`). Only attributes visible on the item count
(`satchel.lookalikes.visible`). Pages translate the advice for each kind; `ADVICE` is that of the
command line and the API.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from satchel.lookalikes.kinds import Kind, kind_of_attribute, kind_of_word, split_words
from satchel.lookalikes.visible import is_visible, may_be_seen
from satchel.records import Difference, Product

ADVICE: Final[Mapping[Kind, str]] = {
    Kind.SIZE: "measure the width",
    Kind.HARDWARE: "photograph the clasp",
    Kind.MATERIAL: "photograph the material close up",
    Kind.COLOUR: "photograph it in daylight",
    Kind.OTHER: "compare {attribute}",
}

NOTHING: Final = "the catalogue does not tell them apart: an expert has to"

NAME: Final = "name"

OWN: Final = ("colour", "size")
"""Fields of every product that are visible, whatever the catalogue's further columns are."""


def differences(
    products: Sequence[Product], visible: Collection[str] = ()
) -> tuple[Difference, ...]:
    """Return the attributes in which products differ, the easiest to inspect first.

    Values of one kind are joined: "Mini" of the name and "17 cm" of the size become "Mini 17 cm".
    An attribute that only one of the products has is ignored.

    Args:
        products: two or more.
        visible: names of the further attributes that count; empty for those that seem visible. See
            `satchel.lookalikes.visible.is_visible`.

    Returns:
        One for each kind, but one for each attribute of the kind `OTHER`; values in the order of
        the products, None where the catalogue has none.
    """
    by_kind: dict[tuple[Kind, str], list[list[str]]] = {}
    for kind, attribute, values in _differing(products, visible):
        key = (kind, attribute if kind is Kind.OTHER else "")
        columns = by_kind.setdefault(key, [[] for _ in products])
        for column, value in zip(columns, values, strict=True):
            if value and value.lower() not in (" ".join(column)).lower().split():
                column.append(value)
    kinds = list(Kind)
    return tuple(
        Difference(
            kind.value,
            attribute or kind.value,
            tuple(" ".join(column) or None for column in columns),
        )
        for (kind, attribute), columns in sorted(
            by_kind.items(), key=lambda one: (kinds.index(one[0][0]), one[0][1])
        )
    )


def advice(found: Sequence[Difference]) -> str:
    """Describe the differences in English, as one sentence without its full stop."""
    if not found:
        return NOTHING
    return "; ".join(
        f"{', '.join(value or '?' for value in one.values)}: "
        + ADVICE[Kind(one.kind)].format(attribute=one.attribute)
        for one in found
    )


def _differing(
    products: Sequence[Product], visible: Collection[str]
) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield kind, attribute and values wherever two products have different ones."""
    yield from _differing_names([product.name or "" for product in products])
    for attribute in _attributes(products):
        values = [_value(product, attribute) for product in products]
        known = {value.lower() for value in values if value}
        if len(known) > 1 and is_visible(attribute, known, () if attribute in OWN else visible):
            yield kind_of_attribute(attribute), attribute, values


def _differing_names(names: Sequence[str]) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield the words in which names differ, by kind; "gold hardware" is of kind hardware."""
    split = [[word for word in split_words(name) if may_be_seen(word)] for name in names]
    shared = set.intersection(*({word.lower() for word in words} for words in split))
    own = [[word for word in words if word.lower() not in shared] for words in split]
    hardware = any(kind_of_word(word) is Kind.HARDWARE for words in split for word in words)
    by_kind: dict[Kind, list[str | None]] = {}
    for at, words in enumerate(own):
        for word in words:
            kind = kind_of_word(word)
            if hardware and kind is Kind.COLOUR:
                kind = Kind.HARDWARE
            values = by_kind.setdefault(kind, [None] * len(names))
            values[at] = f"{values[at]} {word}" if values[at] else word
    yield from ((kind, NAME, values) for kind, values in by_kind.items())


def _attributes(products: Sequence[Product]) -> list[str]:
    further = {name for product in products for name in product.attributes}
    return [*OWN, *sorted(further - set(OWN))]


def _value(product: Product, attribute: str) -> str | None:
    known = getattr(product, attribute) if attribute in OWN else None
    value = known or product.attributes.get(attribute)
    return " ".join(value.split()) if value and value.strip() else None
