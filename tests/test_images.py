from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from conftest import SHARED, draw, jpeg
from satchel.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoTooLarge,
    UnreadablePhoto,
    UnsupportedFormat,
)
from satchel.images import (
    PhotoLimits,
    clean,
    crop,
    decode,
    encode_jpeg,
    read_photo,
    thumbnail,
)
from satchel.records import Box


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def near(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


PICTURE = Image.fromarray(draw("box"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("AVIF", {"quality": 90}),
    ],
)
def test_decodes_every_allowed_format_to_the_same_picture(kind: str, options: dict) -> None:
    assert near(decode(saved(PICTURE, kind, **options)), np.asarray(PICTURE)) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(PICTURE, "JPEG", quality=95, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))))
    assert near(decode(data), expected) < 3
    kept = clean(data)
    assert near(decode(kept.data), expected) < 3
    assert (kept.height, kept.width) == expected.shape[:2]


def test_cmyk_shows_the_colours_that_pillow_shows() -> None:
    data = saved(PICTURE.convert("CMYK"), "JPEG", quality=95)
    assert near(decode(data), np.asarray(Image.open(BytesIO(data)).convert("RGB"))) == 0
    assert near(decode(clean(data).data), np.asarray(PICTURE)) < 4


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    pixels = decode(saved(Image.fromarray(ramp), "PNG"))
    assert (pixels[0, :, 0] == np.arange(256)).all()


def test_transparency_shows_white() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert (decode(saved(clear, "PNG")) == 255).all()
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([255, 0, 0])
    assert (decode(saved(palette, "PNG", transparency=0)) == 255).all()


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.fromarray(draw(shape)) for shape in ("disc", "box")]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert near(decode(data), np.asarray(frames[0])) < 2


def test_of_an_mpo_the_first_picture_counts_and_only_it_is_kept() -> None:
    second = Image.fromarray(draw("disc"))
    data = saved(PICTURE, "MPO", save_all=True, append_images=[second], quality=95)
    assert near(decode(data), np.asarray(PICTURE)) < 4
    kept = clean(data).data
    assert kept.count(b"\xff\xd8\xff") == 1
    assert near(decode(kept), np.asarray(PICTURE)) < 4


def test_big_jpeg_is_scaled_while_decoding_but_not_below_the_side_asked_for() -> None:
    data = jpeg("ring", size_wh=(2048, 1536))
    small = decode(data, min_side_px=360)
    assert small.shape == (384, 512, 3)
    expected = Image.fromarray(draw("ring", size_wh=(2048, 1536))).resize((512, 384), 4)
    assert near(small, np.asarray(expected)) < 3
    assert decode(data, min_side_px=None).shape == (1536, 2048, 3)


def test_metadata_is_gone_and_the_coded_pixels_are_not_touched() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret words"
    exif.get_ifd(0x8825)[2] = (37.0, 33.0, 59.0)  # GPS latitude
    data = saved(PICTURE, "JPEG", quality=90, exif=exif, comment=b"secret comment")
    kept = clean(data + b"secret tail")
    assert b"secret" in data
    assert b"secret" not in kept.data
    assert b"Exif" not in kept.data
    assert (kept.width, kept.height) == PICTURE.size
    assert near(decode(kept.data), decode(data)) == 0
    assert clean(kept.data).data == kept.data


def test_icc_profile_stays_because_colours_depend_on_it() -> None:
    profile = b"ICC profile bytes" * 10
    data = saved(PICTURE, "JPEG", icc_profile=profile)
    assert Image.open(BytesIO(clean(data).data)).info["icc_profile"] == profile


def test_empty_file() -> None:
    with pytest.raises(EmptyPhoto, match="0 bytes"):
        decode(b"")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"hello, this is text", "begins with b'hello, t'"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"GIF89a" + bytes(40), "a GIF picture"),
        (b"\r\n<!DOCTYPE html><title>403</title>", "a web page"),
    ],
)
def test_what_is_no_photo_is_told_by_its_bytes(data: bytes, what: str) -> None:
    with pytest.raises(UnsupportedFormat, match=rf"expected a JPEG, PNG, WebP or AVIF.*{what}"):
        decode(data)


