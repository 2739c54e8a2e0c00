"""Coded size of an AVIF: the pixels that decoding costs, which its header may understate.

libavif decodes AV1 pictures at their coded size and scales them to the size that the container
states. So a file of 3 kB that states 600 × 400 can hold 16,000 × 14,000.

Boxes: ISO/IEC 14496-12. Items: AV1 Image File Format 1.1. Sequence header: AV1 Bitstream and
Decoding Process Specification, section 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from satchel.errors import CorruptPhoto

MAX_PARTS: Final = 4_096
"""Limit on boxes of one level, items and chunks that are read. A photo has some dozens."""

MAX_OBUS: Final = 16
"""Limit on units read before an item's sequence header, which is the first or second."""

_CONTAINERS: Final = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl"))
_SEQUENCE_HEADER: Final = 1
_BEFORE_IT: Final = frozenset((2, 5, 15))  # temporal delimiter, metadata, padding


def coded_pixels(data: bytes) -> int:
    """Sum width × height over the pictures that an AVIF's items and tracks hold, alpha included.

    Raises:
        CorruptPhoto: no picture is found.
    """
    try:
        sizes = [_coded_size(data, at) for at in set(_starts(data, 0, len(data)))]
    except (IndexError, OverflowError):  # a box or a unit is cut off
        sizes = []
    pixels = sum(width * height for width, height in filter(None, sizes))
    if not pixels:
        raise CorruptPhoto("the photo is damaged: no coded picture is found in it; send it again")
    return pixels


# -- where pictures begin -------------------------------------------------------------------------


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the contents of each box."""
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        size, kind, start = _number(data, at, 4), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = _number(data, start, 8), start + 8
        until = end if size == 0 else min(end, at + size)
        if until < start:
            return
        yield kind, start, until
        at = until


def _starts(data: bytes, at: int, end: int) -> Iterator[int]:
    """Yield where the data of each item begin, and of each chunk of a track."""
    for kind, start, until in _boxes(data, at, end):
        if kind == b"meta":
            yield from _items(data, start + 4, until)
        elif kind in _CONTAINERS:
            yield from _starts(data, start, until)
        elif kind in (b"stco", b"co64"):
            width = 4 if kind == b"stco" else 8
            for number in range(min(_number(data, start + 4, 4), MAX_PARTS)):
                yield _number(data, start + 8 + number * width, width)


def _items(data: bytes, at: int, end: int) -> Iterator[int]:
    boxes = {kind: start for kind, start, _ in _boxes(data, at, end)}
    if b"iloc" in boxes:
        yield from _item_starts(data, boxes[b"iloc"], boxes.get(b"idat", 0))


def _item_starts(data: bytes, at: int, idat: int) -> Iterator[int]:
    """Yield where each item of an `iloc` box begins; `idat` is where that box's contents begin."""
    version = data[at]
    offset_size, length_size = data[at + 4] >> 4, data[at + 4] & 15
    base_size, index_size = data[at + 5] >> 4, data[at + 5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    count, at = _number(data, at + 6, id_size), at + 6 + id_size
    for _ in range(min(count, MAX_PARTS)):
        at += id_size
        within_idat = bool(version) and data[at + 1] & 15 == 1
        at += 4 if version else 2  # construction method; index of the data reference
        base, at = _number(data, at, base_size), at + base_size
        extents, at = _number(data, at, 2), at + 2
        if extents:
            offset = base + _number(data, at + index_size, offset_size)
            yield idat + offset if within_idat else offset
        at += extents * (index_size + offset_size + length_size)


def _number(data: bytes, at: int, size: int) -> int:
    """Read a big-endian number.

    Raises:
        IndexError: the data end before it does.
    """
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size])


# -- how large they are ---------------------------------------------------------------------------


def _coded_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Width and height of the AV1 picture whose units begin at `at`; None where there is none."""
    for _ in range(MAX_OBUS):
        if at >= len(data):
            return None
        head = data[at]
        kind, extended, sized = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        at += 1 + extended
        size = len(data) - at
        if sized:
            size, at = _leb128(data, at)
        if kind == _SEQUENCE_HEADER:
            return _largest_frame(_Bits(data[at : at + min(size, 1_000)]))
        if kind not in _BEFORE_IT:
            return None
        at += size
    return None


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; return it and where it ends."""
    value = 0
    for place in range(8):
        value |= (data[at + place] & 127) << 7 * place
        if not data[at + place] & 128:
            return value, at + place + 1
    raise OverflowError


class _Bits:
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


def _largest_frame(bits: _Bits) -> tuple[int, int]:
    """Read `max_frame_width` and `max_frame_height` of a sequence header."""
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header of a still picture
        bits.read(5)
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _pass_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing info
        bits.read(64)
        if bits.read(1):  # equal intervals
            bits.read_uvlc()
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    display_delays = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:  # level; from there on there is a tier
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delays and bits.read(1):
            bits.read(4)
