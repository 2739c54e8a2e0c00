from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import SHARED, draw
from satchel.errors import CorruptPhoto, PhotoError, UnsupportedJpeg
from satchel.images import clean, decode, thumbnail
from satchel.jpeg import Frame, count_scans, read_frame, strip_jpeg

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
def test_frame_of_the_kinds_that_cameras_write(options: dict[str, Any], frame: Frame) -> None:
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
        with pytest.raises(UnsupportedJpeg, match=r"expected a baseline, .* JPEG, got a .*; save"):
            function(with_frame(marker))


@pytest.mark.parametrize("before", [b"\xff\xfe\0\6c\xff\xc0c", b"\xff\xff\xff", b"stray \xff\0"])
def test_a_lossless_frame_is_found_behind_anything_that_libjpeg_passes_over(before: bytes) -> None:
    lossless = with_frame(0xC3)
    with pytest.raises(UnsupportedJpeg, match="lossless"):
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
    with pytest.raises(UnsupportedJpeg, match=f"of 8 bits, got one of {bits}"):
        decode(bytes(data))


@pytest.mark.shared
def test_a_lossless_photo_that_overran_the_heap() -> None:
    data = (SHARED / "data/hostile/bugs-lossless-64.jpg").read_bytes()
    for function in (decode, clean):
        with pytest.raises(UnsupportedJpeg, match="lossless"):
            function(data)


def test_a_run_of_fill_bytes_takes_linear_time() -> None:
    """A million of them would take hours where each begins a search of its own."""
    data = saved()
    filled = data[:2] + b"\xff" * 1_000_000 + b"\0" + data[2:]
    assert np.array_equal(decode(filled), decode(data))
    scan = data.index(b"\xff\xda") + 20
    with contextlib.suppress(PhotoError):
        clean(data[:scan] + b"\xff" * 1_000_000 + b"\0" + data[scan:])


def test_a_film_behind_the_picture_does_not_count() -> None:
    data = saved(progressive=True)
    film = b"\xff\xda\0\0" * 1_000
    assert count_scans(data + film) == count_scans(data)
    assert np.array_equal(decode(data + film), decode(data))
    assert film not in clean(data + film).data


def test_scans_behind_a_marker_that_libjpeg_may_pass_over_do_count() -> None:
    data = saved(progressive=True)
    last = data.rindex(b"\xff\xda")
    hidden = b"\xff\x28\x01\x00" + b"\xff\xda" * 120 + b"\xff\xd9"
    assert count_scans(data[: last + 30] + hidden + data[last + 30 :]) > 120


def test_scans_of_a_large_picture_are_bounded_by_its_pixels() -> None:
    data = saved(PICTURE.resize((5_200, 4_800)), progressive=True)
    assert decode(data).shape[2] == 3
    last = data.rindex(b"\xff\xda")
    many = data[:-2] + data[last:-2] * 50 + data[-2:]
    with pytest.raises(UnsupportedJpeg, match="1,200,000,000 pixels in all"):
        decode(many)


def test_segments_are_bounded_in_number() -> None:
    data = saved()
    with pytest.raises(CorruptPhoto, match="at most 5,000 segments"):
        decode(data[:2] + b"\xff\xfe\0\2" * 6_000 + data[2:])
    scan = data.index(b"\xff\xda")
    many = data[:-2] + b"\xff\xfe\0\2" * 6_000 + data[-2:]  # behind the scan: decoded, encoded anew
    assert many[scan : scan + 50] not in clean(many).data


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
