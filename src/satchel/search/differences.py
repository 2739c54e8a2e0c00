"""What tells look-alikes apart, where no photo does: the attributes in which they differ.

An attribute is known by the words of its name, a word of a product's name by itself: `KINDS` is the
whole of it, in both languages. A page says what to do about each kind in the reader's language;
`ADVICE` is what the command line and the API say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from satchel.records import Difference, LookAlikes, Product


class Kind(StrEnum):
    """What an attribute is about, and so what has to be looked at."""

    SIZE = "size"
    HARDWARE = "hardware"
    MATERIAL = "material"
    COLOUR = "colour"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Words:
    """By which words a kind is known, lower case.

    Attributes:
        names: of attributes; a name that holds one of them is of this kind.
        values: words that stand in products' names.
    """

    names: frozenset[str]
    values: frozenset[str]


def _words(names: str, values: str = "") -> _Words:
    return _Words(frozenset(names.split()), frozenset(values.split()))


KINDS: Final[Mapping[Kind, _Words]] = {
    Kind.SIZE: _words(
        "size width height depth length diameter dimension dimensions measurement measurements "
        "사이즈 크기 치수 너비 가로 세로 폭 높이 길이 지름",
        "nano micro mini small medium large xs s m l xl xxl bb pm mm gm tpm oversize oversized "
        "나노 마이크로 미니 스몰 미디엄 라지 소형 중형 대형",
    ),
    Kind.HARDWARE: _words(
        "hardware metal clasp buckle lock zip zipper plating "
        "하드웨어 금속 장식 잠금장치 버클 지퍼 도금",
        "hardware ghw shw phw rhw rghw lghw 금장 은장",
    ),
    Kind.MATERIAL: _words(
        "material materials leather fabric textile lining skin composition "
        "소재 재질 가죽 원단 안감",
        "leather canvas suede nylon denim wool cotton silk velvet lambskin calfskin caviar "
        "goatskin crocodile python ostrich togo clemence epsom "
        "가죽 캔버스 스웨이드 나일론 데님 울 면 실크 벨벳 램스킨 카프스킨 캐비어",
    ),
    Kind.COLOUR: _words(
        "colour color colours colors shade 색상 색 컬러 색깔",
        "black white grey gray red blue navy green yellow orange purple pink brown beige ivory "
        "cream tan camel khaki gold silver "
        "블랙 화이트 그레이 레드 블루 네이비 그린 옐로우 오렌지 퍼플 핑크 브라운 베이지 "
        "아이보리 크림 탄 카멜 카키 골드 실버",
    ),
}
"""The first kind that fits is taken: "leather colour" is a material, "hardware size" a size."""

ADVICE: Final[Mapping[Kind, str]] = {
    Kind.SIZE: "measure the width",
    Kind.HARDWARE: "photograph the clasp",
    Kind.MATERIAL: "photograph the material close up",
    Kind.COLOUR: "photograph it in daylight",
    Kind.OTHER: "compare {attribute}",
}

NOTHING: Final = "the catalogue does not tell them apart: an expert has to"

NAME: Final = "name"

_QUANTITY: Final = re.compile(r"\d+([.,]\d+)?(mm|cm|m|in|inch|inches|호|인치|\")?")
_LONGEST: Final = 60
"""Characters of a value: what is longer is a description, not an attribute."""


def differences(products: Sequence[Product]) -> tuple[Difference, ...]:
    """Return the attributes in which products differ, the easiest to look at first.

    Of one kind the values stand together: "Mini" of the name and "17 cm" of the size are
    "Mini 17 cm". An attribute that only one of the products has tells nothing.

    Args:
        products: two or more.

    Returns:
        One for each kind, but one for each attribute of the kind `OTHER`; values in the order of
        the products, None where the catalogue has none.
    """
    found: dict[tuple[Kind, str], list[list[str]]] = {}
    for kind, attribute, values in _differing(products):
        key = (kind, attribute if kind is Kind.OTHER else "")
        columns = found.setdefault(key, [[] for _ in products])
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
            found.items(), key=lambda one: (kinds.index(one[0][0]), one[0][1])
        )
    )


def advice(found: Sequence[Difference]) -> str:
    """Say in English what tells products apart, as one sentence without its full stop."""
    if not found:
        return NOTHING
    return "; ".join(
        f"{', '.join(value or '?' for value in one.values)}: "
        + ADVICE[Kind(one.kind)].format(attribute=one.attribute)
        for one in found
    )


def look_alikes_as_json(group: LookAlikes) -> dict[str, Any]:
    """Lay out the look-alikes of a candidate as JSON."""
    codes = [member.product.code for member in group.members]
    return {
        "members": [
            {
                "code": member.product.code,
                "brand": member.product.brand,
                "name": member.product.name,
                "colour": member.product.colour,
                "size": member.product.size,
                "confidence": round(member.confidence, 4),
            }
            for member in group.members
        ],
        "differences": differences_as_json(codes, group.differences),
        "advice": advice(group.differences),
    }


def differences_as_json(codes: Sequence[str], found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Lay out differences as JSON, values by code."""
    return [
        {
            "kind": one.kind,
            "attribute": one.attribute,
            "values": dict(zip(codes, one.values, strict=True)),
        }
        for one in found
    ]


def kind_of_attribute(name: str) -> Kind:
    """Say what an attribute is about, by the words of its name."""
    words = set(_split(name.lower().replace("_", " ")))
    return next((kind for kind, known in KINDS.items() if words & known.names), Kind.OTHER)


def kind_of_word(word: str) -> Kind:
    """Say what a word of a product's name is about: "Mini", "17cm", "gold"."""
    lower = word.lower()
    if _QUANTITY.fullmatch(lower):
        return Kind.SIZE
    return next((kind for kind, known in KINDS.items() if lower in known.values), Kind.OTHER)


def _differing(products: Sequence[Product]) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield kind, attribute and values wherever two products have different ones."""
    yield from _differing_names([product.name or "" for product in products])
    for attribute in _attributes(products):
        values = [_value(product, attribute) for product in products]
        known = {value.lower() for value in values if value}
        if len(known) > 1 and all(len(v) <= _LONGEST and "://" not in v for v in known):
            yield kind_of_attribute(attribute), attribute, values


def _differing_names(names: Sequence[str]) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield the words in which names differ, by kind; "gold hardware" is one of hardware."""
    split = [_split(name) for name in names]
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
    return ["colour", "size", *sorted(further - {"colour", "size"})]


def _value(product: Product, attribute: str) -> str | None:
    known = getattr(product, attribute) if attribute in ("colour", "size") else None
    value = known or product.attributes.get(attribute)
    return " ".join(value.split()) if value and value.strip() else None


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;:/()\[\]·|-]+", text) if word]
