"""Names of colours in English and Korean, so that a search by one finds what bears another."""

from __future__ import annotations

from typing import Final

from satchel.text import folded

COLOURS: Final = tuple(
    frozenset(words.split())
    for words in (
        "black 블랙 검정 검정색 검은 검은색",
        "white 화이트 흰색 하얀 하얀색",
        "grey gray 그레이 회색",
        "red 레드 빨강 빨간 빨간색",
        "burgundy 버건디 와인색",
        "pink 핑크 분홍 분홍색",
        "orange 오렌지 주황 주황색",
        "yellow 옐로우 옐로 노랑 노란 노란색",
        "green 그린 초록 초록색 녹색",
        "blue 블루 파랑 파란 파란색",
        "navy 네이비 남색",
        "purple 퍼플 보라 보라색",
        "brown 브라운 갈색",
        "camel 카멜",
        "beige 베이지",
        "ivory 아이보리",
        "cream 크림",
        "khaki 카키 카키색",
        "gold 골드 금색",
        "silver 실버 은색",
    )
)
"""Words that name one colour."""


def names_of_colour(word: str) -> frozenset[str]:
    """Return all names of the colour that a word names, itself included; none where it names none.

    >>> sorted(names_of_colour("Navy"))
    ['navy', '남색', '네이비']
    """
    sought = folded(word)
    return next((names for names in COLOURS if sought in names), frozenset())
