"""JPEG file structure: frame header, scan count, and removal of metadata.

Markers are found as libjpeg finds them (ITU-T T.81, annex B), so that the structure checked here
is the one that is decoded later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from satchel.errors import CorruptPhoto, UnsupportedJpeg

# A single 0xFF before the code: with a run of them, searching would take quadratic time.
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_IN_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # restart markers belong to a scan

_SOI, _EOI, _SOS, _COM, _APP0, _APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEF
_FIRST_KNOWN: Final = 0xC0  # SOF0; libjpeg may pass over what is below
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0 to RST7

_HUFFMAN: Final = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
"""Frames that are accepted: what cameras, phones and web pages write."""

_OTHERS: Final = {
    0xC3: "a lossless JPEG",
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical lossless JPEG",
    0xC9: "a JPEG with arithmetic coding",
    0xCA: "a progressive JPEG with arithmetic coding",
    0xCB: "a lossless JPEG with arithmetic coding",
    0xCD: "a hierarchical JPEG with arithmetic coding",
    0xCE: "a hierarchical JPEG with arithmetic coding",
    0xCF: "a hierarchical lossless JPEG with arithmetic coding",
    0xDE: "a hierarchical JPEG",
    0xF7: "a JPEG-LS picture",
}
_SAVE_AGAIN: Final = "save it again as a plain JPEG or as PNG"

MAX_SEGMENTS: Final = 5_000
"""An ICC profile and extended XMP take some hundreds, a hundred scans with tables three hundred."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame header and first scan header of a JPEG.

    Attributes:
        width, height: in pixels, as stored (before EXIF rotation), > 0.
        components: colour channels, 1 to 4.
        samples: stored values per pixel, of all channels together: 3 for 4:4:4, 1.5 for 4:2:0.
        buffered: the decoder buffers the coefficients of the whole picture, two bytes a sample:
            the frame is progressive or has a scan for each channel.
    """

    width: int
    height: int
    components: int
    samples: float
    buffered: bool


def read_frame(data: bytes) -> Frame:
    """Read the headers of a JPEG up to its first scan.

    Only Huffman-coded baseline, extended and progressive frames of 8 bits are accepted: a scaled
    decode of a lossless one overruns the heap in libjpeg-turbo 3.1.2, and the other kinds are
    not written by cameras or phones.

    Raises:
        UnsupportedJpeg: the frame is of another kind.
        CorruptPhoto: the headers are damaged or cut off.
    """
    frame: tuple[int, bytes] | None = None
    for segment in _segments(data):
        marker, payload = segment.marker, data[segment.start + 4 : segment.end]
        if marker in _OTHERS:
            raise UnsupportedJpeg(
                "expected a baseline, extended or progressive JPEG, "
                f"got {_OTHERS[marker]}; {_SAVE_AGAIN}"
            )
        if marker in _HUFFMAN:
            if frame is not None:
                raise CorruptPhoto("a JPEG with two frame headers is damaged; send it again")
            frame = (marker, payload)
        elif marker == _SOS and frame is not None:
            return _frame(*frame, scan=payload)
        elif marker in (_SOS, _EOI):
            break
    raise CorruptPhoto("the photo's header is damaged or cut off; send it again")


def _frame(marker: int, payload: bytes, scan: bytes) -> Frame:
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5] or not scan:
        raise CorruptPhoto("the photo's frame header is damaged; send it again")
    bits, components = payload[0], payload[5]
    height, width = int.from_bytes(payload[1:3]), int.from_bytes(payload[3:5])
    if bits != 8:
        raise UnsupportedJpeg(f"expected a JPEG of 8 bits, got one of {bits}; {_SAVE_AGAIN}")
    sampling = [(byte >> 4, byte & 15) for byte in payload[7::3]]
    if not (
        width
        and height
        and 1 <= components <= 4
        and all(1 <= side <= 4 for factors in sampling for side in factors)
    ):
        raise CorruptPhoto("the photo's frame header is damaged; send it again")
    widest, highest = (max(sides) for sides in zip(*sampling, strict=True))
    samples = sum(across * down for across, down in sampling) / (widest * highest)
    buffered = marker == 0xC2 or scan[0] < components  # as libjpeg decides it
    return Frame(width, height, components, samples, buffered)


def count_scans(data: bytes) -> int:
    """Count the scans that a decoder may find in the first picture of a JPEG, or a few more.

    What follows the picture does not count: phones append whole films. Where a damaged scan holds
    a marker that libjpeg may pass over, the picture's end is not certain: all of the file counts.
    """
    end = len(data)
    try:
        for segment in _segments(data):
            if segment.marker < _FIRST_KNOWN:
                break
            if segment.marker == _EOI:
                end = segment.end
    except CorruptPhoto:
        pass  # the end is not certain either
    return data.count(b"\xff\xda", 0, end)


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG with the same coded picture and without metadata.

    Kept: frames, tables, scans, the JFIF and Adobe headers and the ICC profile, which the
    pixels' colours depend on. Dropped: every other application segment, comments, bytes between
    segments, and what follows the end of the first picture.

    A damaged scan can contain bytes that resemble a marker. Then the result shows another
    picture: compare the pixels of both, or strip only files that decode without a warning.

    Raises:
        CorruptPhoto: a segment's length does not fit the file, or there are too many segments.
    """
    kept, scan = [data[:2]], None
    for segment in _segments(data):
        if scan is not None:
            kept.append(data[scan : segment.start])
        if _carries_pixels(segment.marker, data[segment.start + 4 : segment.end]):
            kept.append(data[segment.start : segment.end])
        scan = segment.end if segment.marker == _SOS else None
    if scan is not None:
        kept.append(data[scan:])
    return b"".join([*kept, b"\xff\xd9"])


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker and its segment: bytes `start` to `end`; coded pixels follow after SOS."""

    marker: int
    start: int
    end: int


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments of the first picture, its end (EOI) being the last one."""
    at, scanning = 2, False
    for _ in range(MAX_SEGMENTS):
        match = (_MARKER_IN_SCAN if scanning else _MARKER).search(data, at)
        if match is None or match[1][0] == _SOI:
            return
        marker, at, scanning = match[1][0], match.end(), False
        if marker in _WITHOUT_LENGTH:
            continue
        if marker != _EOI:
            at = _segment_end(data, at)
        yield _Segment(marker, match.start(), at)
        if marker == _EOI:
            return
        scanning = marker == _SOS
    raise CorruptPhoto(f"expected a JPEG of at most {MAX_SEGMENTS:,} segments; {_SAVE_AGAIN}")


def _segment_end(data: bytes, at: int) -> int:
    """Return the end of the segment whose length is stored at `at`."""
    length = int.from_bytes(data[at : at + 2])
    if length < 2 or at + length > len(data):
        raise CorruptPhoto("a JPEG segment has a length that does not fit the file; send it again")
    return at + length


def _carries_pixels(marker: int, payload: bytes) -> bool:
    match marker:
        case 0xE0:
            return payload.startswith(b"JFIF\0")
        case 0xE2:
            return payload.startswith(b"ICC_PROFILE\0")
        case 0xEE:
            return payload.startswith(b"Adobe")
        case _:
            return marker not in (_COM, _EOI) and not _APP0 <= marker <= _APP15
