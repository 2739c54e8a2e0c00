"""Large JSON files, read an item at a time: the arrays of annotation files outgrow memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from satchel.errors import UsageError

CHUNK_CHARS: Final = 1 << 16
MAX_ITEM_CHARS: Final = 32_000_000
"""One photo with all that was drawn on it."""

_SPACE: Final = " \t\n\r"


class Item(NamedTuple):
    """An item of an array.

    Attributes:
        key: of the array in the object that is the file; empty where the file is an array.
        line: 1-based, where the item begins.
    """

    key: str
    line: int
    value: Any


def read_items(path: Path) -> Iterator[Item]:
    """Yield the items of the arrays that a JSON file holds at its top, one at a time.

    The file is an array, or an object; of an object, values that are no arrays are passed over.

    Raises:
        UsageError: it cannot be read, is no JSON in UTF-8, or an item is too large.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Reader(path.name, file).items()
    except UnicodeDecodeError:
        raise UsageError(
            f"expected {path.name} in UTF-8, got other bytes; export it again"
        ) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None


class _Reader:
    """A window on the text: `_text[_at:]` is not read yet."""

    def __init__(self, name: str, file: Any) -> None:
        self._name, self._file = name, file
        self._text, self._at, self._line = "", 0, 1
        self._ended = False
        self._decoder = json.JSONDecoder()

    def items(self) -> Iterator[Item]:
        match self._next():
            case "[":
                yield from self._array("")
            case "{":
                yield from self._object()
            case _:
                raise self._fault("expected an array or an object")
        if self._next(end=True):
            raise self._fault("expected the end of the file")

    def _object(self) -> Iterator[Item]:
        self._skip("{")
        while self._next() != "}":
            key = self._value()
            if not isinstance(key, str):
                raise self._fault("expected a key")
            self._skip(":")
            if self._next() == "[":
                yield from self._array(key)
            else:
                self._value()
            self._comma("}")
        self._skip("}")

    def _array(self, key: str) -> Iterator[Item]:
        self._skip("[")
        while self._next() != "]":
            line = self._line
            yield Item(key, line, self._value())
            self._comma("]")
        self._skip("]")

    def _comma(self, end: str) -> None:
        if self._next() != end:
            self._skip(",")
            if self._next() == end:
                raise self._fault("expected another value after the comma")

    def _skip(self, character: str) -> None:
        if self._next() != character:
            raise self._fault(f"expected {character!r}")
        self._at += 1

    def _next(self, *, end: bool = False) -> str:
        """Move to the next character that is no space, and return it; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read(CHUNK_CHARS):
                if end:
                    return ""
                raise self._fault("the file ends before its last value does")

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._fault("it is nested too deeply") from None
            except ValueError as error:
                if not self._read(max(CHUNK_CHARS, len(self._text))):
                    raise self._fault(str(error).partition(":")[0].lower()) from None
                continue
            # A number may go on in what is not read yet: 1, 1., 1.5e, 1.5e-.
            if self._text[end:].strip(".eE+-") or not self._read(CHUNK_CHARS):
                break
        self._line += self._text.count("\n", self._at, end)
        self._at = end
        return value

    def _read(self, count: int) -> bool:
        """Append up to `count` characters to the window, in place of what is read; False at end."""
        if self._ended:
            return False
        if len(self._text) - self._at > MAX_ITEM_CHARS:
            raise self._fault(f"one value has more than {MAX_ITEM_CHARS:,} characters")
        more = self._file.read(count)
        self._text, self._at = self._text[self._at :] + more, 0
        self._ended = not more
        return bool(more)

    def _fault(self, reason: str) -> UsageError:
        return UsageError(
            f"{self._name} is no valid JSON near line {self._line:,}: {reason}; export it again"
        )
