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
from satchel.isobmff import MAX_PARTS, Bits, boxes, item_starts, number

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


def _starts(data: bytes, at: int, end: int) -> Iterator[int]:
    """Yield where the data of each item begin, and of each chunk of a track."""
    for kind, start, until in boxes(data, at, end):
        if kind == b"meta":
            yield from (at for _, at in item_starts(data, start + 4, until))
        elif kind in _CONTAINERS:
            yield from _starts(data, start, until)
        elif kind in (b"stco", b"co64"):
            width = 4 if kind == b"stco" else 8
            for chunk in range(min(number(data, start + 4, 4), MAX_PARTS)):
                yield number(data, start + 8 + chunk * width, width)


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
            return _largest_frame(Bits(data[at : at + min(size, 1_000)]))
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


def _largest_frame(bits: Bits) -> tuple[int, int]:
    """Read `max_frame_width` and `max_frame_height` of a sequence header."""
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header of a still picture
        bits.read(5)
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _pass_operating_points(bits: Bits) -> None:
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
