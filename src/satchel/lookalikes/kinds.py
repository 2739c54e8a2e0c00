"""Kinds of attributes, by the words of their names: a size, hardware, a material, a colour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Kind of an attribute, which decides what to inspect."""

    SIZE = "size"
    HARDWARE = "hardware"
    MATERIAL = "material"
    COLOUR = "colour"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Words:
    """Words that identify a kind, lower case.

    Attributes:
        names: of attributes; a name that holds one of them is of this kind.
        values: words in products' names.
    """

    names: frozenset[str]
    values: frozenset[str]


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text that are separated by spaces."""
    return frozenset(words.split())


def _words(names: str, values: str = "") -> _Words:
    return _Words(word_set(names), word_set(values))


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
        "material materials leather fabric textile lining skin composition "  # allow-word
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

_QUANTITY: Final = re.compile(r"\d+([.,]\d+)?(mm|cm|m|in|inch|inches|호|인치|\")?")


def kind_of_attribute(name: str) -> Kind:
    """Classify an attribute by the words of its name."""
    words = words_of(name)
    return next((kind for kind, known in KINDS.items() if words & known.names), Kind.OTHER)


def kind_of_word(word: str) -> Kind:
    """Classify a word of a product's name: "Mini", "17cm", "gold"."""
    lower = word.lower()
    if _QUANTITY.fullmatch(lower):
        return Kind.SIZE
    return next((kind for kind, known in KINDS.items() if lower in known.values), Kind.OTHER)


def words_of(name: str) -> set[str]:
    """Split an attribute's name into lower-case words: `salePrice` and `sale_price` have two."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")
    return set(split_words(re.sub(r"[.#]", " ", apart).lower()))


def split_words(text: str) -> list[str]:
    """Split a text at spaces and punctuation."""
    return [word for word in re.split(r"[\s,;:/()\[\]·|-]+", text) if word]
