"""Writes HEIC photos whose samples are uncompressed (HEVC's I_PCM): large files, simple to write.

Every coding tree unit of 32 × 32 is a slice of its own, so that nothing depends on what came
before, and the arithmetic coder writes the same bits in each.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

UNIT = 32
_START = bytes.fromhex("8680")  # not split (state 0, probable symbol), PCM; aligned
_END = bytes.fromhex("fe80")  # end of slice, stop bit; aligned


def heic(
    pixels: np.ndarray,
    *,
    stated_wh: tuple[int, int] | None = None,
    turns: int = 0,
    icc: bytes = b"",
    tiles: tuple[int, int] = (1, 1),
    thumbnail: np.ndarray | None = None,
) -> bytes:
    """A HEIC of these RGB pixels, whose sides are multiples of 32.

    Args:
        stated_wh: width and height in its header; default, the true ones.
        turns: quarters by which it is to be turned anticlockwise (`irot`).
        icc: a profile.
        tiles: rows and columns of a grid, each tile an item of its own.
        thumbnail: pixels of a further item, which is not the photo; of the size of a tile.
    """
    height, width = pixels.shape[:2]
    rows, columns = tiles
    high, wide = height // rows, width // columns
    parts = [
        _picture(pixels[top : top + high, left : left + wide])
        for top in range(0, height, high)
        for left in range(0, width, wide)
    ]
    grid = rows * columns > 1
    tile_ids = range(1, len(parts) + 1)
    if thumbnail is not None:
        parts.append(_picture(thumbnail))
    shown = stated_wh or (width, height)
    properties = [
        _box(b"hvcC", _configuration(wide, high)),
        _full(b"ispe", struct.pack(">II", *((wide, high) if grid else shown))),
        _box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 128)),
        _full(b"ispe", struct.pack(">II", *shown)),
        *([_box(b"colr", b"prof" + icc)] if icc else []),
        *([_box(b"irot", bytes([turns]))] if turns else []),
    ]
    further = list(range(5, len(properties) + 1))
    of_tile = [1, 2, 3, *([] if grid else further)]
    associations = [(number, of_tile) for number in range(1, len(parts) + 1)]
    items = [(number, b"hvc1") for number in range(1, len(parts) + 1)]
    if grid:
        parts.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height))
        items.append((len(parts), b"grid"))
        associations.append((len(parts), [4, *further]))
    reference = b""
    if grid:
        dimg = struct.pack(f">HH{len(tile_ids)}H", len(parts), len(tile_ids), *tile_ids)
        reference = _full(b"iref", _box(b"dimg", dimg))
    infe = [_full(b"infe", struct.pack(">HH4s", at, 0, kind) + b"\0", 2) for at, kind in items]
    ipma = struct.pack(">I", len(associations)) + b"".join(
        struct.pack(">HB", item, len(places)) + bytes(places) for item, places in associations
    )
    ftyp = _box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(start: int) -> bytes:
        located = b""
        for number, part in enumerate(parts, start=1):
            located += struct.pack(">HHHII", number, 0, 1, start, len(part))
            start += len(part)
        return _full(
            b"meta",
            _full(b"hdlr", b"\0\0\0\0pict" + bytes(13))
            + _full(b"pitm", struct.pack(">H", len(parts) if grid else 1))
            + _full(b"iloc", struct.pack(">BBH", 0x44, 0, len(parts)) + located)
            + _full(b"iinf", struct.pack(">H", len(infe)) + b"".join(infe))
            + reference
            + _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", ipma)),
        )

    before = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(before) + _box(b"mdat", b"".join(parts))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _full(kind: bytes, content: bytes, version: int = 0) -> bytes:
    return _box(kind, struct.pack(">B3x", version) + content)


class _Bits:
    """Numbers to bits, the highest first."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, count: int, *values: int) -> _Bits:
        self.text += "".join(f"{value:0{count}b}" for value in values)
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            bits = f"{value + 1:b}"
            self.text += "0" * (len(bits) - 1) + bits
        return self

    def close(self) -> bytes:
        """End with a one and as many zeros as a byte needs."""
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def _unit(kind: int, payload: bytes) -> bytes:
    """A NAL unit, with its length before it and without start codes in it."""
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return struct.pack(">IBB", len(escaped) + 2, kind << 1, 1) + bytes(escaped)


def _profile(bits: _Bits) -> _Bits:
    bits.u(2, 0).u(1, 0).u(5, 1).u(32, 0x6000_0000).u(1, 1, 0, 0, 1).u(43, 0).u(1, 0)
    return bits.u(8, 186)


def _parameter_sets(width: int, height: int) -> list[tuple[int, bytes]]:
    vps = _profile(_Bits().u(4, 0).u(1, 1, 1).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF))
    vps.u(1, 1).ue(0, 0, 0).u(6, 0).ue(0).u(1, 0, 0)
    sps = _profile(_Bits().u(4, 0).u(3, 0).u(1, 1))
    sps.ue(0, 1, width, height).u(1, 0).ue(0, 0, 0).u(1, 1).ue(0, 0, 0)
    sps.ue(0, 2, 0, 3, 0, 0)  # blocks of 8 to 32, transforms of 4 to 32
    sps.u(1, 0, 0, 0, 1).u(4, 7, 7).ue(2, 0).u(1, 1)  # PCM, 8 bits, blocks of 32, not filtered
    sps.ue(0).u(1, 0, 0, 0, 0, 0)
    pps = _Bits().ue(0, 0).u(1, 0, 0).u(3, 0).u(1, 0, 0).ue(0, 0, 0).u(1, 0, 0, 0)
    pps.ue(0, 0).u(1, 0, 0, 0, 0, 0, 0, 0).u(1, 1, 0, 1).u(1, 0, 0).ue(0).u(1, 0, 0)
    return [(32, vps.close()), (33, sps.close()), (34, pps.close())]


def _configuration(width: int, height: int) -> bytes:
    """A decoder configuration record."""
    record = bytes.fromhex("01 01 60000000 900000000000 ba f000 fc fd f8 f8 0000 0f")
    sets = _parameter_sets(width, height)
    record += bytes([len(sets)])
    for kind, payload in sets:
        record += struct.pack(">BH", 0x80 | kind, 1) + _unit(kind, payload)[2:]
    return record


def _picture(pixels: np.ndarray) -> bytes:
    """The slices of one picture."""
    height, width = pixels.shape[:2]
    assert height % UNIT == width % UNIT == 0
    luma, *chroma = Image.fromarray(pixels).convert("YCbCr").split()
    halves = [np.asarray(one.reduce(2)) for one in chroma]
    whole = np.asarray(luma)
    columns, count = width // UNIT, width * height // UNIT**2
    slices = []
    for address in range(count):
        top, left = address // columns * UNIT, address % columns * UNIT
        header = _Bits().u(1, address == 0, 0).ue(0)
        if address:
            header.u((count - 1).bit_length(), address)
        samples = whole[top : top + UNIT, left : left + UNIT].tobytes()
        for half in halves:
            samples += half[top // 2 : (top + UNIT) // 2, left // 2 : (left + UNIT) // 2].tobytes()
        header.ue(2, 0)
        slices.append(_unit(19, header.close() + _START + samples + _END))
    return b"".join(slices)
