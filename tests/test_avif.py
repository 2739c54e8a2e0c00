from __future__ import annotations

import contextlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import draw
from satchel.avif import coded_pixels
from satchel.errors import CorruptPhoto, PhotoError, PhotoTooLarge
from satchel.images import decode
from satchel.photo_header import PhotoLimits

PICTURE = Image.fromarray(draw("box"))


def saved(picture: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "AVIF", speed=10, **options)
    return buffer.getvalue()


def with_alpha() -> Image.Image:
    picture = PICTURE.convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


EXIF = Image.Exif()
EXIF[0x010E] = "a description"


@pytest.mark.parametrize(
    ("data", "pictures"),
    [
        (saved(), 1),
        (saved(subsampling="4:4:4"), 1),
        (saved(PICTURE.convert("L")), 1),
        (saved(exif=EXIF), 1),
        (saved(with_alpha()), 2),
        (saved(save_all=True, append_images=[PICTURE.rotate(90)]), 1),
    ],
    ids=["4:2:0", "4:4:4", "grey", "with EXIF", "with alpha", "animated"],
)
def test_pixels_of_what_is_coded(data: bytes, pictures: int) -> None:
    assert coded_pixels(data) == pictures * 320 * 240


def test_a_small_header_does_not_hide_a_large_picture() -> None:
    side, stated = 3_000, 100
    data = saved(Image.new("RGB", (side, side), "red"))
    size = data.index(b"ispe") + 8
    lying = data[:size] + 2 * stated.to_bytes(4) + data[size + 8 :]
    assert Image.open(BytesIO(lying)).size == (stated, stated)
    assert coded_pixels(lying) == side * side
    with pytest.raises(PhotoTooLarge, match="MB of memory to decode"):
        decode(lying, limits=PhotoLimits(max_decode_bytes=50_000_000))


def test_without_a_coded_picture() -> None:
    data = saved()
    at = data.index(b"mdat") + 4
    for damaged in (data[:at] + bytes(len(data) - at), data[:100], b""):
        with pytest.raises(CorruptPhoto):
            coded_pixels(damaged)


WHOLE = saved(with_alpha())


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6))
def test_no_damage_is_more_than_a_photo_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    with contextlib.suppress(PhotoError):
        coded_pixels(bytes(data))


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.booleans())
def test_sequence_headers_as_the_specification_writes_them(
    width: int, height: int, reduced: bool
) -> None:
    """Written bit by bit: section 5.5.1, one operating point, nothing optional."""

    def bits(value: int, count: int) -> str:
        return f"{value:0{count}b}"

    start = "000" + "11" + bits(5, 5) if reduced else "000" + "00" + "0" + "0" + bits(0, 5 + 12 + 5)
    header = start + bits(15, 4) + bits(15, 4) + bits(width - 1, 16) + bits(height - 1, 16)
    payload = np.packbits([int(bit) for bit in header]).tobytes()
    units = b"\x12\x00" + bytes((0x0A, len(payload))) + payload  # temporal delimiter first
    chunk = (24).to_bytes(4) + b"stco" + bytes(4) + (1).to_bytes(4) + (32).to_bytes(4) + bytes(4)
    box = (8 + len(chunk)).to_bytes(4) + b"stbl" + chunk
    assert len(box) == 32
    assert coded_pixels(box + units) == width * height
