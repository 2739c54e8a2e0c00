"""Large XML files, read an element at a time, with the lines where elements begin.

Expat itself, since `xml.etree` knows no lines. A document type is refused: with it come entities
that expand to gigabytes or name other files, and files of data have no use for one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from satchel.errors import UsageError

CHUNK_BYTES: Final = 1 << 16
MAX_DEPTH: Final = 32
MAX_PARTS: Final = 200_000
"""Elements inside one that is read as a whole."""
MAX_TEXT_CHARS: Final = 1_000_000


@dataclass(slots=True)
class Element:
    """An element with its children; `line` is 1-based."""

    tag: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        """Return the children of this tag."""
        return [child for child in self.children if child.tag == tag]

    def value(self, tag: str) -> str | None:
        """Return the text of the first child of this tag, trimmed."""
        return next((child.text.strip() for child in self.all(tag)), None)


def root_tag(path: Path) -> str:
    """Return the tag of a document's root; empty where the file is no XML."""
    try:
        with path.open("rb") as file:
            stream = _Stream(frozenset(), 1)
            while not stream.root and (chunk := file.read(CHUNK_BYTES)):
                stream.parser.Parse(chunk)
            return stream.root
    except (OSError, expat.ExpatError, _Refused):
        return ""


def read_elements(path: Path, root: str, tags: frozenset[str], depth: int) -> Iterator[Element]:
    """Yield the elements of some tags at one depth, each as soon as it is whole.

    Args:
        root: the tag that the document's root must have.
        depth: 1 for the root.

    Raises:
        UsageError: the file cannot be read, is no XML, has another root or a document type, or an
            element is too large.
    """
    stream = _Stream(tags, depth)
    try:
        with path.open("rb") as file:
            ended = False
            while not ended:
                chunk = file.read(CHUNK_BYTES)
                ended = not chunk
                stream.parser.Parse(chunk, ended)
                if stream.root and stream.root != root:
                    raise _Refused(f"expected <{root}> as its root, got <{stream.root}>")
                while stream.found:
                    yield stream.found.popleft()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    except (expat.ExpatError, _Refused) as error:
        line = stream.parser.CurrentLineNumber
        raise UsageError(
            f"{path.name} cannot be read near line {line:,}: {error}; export it again"
        ) from None
    finally:
        stream.close()


class _Refused(Exception):
    """The document holds what none of ours needs."""


class _Stream:
    def __init__(self, tags: frozenset[str], depth: int) -> None:
        self.found: deque[Element] = deque()
        self.root = ""
        self._tags, self._wanted = tags, depth
        self._depth = self._parts = self._chars = 0
        self._open: list[Element] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def close(self) -> None:
        """Let go of the parser: it and this refer to each other, and are many in a folder."""
        del self.parser

    def _doctype(self, *_: object) -> None:
        raise _Refused("it declares a document type (<!DOCTYPE …>); delete that line")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.root = self.root or tag
        if self._depth > MAX_DEPTH:
            raise _Refused(f"expected elements at most {MAX_DEPTH} deep")
        if not self._open and (self._depth != self._wanted or tag not in self._tags):
            return
        element = Element(tag, self.parser.CurrentLineNumber, attributes)
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _Refused(f"expected at most {MAX_PARTS:,} elements in one <{self._open[0].tag}>")

    def _text(self, text: str) -> None:
        if not self._open:
            return
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise _Refused(f"expected at most {MAX_TEXT_CHARS:,} characters in one element")
        self._open[-1].text += text

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if self._open:
            element = self._open.pop()
            if not self._open:
                self.found.append(element)
                self._parts = self._chars = 0
