"""Text encoding detection for catalogue files; a file of uncertain encoding is refused.

Spreadsheets write four encodings: UTF-8, UTF-16 with a byte order mark (Excel's "Unicode text"),
CP949 (Korean Excel) and CP1252 (Western Excel). The policy, in this order:

1. A byte order mark names the encoding.
2. Bytes that are valid UTF-8 are UTF-8. The one exception is text such as CP949's "카키" (khaki),
   whose bytes also spell "īŰ" in UTF-8: if every sign points to CP949, the file is refused.
3. Otherwise each word with a byte above 0x7F is read in CP949 and in CP1252, and tested for what
   the encoding's languages write. CP949: common Hangul syllables (the 2,350 of KS X 1001) and
   symbols; not hanja, not a rare syllable among Latin letters only ("Tod뭩"), not one syllable
   between two Latin letters ("Herm챔s"). CP1252: Latin letters of which a few have accents, with
   typographic quotes and dashes where they belong. A word that passes in one encoding only is
   evidence for it.
4. An encoding is chosen if every byte is defined in it, and if there are `DOMINANCE` words for it
   to each one for the other, and `CLARITY` to each one that makes sense in neither. Files in other
   encodings (GBK, Shift JIS, Mac Roman) usually fail here.
5. What remains undecided is refused: the message shows a word in both readings, and asks for
   CSV UTF-8 or for the encoding's name.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import Final

from satchel.errors import UsageError

ENCODINGS: Final = ("utf-8", "utf-16", "cp949", "cp1252")
"""What `--encoding` accepts."""
LEGACY: Final = ("cp949", "cp1252")
DOMINANCE: Final = 50
CLARITY: Final = 4
CHUNK_BYTES: Final = 1 << 20
LONGEST_WORD: Final = 1_000


@dataclass(frozen=True, slots=True)
class TextFile:
    """How to read a text file.

    Attributes:
        encoding: a codec's name.
        lines: how many there are.
        inferred: whether the encoding was inferred from the words of the text.
    """

    encoding: str
    lines: int
    inferred: bool = False


def inspect_text(path: Path, encoding: str | None = None) -> TextFile:
    """Detect a text file's encoding and count its lines, in one pass and bounded memory.

    Args:
        path: the file.
        encoding: one of `ENCODINGS`, where the caller knows it.

    Raises:
        UsageError: the text is not in `encoding`, or its encoding is uncertain.
    """
    if encoding is not None and encoding not in ENCODINGS:
        raise UsageError(f"expected one of {', '.join(ENCODINGS)} as encoding, got {encoding!r}")
    named = encoding or _byte_order_mark(path)
    if named is None:
        return _Survey(path).result()
    codec = "utf-8-sig" if named == "utf-8" else named
    return TextFile(codec, _count_lines(path, codec))


def _byte_order_mark(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(3)
    if b"\0" in head[:2]:
        raise UsageError(
            f"expected text in UTF-8, {path.name} begins as UTF-16 without a byte order mark; save "
            "it again as 'CSV UTF-8', or say --encoding utf-16"
        )
    if head == codecs.BOM_UTF8:
        return "utf-8"
    return "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else None


def _count_lines(path: Path, codec: str) -> int:
    decoder = codecs.getincrementaldecoder(codec)()
    lines, last = 0, "\n"
    for chunk in _chunks(path):
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n") + 1
            name = codec.removesuffix("-sig").upper()
            raise UsageError(
                f"expected {path.name} in {name}, got other bytes in line {line:,}; "
                "save the file again as 'CSV UTF-8', or correct --encoding"
            ) from None
        lines += text.count("\n")
        last = text[-1:] or last
    return lines + (last != "\n")


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and b"" at its end."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    yield b""


# -- one word -------------------------------------------------------------------------------------


class Sign(Enum):
    """Evidence of one word for its file's encoding, if that is not UTF-8."""

    CP949 = auto()
    CP1252 = auto()
    EITHER = auto()
    NEITHER = auto()


WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]+")
"""In CP949 too, every byte outside of this class is a character by itself."""


def _ks_x_1001(rows: Iterable[int]) -> str:
    pairs = (bytes((row, column)) for row in rows for column in range(0xA1, 0xFF))
    return re.escape("".join(pair.decode("cp949", errors="ignore") for pair in pairs))


_COMMON: Final = f"[{_ks_x_1001(range(0xB0, 0xC9))}]"
_SYMBOL: Final = f"[{_ks_x_1001((0xA1, 0xA2, 0xA3, *range(0xA5, 0xAA)))}]"
_RARE: Final = f"(?!{_COMMON})[가-힣]"
_KOREAN: Final = re.compile(
    rf"(?:[A-Za-z]|{_COMMON}|{_SYMBOL}|(?<={_COMMON}){_RARE}|{_RARE}(?={_COMMON}))+|{_RARE}"
)
_GLUED: Final = re.compile(rf"[A-Za-z]{_COMMON}[A-Za-z]")

_ACCENTED: Final = "À-ÖØ-öø-ÿŒœŠšŽžŸ"
_LETTERS: Final = f"[A-Za-zµ{_ACCENTED}]+"
_WESTERN: Final = re.compile(
    rf"[“‘„‚«‹»›¡¿]?{_LETTERS}(?:[’‘´–—·…]+{_LETTERS})*[”’»›«‹…™®©ªº°²³–—]*"
    rf"|[€£¥§©®™°²³¹±µ¼½¾×÷–—•·…“”‘’«»¿¡{_ACCENTED}]"
    r"|[°º][CF]"
)
_NO_WORD: Final = re.compile(
    rf"[a-zß-öø-ÿœšž][À-ÖØ-ÞŒŠŽŸ]|[À-ÖØ-Þ][ß-öø-ÿ]|(?!ÇÃ|ÇÕ|ÄÄ)[À-ÖØ-Þ]{{2}}|[{_ACCENTED}]{{3}}"
)
"""Accents as Hangul or other encodings yield them, read in CP1252: "TodÕs", "Áö", "ÀÌ"."""


def sign_of(word: bytes) -> Sign:
    """Test a word for what CP949's languages write, and for what CP1252's do."""
    korean, western = _is_korean(word), _is_western(word)
    if korean and western:
        return Sign.EITHER
    return Sign.CP949 if korean else Sign.CP1252 if western else Sign.NEITHER


def _is_korean(word: bytes) -> bool:
    text = _decoded(word, "cp949") or ""
    return bool(_KOREAN.fullmatch(text)) and not _GLUED.search(text)


def _is_western(word: bytes) -> bool:
    return _is_western_text(_decoded(word, "cp1252") or "")


def _is_western_text(text: str) -> bool:
    if not _WESTERN.fullmatch(text) or _NO_WORD.search(text):
        return False
    return len(text) == 1 or bool(re.search("[A-Za-z]", text))


def _decoded(word: bytes, encoding: str) -> str | None:
    try:
        return word.decode(encoding)
    except UnicodeDecodeError:
        return None


# -- the whole file -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Word:
    """Evidence of one word; see `sign_of`.

    Attributes:
        undefined: encodings that have no characters for these bytes.
        utf8: False for bytes that are more likely CP949 although they are valid UTF-8, True where
            they make no sense in CP949, None where both is natural.
    """

    sign: Sign
    undefined: frozenset[str]
    utf8: bool | None


@lru_cache(maxsize=20_000)
def _examine(word: bytes) -> _Word:
    sign = sign_of(word)
    undefined = frozenset(name for name in LEGACY if _decoded(word, name) is None)
    if sign not in (Sign.CP949, Sign.EITHER):
        return _Word(sign, undefined, True)
    natural = _is_western_text(_decoded(word, "utf-8") or "")  # "é", not "īŰ"
    return _Word(sign, undefined, None if natural else False)


