"""Text → codes of the catalogue: exact first, then with characters that are taken for each other.

Codes are compared by their letters and digits alone, in upper case: their *key*. A text is cut into
words, and every run of neighbouring words may be a code. Only a code that few others resemble may
differ from what was read: long enough, of letters and digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.reading.records import Match, ReadCode, ReadText

TAKEN_FOR_EACH_OTHER: Final = ("0O", "1IL", "5S", "8B")
CHEAP: Final = 0.25
MOST_COST: Final = 1.25
"""One wrong character, and one more that is easily taken for another."""

MIN_ALONE: Final = 4
"""Characters of a code that may stand among other words; a shorter one must be a whole line."""

MIN_DISTINCT: Final = 6
"""Characters of a code that may differ from what was read."""

SURE: Final = 0.985
"""Score of a text from which on no character is wrong, other than those of one shape."""

MOST_WORDS: Final = 6
MOST_KEY: Final = 40
MOST_TEXTS: Final = 200

_FIRST: Final = str.maketrans({c: group[0] for group in TAKEN_FOR_EACH_OTHER for c in group})
_ALPHABET: Final = sorted({c.translate(_FIRST) for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
_WORD: Final = re.compile(r"[^\W_]+")


def key_of(text: str) -> str:
    """Return the letters and digits of a text, in upper case."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", text).upper()))


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring words: their places as (line, word), what they say, and where."""

    places: frozenset[tuple[int, int]]
    key: str
    read: str
    source: ReadText
    whole: bool


class CodeMatcher:
    """Finds the codes of one catalogue in texts."""

    def __init__(self, codes: Iterable[str]) -> None:
        """Index the codes; a hundred thousand take a quarter of a second."""
        self._by_key: dict[str, list[str]] = defaultdict(list)
        for code in codes:
            if key := key_of(code):
                self._by_key[key].append(code)
        self._by_shape: dict[str, list[str]] = defaultdict(list)
        for key in self._by_key:
            if _distinct(key):
                self._by_shape[key.translate(_FIRST)].append(key)
        self._lengths = {len(key) for key in self._by_shape}

    def match(self, texts: Sequence[ReadText]) -> tuple[ReadCode, ...]:
        """Return the codes that texts of one photo may name, the cheapest first, each once.

        A word that is part of an exact match is part of no other.
        """
        found: dict[str, ReadCode] = {}
        used: set[tuple[int, int]] = set()
        runs = sorted(_runs(texts[:MOST_TEXTS]), key=lambda run: -len(run.key))
        for run in runs:
            if run.key in self._by_key and not run.places & used and _may_be_exact(run):
                used |= run.places
                self._add(found, run, run.key, Match.EXACT, 0.0)
        for run in runs:
            if run.source.barcode is None and not run.places & used:
                for key, cost in self._nearest(run):
                    match = Match.SIMILAR if cost < 1 else Match.ONE_LETTER
                    self._add(found, run, key, match, cost)
        return tuple(sorted(found.values(), key=lambda one: (one.cost, -one.source.score)))

    def _add(
        self, found: dict[str, ReadCode], run: _Run, key: str, match: Match, cost: float
    ) -> None:
        for code in self._by_key[key]:
            if code not in found or cost < found[code].cost:
                found[code] = ReadCode(code, run.read, match, cost, run.source)

    def _nearest(self, run: _Run) -> list[tuple[str, float]]:
        """Return keys that are not quite what was read; of those with a wrong letter only one."""
        if len(run.key) not in self._lengths or not any(c.isdigit() for c in run.key):
            return []
        shape = run.key.translate(_FIRST)
        same = [(key, _cost(run.key, key)) for key in self._by_shape.get(shape, ())]
        if close := [one for one in same if one[1] <= MOST_COST]:
            return close
        if run.source.score >= SURE:
            return []
        other = [
            (key, cost)
            for at in range(len(shape))
            for c in _ALPHABET
            if c != shape[at]
            for key in self._by_shape.get(shape[:at] + c + shape[at + 1 :], ())
            if (cost := _cost(run.key, key)) <= MOST_COST
        ]
        return other if len(other) == 1 else []  # of several, none is the one that was meant


def _distinct(key: str) -> bool:
    """Whether a code is so long and varied that one wrong character leaves it recognisable."""
    letters = sum(c.isalpha() for c in key)
    return len(key) >= MIN_DISTINCT and 0 < letters < len(key)


def _may_be_exact(run: _Run) -> bool:
    return len(run.key) >= MIN_ALONE or run.whole


def _cost(read: str, key: str) -> float:
    """What it costs to take one text for another of the same length."""
    differing = [(a, b) for a, b in zip(read, key, strict=True) if a != b]
    cheap = sum(a.translate(_FIRST) == b.translate(_FIRST) for a, b in differing)
    return len(differing) - cheap + CHEAP * cheap


def _runs(texts: Sequence[ReadText]) -> Iterator[_Run]:
    """Yield every run of neighbouring words, of one text or of two that follow each other."""
    lines = [_WORD.findall(unicodedata.normalize("NFKC", text.text)) for text in texts]
    for at, words in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) and not texts[at].barcode else []
        both = [(at, n, word) for n, word in enumerate(words)]
        both += [(at + 1, n, word) for n, word in enumerate(following)]
        for start in range(len(words)):
            for end in range(start + 1, min(len(both), start + MOST_WORDS) + 1):
                run = both[start:end]
                key = key_of("".join(word for *_, word in run))
                if not key or len(key) > MOST_KEY:
                    break
                places = frozenset((line, n) for line, n, _ in run)
                whole = start == 0 and end == len(words)
                yield _Run(places, key, " ".join(word for *_, word in run), texts[at], whole)
