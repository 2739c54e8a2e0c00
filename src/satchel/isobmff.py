"""Boxes of ISO media files (ISO/IEC 14496-12) that hold photos: AVIF and HEIC.

Read from untrusted bytes: every count is capped, and what is cut off raises IndexError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_PARTS: Final = 4_096
"""Limit on boxes of one level, items and chunks that are read. A photo has some dozens."""


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the contents of each box."""
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        size, kind, start = number(data, at, 4), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = number(data, start, 8), start + 8
        until = end if size == 0 else min(end, at + size)
        if until < start:
            return
        yield kind, start, until
        at = until


def item_starts(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield each item's number, and where its data begin, of the contents of a `meta` box."""
    found = {kind: start for kind, start, _ in boxes(data, at, end)}
    if b"iloc" in found:
        yield from _starts_of(data, found[b"iloc"], found.get(b"idat", 0))


def _starts_of(data: bytes, at: int, idat: int) -> Iterator[tuple[int, int]]:
    """Read an `iloc` box; `idat` is where that box's contents begin."""
    version = data[at]
    offset_size, length_size = data[at + 4] >> 4, data[at + 4] & 15
    base_size, index_size = data[at + 5] >> 4, data[at + 5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    count, at = number(data, at + 6, id_size), at + 6 + id_size
    for _ in range(min(count, MAX_PARTS)):
        item, at = number(data, at, id_size), at + id_size
        within_idat = bool(version) and data[at + 1] & 15 == 1
        at += 4 if version else 2  # construction method; index of the data reference
        base, at = number(data, at, base_size), at + base_size
        extents, at = number(data, at, 2), at + 2
        if extents:
            offset = base + number(data, at + index_size, offset_size)
            yield item, idat + offset if within_idat else offset
        at += extents * (index_size + offset_size + length_size)


def number(data: bytes, at: int, size: int) -> int:
    """Read a big-endian number.

    Raises:
        IndexError: the data end before it does.
    """
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size])


class Bits:
    """Reads numbers from bits, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & (1 << count) - 1

    def read_uvlc(self) -> int:
        """The next number of variable length."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return self.read(zeros) + (1 << zeros) - 1