def test_heic_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(UnsupportedFormat, match=r"satchel\[heic\]"):
        decode(b"\0\0\0\x18ftypheic" + bytes(32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    data = saved(PICTURE, kind)
    for function in (decode, clean):
        with pytest.raises(PhotoError) as caught:
            function(data[: int(len(data) * share)])
        assert isinstance(caught.value, CorruptPhoto | UnsupportedFormat)


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header promises a big picture."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        crc = zlib.crc32(kind + payload)
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", b""), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "side", [9_000, 10_000, 60_000]
)  # Pillow warns at the 2nd, fails at the 3rd
def test_pixel_cap_is_read_from_the_header_before_decoding(side: int) -> None:
    with pytest.raises(PhotoTooLarge, match="at most 80,000,000 pixels"):
        decode(png_that_claims(side, side))


def test_a_jpeg_of_very_many_scans_is_refused_before_decoding() -> None:
    data = saved(PICTURE, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[last:-2] * 1_000 + data[-2:]
    with pytest.raises(CorruptPhoto, match="at most 100 scans"):
        decode(bomb)
    assert decode(data).shape == (240, 320, 3)


def test_byte_cap(tmp_path: Path) -> None:
    limits = PhotoLimits(max_bytes=1_000)
    with pytest.raises(PhotoTooLarge, match=r"at most 1,000 bytes, got 2,000"):
        decode(bytes(2_000), limits=limits)
    path = tmp_path / "big.jpg"
    path.write_bytes(bytes(2_000))
    with pytest.raises(PhotoTooLarge, match="2,000"):
        read_photo(path, limits)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto, match="no such file"):
        read_photo(tmp_path / "nothing.jpg", PhotoLimits())


@given(st.binary(max_size=300), st.sampled_from([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b""]))
def test_no_bytes_crash_the_decoder(tail: bytes, magic: bytes) -> None:
    for function in (decode, clean):
        with pytest.raises(PhotoError):
            function(magic + tail)


WHOLE_JPEG = jpeg("cross")


@given(st.lists(st.tuples(st.integers(2, len(WHOLE_JPEG) - 1), st.integers(0, 255)), max_size=8))
def test_a_damaged_jpeg_decodes_or_is_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE_JPEG)
    for at, value in changes:
        data[at] = value
    try:
        kept = clean(bytes(data), PhotoLimits(max_pixels=4_000_000))
    except PhotoError:
        return
    assert decode(kept.data).shape[2] == 3


def test_thumbnail_fits_and_never_grows() -> None:
    small = decode(thumbnail(jpeg("disc", size_wh=(1600, 900)), 320), min_side_px=None)
    assert small.shape == (180, 320, 3)
    same = decode(thumbnail(jpeg("disc", size_wh=(100, 60)), 320), min_side_px=None)
    assert same.shape == (60, 100, 3)


def test_crop_cuts_the_box_and_fills_the_square() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[25:75, 50:150] = 200
    assert (crop(pixels, Box(0.25, 0.25, 0.75, 0.75), 64) == 200).all()
    assert crop(pixels, Box(0.0, 0.0, 0.001, 0.001), 64).shape == (64, 64, 3)


@pytest.mark.shared
def test_real_photos_are_kept_pixel_for_pixel() -> None:
    photos = sorted((SHARED / "data" / "coco_bags" / "images").glob("*.jpg"))
    assert len(photos) > 20
    for path in photos:
        data = path.read_bytes()
        assert near(decode(clean(data).data), decode(data)) == 0, path.name


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import satchel, sys; print([m for m in ('numpy', 'PIL', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_jpeg_round_trip() -> None:
    assert near(decode(encode_jpeg(draw("ring"), 95)), draw("ring")) < 3