class _Survey:
    """Evidence on the encoding of a file without a byte order mark; see the policy above."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._not_utf8 = 0  # the first line that is not
        self._signs: Counter[Sign] = Counter()
        self._utf8_signs: Counter[bool | None] = Counter()
        self._undefined: set[str] = set()
        self._first: dict[Sign, tuple[int, bytes]] = {}
        self._lines = 0
        last, rest = b"\n", b""
        for chunk in _chunks(path):
            self._test_utf8(chunk)
            # A word may continue in the next chunk.
            text, rest = _cut_after_word(rest + chunk) if chunk else (rest, b"")
            self._count_words(text)
            self._lines += text.count(b"\n")
            last = text[-1:] or last
        self._lines += last != b"\n"

    def _test_utf8(self, chunk: bytes) -> None:
        if self._not_utf8:
            return
        try:
            self._utf8.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            self._not_utf8 = self._lines + error.object[: error.start].count(b"\n") + 1

    def _count_words(self, text: bytes) -> None:
        for match in WORD.finditer(text) if not text.isascii() else ():
            word = match[0]
            if word.isascii():
                continue
            word_signs = _examine(word)
            self._signs[word_signs.sign] += 1
            self._utf8_signs[word_signs.utf8] += 1
            self._undefined |= word_signs.undefined
            if word_signs.sign not in self._first:
                line = self._lines + text.count(b"\n", 0, match.start()) + 1
                self._first[word_signs.sign] = line, word

    def result(self) -> TextFile:
        """Choose the encoding.

        Raises:
            UsageError: it is not certain.
        """
        possible = [name for name in LEGACY if name not in self._undefined]
        if not self._not_utf8:
            if self._utf8_signs[True] or not self._utf8_signs[False]:
                return TextFile("utf-8-sig", self._lines)
            raise self._refusal(["utf-8", "cp949"])
        for encoding in possible:
            if self._is_dominant(encoding):
                return TextFile(encoding, self._lines, inferred=True)
        raise self._refusal(possible)

    def _is_dominant(self, encoding: str) -> bool:
        own, other = Sign.CP949, Sign.CP1252
        if encoding == "cp1252":
            own, other = other, own
        least = max(1, self._signs[other] * DOMINANCE, self._signs[Sign.NEITHER] * CLARITY)
        return self._signs[own] >= least

    def _refusal(self, possible: list[str]) -> UsageError:
        """Name the lines that speak against each encoding, and a word that shows why."""
        line, word = self._first_of(
            (Sign.EITHER, Sign.CP1252, Sign.CP949, Sign.NEITHER)
            if len(possible) > 1
            else (Sign.NEITHER, Sign.CP1252, Sign.CP949, Sign.EITHER)
        )
        name = self._path.name
        if not possible:
            return UsageError(
                "expected text in UTF-8, CP949 (Korean Excel) or CP1252 (Western Excel), found "
                f"none of them in {name}: line {self._not_utf8:,} is the first that is not UTF-8; "
                "correct it, or save the file again as 'CSV UTF-8'"
            )
        other = f"line {self._not_utf8:,} is not UTF-8, and " if self._not_utf8 else ""
        readings = " or ".join(
            f"{word.decode(encoding, errors='replace')[:20]!r} ({encoding.upper()})"
            for encoding in possible
        )
        options = " or ".join(f"--encoding {encoding}" for encoding in possible)
        return UsageError(
            f"the encoding of {name} is uncertain: {other}a word in line {line:,} "
            f"reads {readings}; save the file again as 'CSV UTF-8', or say {options}"
        )

    def _first_of(self, signs: Iterable[Sign]) -> tuple[int, bytes]:
        return next(self._first[sign] for sign in signs if sign in self._first)


def _cut_after_word(text: bytes) -> tuple[bytes, bytes]:
    """Split off the word at the end, unless it is longer than any word."""
    end = len(text)
    while end and len(text) - end < LONGEST_WORD and WORD.match(text, end - 1):
        end -= 1
    return (text[:end], text[end:]) if len(text) - end < LONGEST_WORD else (text, b"")
