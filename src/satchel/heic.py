"""Coded size of a HEIC: the pixels that decoding costs, which its header may understate.

The decoder works on HEVC pictures at their coded size. Phones code a photo as a grid of tiles, each
an item of its own. Thumbnail and gain map are further items, which are not decoded.

Boxes: ISO/IEC 14496-12. Items: ISO/IEC 23008-12. Decoder configuration: ISO/IEC 14496-15, 8.3.
Sequence parameter set (SPS): ITU-T H.265, 7.3.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from satchel.errors import CorruptPhoto
from satchel.isobmff import MAX_PARTS, Bits, boxes, item_starts, number

MAX_UNITS: Final = 64
"""Limit on units of a configuration, or at the start of an item, that are read; four are usual."""

_SPS: Final = 33
_PROFILE_BITS, _LEVEL_BITS = 88, 8


def coded_pixels(data: bytes) -> int:
    """Sum width × height over the HEVC pictures that the file's photo consists of.

    Raises:
        CorruptPhoto: no picture is found.
    """
    try:
        metas = [
            (start + 4, end) for kind, start, end in boxes(data, 0, len(data)) if kind == b"meta"
        ]
        pixels = sum(_coded_pixels(data, *meta) for meta in metas)
    except IndexError:  # a box or a unit is cut off
        pixels = 0
    if not pixels:
        raise CorruptPhoto("the photo is damaged: no coded picture is found in it; send it again")
    return pixels


def _coded_pixels(data: bytes, at: int, end: int) -> int:
    configured, shown = _configured(data, at, end), _shown(data, at, end)
    return sum(
        max(configured[item], _largest(data, _units(data, start, len(data), 4)))
        for item, start in item_starts(data, at, end)
        if item in configured and item in shown
    )


def _shown(data: bytes, at: int, end: int) -> set[int]:
    """The items that the file's photo is made of: the primary item, and what it is derived from."""
    primary, parts = 0, dict[int, list[int]]()
    for kind, start, until in boxes(data, at, end):
        size = 4 if number(data, start, 1) else 2
        if kind == b"pitm":
            primary = number(data, start + 4, size)
        elif kind == b"iref":
            for reference, first, _ in boxes(data, start + 4, until):
                if reference == b"dimg":
                    ids = _references(data, first, size)
                    parts.setdefault(next(ids), []).extend(ids)
    shown, waiting = set[int](), [primary]
    while waiting and len(shown) < MAX_PARTS:
        item = waiting.pop()
        if item not in shown:
            shown.add(item)
            waiting += parts.get(item, ())
    return shown


def _references(data: bytes, at: int, size: int) -> Iterator[int]:
    """Yield the item that refers to others, and then those."""
    yield number(data, at, size)
    count = number(data, at + size, 2)
    for place in range(min(count, MAX_PARTS)):
        yield number(data, at + size + 2 + place * size, size)


def _configured(data: bytes, at: int, end: int) -> dict[int, int]:
    """Pixels that the decoder configuration of each item says, of the items that have one."""
    found: dict[bytes, tuple[int, int]] = {}
    for kind, start, until in boxes(data, at, end):
        if kind == b"iprp":
            found = {kind: (start, until) for kind, start, until in boxes(data, start, until)}
    if not {b"ipco", b"ipma"} <= found.keys():
        return {}
    sizes = {
        place: _configured_pixels(data, start, until)
        for place, (kind, start, until) in enumerate(boxes(data, *found[b"ipco"]), start=1)
        if kind == b"hvcC"
    }
    configured: dict[int, int] = {}
    for item, place in _associations(data, found[b"ipma"][0]):
        if place in sizes:
            configured[item] = max(configured.get(item, 0), sizes[place])
    return configured


def _associations(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield items with the places of their properties, of an `ipma` box."""
    version, wide = number(data, at, 1), number(data, at + 3, 1) & 1
    id_size, place_size = 4 if version else 2, 2 if wide else 1
    count, at = number(data, at + 4, 4), at + 8
    for _ in range(min(count, MAX_PARTS)):
        item, places, at = (
            number(data, at, id_size),
            number(data, at + id_size, 1),
            at + id_size + 1,
        )
        for _ in range(places):
            yield item, number(data, at, place_size) & (1 << 8 * place_size - 1) - 1
            at += place_size


def _configured_pixels(data: bytes, at: int, end: int) -> int:
    """Pixels that a decoder configuration record says."""
    arrays, at = number(data, at + 22, 1), at + 23
    pixels = 0
    for _ in range(min(arrays, MAX_UNITS)):
        units = number(data, at + 1, 2)
        at += 3
        for start, until in islice(_units(data, at, end, 2), units):
            pixels = max(pixels, _largest(data, [(start, until)]))
            at = until
    return pixels


def _units(data: bytes, at: int, end: int, length_size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each unit, while they fit."""
    for _ in range(MAX_UNITS):
        if at + length_size > end:
            return
        start = at + length_size
        at = start + number(data, at, length_size)
        if not start < at <= end:
            return
        yield start, at


def _largest(data: bytes, units: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> int:
    """Width × height of the largest picture that the parameter sets among units speak of."""
    return max(
        (
            _picture(data[start + 2 : min(end, start + 1_000)])
            for start, end in units
            if data[start] >> 1 & 63 == _SPS
        ),
        default=0,
    )


def _picture(payload: bytes) -> int:
    """Width × height that a sequence parameter set says."""
    bits = Bits(payload.replace(b"\0\0\3", b"\0\0"))  # bytes that keep start codes out
    bits.read(4)
    layers = bits.read(3)
    bits.read(1 + _PROFILE_BITS + _LEVEL_BITS)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    bits.read(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.read(_PROFILE_BITS * profile + _LEVEL_BITS * level)
    bits.read_uvlc()
    if bits.read_uvlc() == 3:  # chroma 4:4:4
        bits.read(1)
    return bits.read_uvlc() * bits.read_uvlc()
