from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import SHARED, draw
from satchel.errors import CorruptPhoto, PhotoError, UnsupportedFormat
from satchel.images import clean, decode, thumbnail
from satchel.jpeg import Frame, read_frame, strip_jpeg

PICTURE = Image.fromarray(draw("box"))


def saved(picture: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_frame(marker: int) -> bytes:
    """A baseline JPEG that calls itself a frame of another kind."""
    return saved().replace(b"\xff\xc0", bytes((0xFF, marker)), 1)


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({"subsampling": "4:4:4"}, Frame(320, 240, 3, 3.0, buffered=False)),
        ({"subsampling": "4:2:0"}, Frame(320, 240, 3, 1.5, buffered=False)),
        ({"subsampling": "4:2:2", "progressive": True}, Frame(320, 240, 3, 2.0, buffered=True)),
    ],
)
def test_frame_of_the_kinds_that_cameras_write(options: dict[str, object], frame: Frame) -> None:
    assert read_frame(saved(**options)) == frame


def test_extended_frames_are_accepted() -> None:
    assert np.array_equal(decode(with_frame(0xC1)), decode(saved()))


@pytest.mark.parametrize(
    "marker",
    [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xDE, 0xF7],
    ids="{:#x}".format,
)
def test_other_frames_are_refused_in_words(marker: int) -> None:
    for function in (decode, clean, lambda data: thumbnail(data, 160)):
        with pytest.raises(
            UnsupportedFormat, match=r"expected a baseline, .* JPEG, got a .*; save"
        ):
            function(with_frame(marker))


@pytest.mark.parametrize("before", [b"\xff\xfe\0\6c\xff\xc0c", b"\xff\xff\xff", b"stray \xff\0"])
def test_a_lossless_frame_is_found_behind_anything_that_libjpeg_passes_over(before: bytes) -> None:
    lossless = with_frame(0xC3)
    with pytest.raises(UnsupportedFormat, match="lossless"):
        decode(lossless[:2] + b"\xff\xfe\0\2" + before + lossless[2:])


def test_a_frame_behind_the_first_is_refused() -> None:
    data = saved()
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]
    with pytest.raises(CorruptPhoto, match="two frame headers"):
        decode(data[:at] + frame + data[at:])


@pytest.mark.parametrize("bits", [12, 16])
def test_frames_of_more_than_8_bits_are_refused_in_words(bits: int) -> None:
    data = bytearray(with_frame(0xC1))
    data[data.index(b"\xff\xc1") + 4] = bits
    with pytest.raises(UnsupportedFormat, match=f"of 8 bits, got one of {bits}"):
        decode(bytes(data))


@pytest.mark.shared
def test_a_lossless_photo_that_overran_the_heap() -> None:
    data = (SHARED / "data/hostile/bugs-lossless-64.jpg").read_bytes()
    for function in (decode, clean):
        with pytest.raises(UnsupportedFormat, match="lossless"):
            function(data)


HEADER = saved()[: saved().index(b"\xff\xda") + 2]
CHANGES = st.lists(st.tuples(st.integers(2, len(HEADER) - 1), st.integers(0, 255)), max_size=6)


@settings(max_examples=300)
@given(CHANGES, st.sampled_from([0xC0, 0xC1, 0xC2]))
def test_a_frame_is_as_libjpeg_reads_it(changes: list[tuple[int, int]], marker: int) -> None:
    data = bytearray(with_frame(marker))
    for at, value in changes:
        data[at] = value
    try:
        frame = read_frame(bytes(data))
    except PhotoError:
        return
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(bytes(data), strict=False)
    except (ValueError, KeyError):
        return  # refused where it is decoded
    assert (frame.width, frame.height) == (width, height)
    assert (frame.components == 1) == (colours == "Gray")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(33, 17), (320, 240)])
def test_stripping_keeps_what_libjpeg_decodes(progressive: bool, size: tuple[int, int]) -> None:
    data = saved(PICTURE.resize(size), progressive=progressive, restart_marker_blocks=3)
    assert np.array_equal(decode(strip_jpeg(data)), decode(data))
