"""Codes in texts: exact first, alike characters, one wrong letter, and nothing else."""

from __future__ import annotations

import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.reading.matching import MOST_COST, CodeMatcher, key_of
from satchel.reading.records import Match, ReadText
from satchel.records import Box

WHOLE = Box(0, 0, 1, 1)
CODES = (
    "M41414",
    "443497 DTDIT 1000",
    "A58600-Y01864",
    "SO801B",
    "114270",
    "AB12",
    "Z9",
    "1234567",
    "가방-77",
)


def line(text: str, score: float = 0.9, barcode: str | None = None) -> ReadText:
    return ReadText(text, WHOLE, score, barcode)


def found(*texts: str, codes: tuple[str, ...] = CODES, score: float = 0.9) -> dict[str, Match]:
    matcher = CodeMatcher(codes)
    return {one.code: one.match for one in matcher.match([line(text, score) for text in texts])}


@pytest.mark.parametrize(
    "text",
    [
        "M41414",
        "m41414",
        "STYLE: M41414 AR1927",
        "M-41414",
        "M 41 414",
        "Ｍ４１４１４",
        "Ref.M41414/2",
        "N°M41414",
    ],
)
def test_separators_case_and_width_do_not_count(text: str):
    assert found(text) == {"M41414": Match.EXACT}


def test_codes_of_several_words_may_be_on_two_lines():
    for texts in (("443497 DTDIT 1000",), ("443497 DTDIT", "1000"), ("443497·DTDIT·1000 x",)):
        assert found(*texts) == {"443497 DTDIT 1000": Match.EXACT}


@pytest.mark.parametrize(
    ("text", "code", "match"),
    [
        ("M4I4I4", "M41414", Match.SIMILAR),
        ("50801B", "SO801B", Match.SIMILAR),
        ("SO80IB", "SO801B", Match.SIMILAR),
        ("S08018", "SO801B", Match.SIMILAR),
        ("M41474", "M41414", Match.ONE_LETTER),
        ("N41414", "M41414", Match.ONE_LETTER),
        ("N4I414", "M41414", Match.ONE_LETTER),
        ("A58600 Y01664", "A58600-Y01864", Match.ONE_LETTER),
    ],
)
def test_alike_characters_and_one_wrong_letter(text: str, code: str, match: Match):
    assert found(text) == {code: match}


@pytest.mark.parametrize(
    "text",
    [
        "N41474",  # two wrong
        "M4141",  # one missing
        "M414144",
        "XM41414",  # part of a longer word
        "114271",  # digits alone: a neighbour, or a serial number
        "I14270",  # as alike as it is
        "1234568",
        "AB13",  # short
        "A812",
        "the price is Z9 today",  # short, among other words
        "",
        "·/-",
    ],
)
def test_what_many_codes_resemble_is_no_match(text: str):
    assert found(text) == {}


def test_short_and_numeric_codes_match_exactly():
    assert found("114270") == {"114270": Match.EXACT}
    assert found("Model 114270") == {"114270": Match.EXACT}
    assert found("AB-12 size M") == {"AB12": Match.EXACT}
    assert found("Z9") == {"Z9": Match.EXACT}
    assert found("가방 77") == {"가방-77": Match.EXACT}


def test_an_exact_match_stands_before_similar_ones():
    codes = ("M41414", "M4I4I4", "M41415")
    assert found("M41414", codes=codes) == {"M41414": Match.EXACT}
    assert found("M4141A", codes=codes) == {}  # one letter from two codes: neither is meant


def test_a_longer_code_takes_its_words():
    codes = ("443497 DTDIT 1000", "1000", "443497")
    assert found("443497 DTDIT 1000", codes=codes) == {"443497 DTDIT 1000": Match.EXACT}
    assert found("443497 DTDIX 1001", codes=codes) == {"443497": Match.EXACT}


def test_codes_that_differ_in_separators_are_all_given():
    assert set(found("M41414", codes=("M41414", "M-41414"))) == {"M41414", "M-41414"}


def test_a_text_that_is_certain_has_no_wrong_letter():
    assert found("M41474", score=0.99) == {}
    assert found("M4I4I4", score=0.99) == {"M41414": Match.SIMILAR}


def test_barcodes_match_exactly_or_not():
    matcher = CodeMatcher(CODES)
    assert [m.code for m in matcher.match([line("M41414", 1, "Code128")])] == ["M41414"]
    assert matcher.match([line("M4I414", 1, "Code128")]) == ()
    # Its content does not continue in the next one.
    assert matcher.match([line("A58600", 1, "Code128"), line("Y01864", 1, "Code128")]) == ()


def test_the_text_of_a_match_is_named():
    texts = [line("PARIS"), ReadText("m4i414 x", Box(0.1, 0.2, 0.3, 0.4), 0.7)]
    [one] = CodeMatcher(CODES).match(texts)
    assert (one.read, one.source, one.cost) == ("m4i414", texts[1], 0.25)


ALIKE = {"0O", "1I", "1L", "IL", "5S", "8B"}
LETTERS = "015OISB8LAM7"
NAMES = st.text(LETTERS, min_size=4, max_size=8)


def naive(read: str, codes: list[str]) -> set[str]:
    """The same rules, for one word, by comparing it with every code."""
    if read in codes:
        return {read}
    costs = {}
    for code in codes:
        if len(code) != len(read) or len(code) < 6 or code.isdigit() or code.isalpha():
            continue
        pairs = [(a, b) for a, b in zip(read, code, strict=True) if a != b]
        alike = sum("".join(sorted(p)) in {"".join(sorted(a)) for a in ALIKE} for p in pairs)
        costs[code] = len(pairs) - alike + alike / 4
    if read.isalpha():
        return set()
    similar = {
        code for code, cost in costs.items() if cost == int(cost * 4) / 4 and cost <= MOST_COST
    }
    same_shape = {code for code in similar if all_alike(read, code)}
    if same_shape:
        return same_shape
    return similar if len(similar) == 1 else set()


def all_alike(a: str, b: str) -> bool:
    return all(
        x == y or "".join(sorted((x, y))) in {"".join(sorted(p)) for p in ALIKE}
        for x, y in zip(a, b, strict=True)
    )


@given(NAMES, st.lists(NAMES, max_size=12, unique=True))
def test_matches_are_those_of_comparing_with_every_code(read: str, codes: list[str]):
    assert {one.code for one in CodeMatcher(codes).match([line(read)])} == naive(read, codes)


@given(st.lists(st.text(max_size=60), max_size=8))
def test_any_text_is_taken(texts: list[str]):
    for one in CodeMatcher(CODES).match([line(text) for text in texts]):
        assert one.cost <= MOST_COST


def test_a_hundred_thousand_codes_are_searched_at_once():
    codes = (f"{a}{b}{n:05d}" for a, b in itertools.product("ABCD", "WXYZ") for n in range(6250))
    matcher = CodeMatcher(codes)
    page = [line(f"{string.ascii_uppercase[n % 26]}{n * 7919:07d} text", 0.5) for n in range(200)]
    assert matcher.match([line("AW 00017")])[0].code == "AW00017"
    matcher.match(page)
    assert key_of("AW-00017") == "AW00017"
