from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import types
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from conftest import SHARED, draw, jpeg
from satchel import photo_formats
from satchel.config import Serve
from satchel.decoding.photo import measure
from satchel.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoTooLarge,
    UnreadablePhoto,
    UnsupportedFormat,
)
from satchel.images import (
    clean,
    crop,
    decode,
    decode_around,
    encode_jpeg,
    read_photo,
    thumbnail,
)
from satchel.jpeg import Frame
from satchel.photo_formats import FORMATS, PhotoFormat, readable_formats
from satchel.photo_header import OUTPUT_BYTES, PhotoLimits, jpeg_bytes
from satchel.records import Box
from support.memory import PEAK


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
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg", "quality": 95}),
    ],
)
def test_decodes_every_allowed_format_to_the_same_picture(kind: str, options: dict) -> None:
    assert near(decode(saved(PICTURE, kind, **options)), np.asarray(PICTURE)) < 4


def oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What the EXIF standard says: which side of the file is the top, and which the left."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    mirrored, flipped = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return pixels[:: -1 if flipped else 1, :: -1 if mirrored else 1]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_agrees_with_pillow(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(PICTURE, kind, quality=95, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB"))
    assert near(expected, oriented(np.asarray(PICTURE), orientation)) < 6
    assert measure(data, PhotoLimits()) == expected.shape[:2]
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
        (b"\0\0\1\0" + bytes(40), "a file that is none of them"),
        (b"\r\n<!DOCTYPE html><title>403</title>", "a web page"),
    ],
)
def test_other_formats_are_recognised_by_their_bytes(data: bytes, what: str) -> None:
    with pytest.raises(
        UnsupportedFormat, match=rf"expected a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF.*{what}"
    ):
        decode(data)


def test_a_format_is_added_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    ppm = PhotoFormat("PPM", "PPM", (".ppm",), (b"P6",), 4)
    monkeypatch.setattr(photo_formats, "FORMATS", (*FORMATS, ppm))
    data = saved(PICTURE, "PPM")
    assert (decode(data) == np.asarray(PICTURE)).all()
    assert "PPM" in readable_formats()
    with pytest.raises(CorruptPhoto):
        decode(data[:6])
    with pytest.raises(UnsupportedFormat, match="BMP, TIFF or PPM"):
        decode(b"hello, this is text")


def test_a_damaged_heic_is_no_reason_to_install_the_extra_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra = types.SimpleNamespace(register_heif_opener=lambda **_: None)
    monkeypatch.setitem(sys.modules, "pi_heif", extra)
    with pytest.raises(CorruptPhoto):
        decode(b"\0\0\0\x18ftypheic" + bytes(32))


def test_heic_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(UnsupportedFormat, match=r"\.\[heic\]"):
        decode(b"\0\0\0\x18ftypheic" + bytes(32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    data = saved(PICTURE, kind)
    for function in (decode, clean):
        with pytest.raises(PhotoError) as caught:
            function(data[: int(len(data) * share)])
        assert isinstance(caught.value, CorruptPhoto | UnsupportedFormat)


def png_of(width: int, height: int, colour_type: int, rows: bytes, *, interlaced: bool) -> bytes:
    """A PNG of 8 bits a channel; `rows` as they are before compression."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, int(interlaced))
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header promises a big picture."""
    return png_of(width, height, 2, b"", interlaced=False)


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
    with pytest.raises(UnsupportedFormat, match="at most 100 scans"):
        decode(bomb)
    assert decode(data).shape == (240, 320, 3)


# -- damaged files -------------------------------------------------------------------------------


ADAM7 = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
"""Width and height of the seven passes of an interlaced PNG of 8 × 8."""

INTERLACED = png_of(
    8,
    8,
    2,
    b"".join(
        b"\0" + np.random.default_rng(row).bytes(3 * width)
        for width, height in ADAM7
        for row in range(height)
    ),
    interlaced=True,
)
NO_PALETTE = png_of(4, 4, 3, b"", interlaced=False)


def test_whatever_a_decoder_raises_is_the_photos_fault() -> None:
    assert decode(INTERLACED).shape == (8, 8, 3)
    cuts = [INTERLACED[:end] for end in range(50, len(INTERLACED) - 25)]  # Pillow: TypeError
    avif = bytearray(saved(PICTURE, "AVIF"))
    avif[avif.index(b"mdat") + 4 :] = bytes(len(avif) - avif.index(b"mdat") - 4)  # RuntimeError
    for data in (*cuts, NO_PALETTE, bytes(avif)):  # the second: AssertionError
        for function in (decode, clean):
            with pytest.raises(CorruptPhoto, match="send it again"):
                function(data)


WHOLE = {
    kind: saved(PICTURE.resize((80, 60)), kind) for kind in ("JPEG", "PNG", "WEBP", "AVIF")
} | {"interlaced": INTERLACED, "progressive": saved(PICTURE, "JPEG", progressive=True)}


@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    st.floats(0.5, 1),
)
def test_a_damaged_photo_decodes_or_is_refused(
    kind: str, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    for function in (decode, clean):
        with contextlib.suppress(PhotoError):
            function(bytes(data[: int(len(data) * kept)]))


def test_a_png_with_a_damaged_byte_is_refused() -> None:
    data = saved(Image.fromarray(draw("ring")), "PNG")
    first, last = data.index(b"IDAT") + 4, data.rindex(b"IEND") - 12
    for at in np.linspace(first + 2, last, 40).astype(int):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        with pytest.raises(CorruptPhoto):
            decode(bytes(damaged))


@pytest.mark.parametrize("progressive", [False, True])
def test_what_is_stored_is_what_was_decoded(progressive: bool) -> None:
    """Bytes FF xx inside a scan look like a segment; once they were cut out with what follows."""
    options = {"progressive": progressive, "restart_marker_rows": 1, "comment": b"a note"}
    data = saved(PICTURE, "JPEG", quality=98, **options)
    rng, scan = np.random.default_rng(1), data.index(b"\xff\xda") + 20
    stored = 0
    for _ in range(300):
        damaged = bytearray(data)
        at = int(rng.integers(scan, len(data) - 300))
        damaged[at : at + 3] = bytes((0xFF, int(rng.integers(2, 0xC0)), int(rng.integers(4))))
        try:
            kept = clean(bytes(damaged))
        except PhotoError:
            continue
        stored += 1
        ours, theirs = (decode(data, min_side_px=None) for data in (kept.data, bytes(damaged)))
        assert near(ours, theirs) < 5
    assert stored > 20


def test_a_whole_jpeg_is_stored_as_it_was_coded() -> None:
    data = saved(PICTURE, "JPEG", comment=b"a note")
    plain = saved(PICTURE, "JPEG")
    scan = plain[plain.index(b"\xff\xda") :]
    assert clean(data).data.endswith(scan)
    assert b"a note" not in clean(data).data


# -- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "bytes_per_pixel"),
    [
        ("PNG", {}, 11),  # 1 and 4 of Pillow's, 3 of pixels, 3 while they are turned
        ("WEBP", {}, 20),
        ("AVIF", {"speed": 10}, 22),
        ("JPEG", {"subsampling": "4:4:4"}, 6),
        ("JPEG", {"subsampling": "4:2:0", "progressive": True}, 9),  # 2 x 1.5 of coefficients
    ],
)
def test_memory_is_estimated_from_the_header(
    kind: str, options: dict[str, object], bytes_per_pixel: int
) -> None:
    data, needed = saved(PICTURE, kind, **options), 320 * 240 * bytes_per_pixel
    decode(data, min_side_px=None, limits=PhotoLimits(max_decode_bytes=needed))
    with pytest.raises(PhotoTooLarge, match="MB of memory to decode"):
        decode(data, min_side_px=None, limits=PhotoLimits(max_decode_bytes=needed - 1))


def test_a_refusal_says_how_large_such_a_photo_may_be() -> None:
    data = saved(PICTURE.resize((2_000, 1_000)), "JPEG", progressive=True, subsampling="4:4:4")
    limits = PhotoLimits(max_decode_bytes=13_500_000)  # 6.9 bytes a pixel
    with pytest.raises(PhotoTooLarge, match=r"at most 1\.9 megapixels of such a JPEG.* got 2\.0;"):
        decode(data, limits=limits)
    smaller = saved(PICTURE.resize((1_900, 1_000)), "JPEG", progressive=True, subsampling="4:4:4")
    assert decode(smaller, limits=limits).shape[0] == 375


def test_the_settings_say_how_large_an_uploaded_progressive_jpeg_may_be() -> None:
    setting = Serve.model_fields["max_decode_mb"]
    of_pixel = jpeg_bytes(Frame(1, 1, 3, 3.0, buffered=True), 1 / 8, 2 * OUTPUT_BYTES)
    assert f"(progressive {int(setting.default / of_pixel)})" in str(setting.description)


def test_a_big_jpeg_that_is_scaled_down_takes_little_memory() -> None:
    data = saved(PICTURE.resize((4_000, 3_000)), "JPEG")
    assert decode(data, limits=PhotoLimits(max_decode_bytes=2_000_000)).shape == (375, 500, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("WEBP", "RGBA"),
        ("AVIF", "RGBA"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGBA"),
    ],
)
def test_decoding_takes_no_more_memory_than_estimated(kind: str, mode: str, tmp_path: Path) -> None:
    pixels = 3_000 * 2_000
    picture = PICTURE.convert("RGBA").resize((3_000, 2_000))
    picture.putalpha(100)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}, "AVIF": {"speed": 10}}.get(
        kind, {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    )
    shown = picture.quantize(64) if mode == "P" else picture.convert(mode)
    (tmp_path / "small").write_bytes(saved(PICTURE, kind))
    (tmp_path / "photo").write_bytes(saved(shown, kind, exif=exif.tobytes(), **options))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "small"), str(tmp_path / "photo")],
        capture_output=True,
        text=True,
        check=True,
    )
    data = (tmp_path / "photo").read_bytes()
    bytes_per_pixel = {"P": 8, "PNG": 11, "WEBP": 20, "AVIF": 22, "BMP": 11, "TIFF": 18}
    at_most = bytes_per_pixel["P" if mode == "P" else kind]
    assert 4 * pixels < int(done.stdout) <= at_most * pixels
    with pytest.raises(PhotoTooLarge):
        decode(data, min_side_px=None, limits=PhotoLimits(max_decode_bytes=at_most * pixels - 1))


@pytest.mark.parametrize(("width", "height"), [(30_001, 1), (1, 1_000_000)])
def test_each_side_is_capped(width: int, height: int) -> None:
    with pytest.raises(PhotoTooLarge, match="sides of at most 30,000 pixels"):
        decode(png_that_claims(width, height))


def test_byte_cap(tmp_path: Path) -> None:
    limits = PhotoLimits(max_bytes=1_000)
    with pytest.raises(PhotoTooLarge, match=r"at most 1,000 bytes, got 2,000"):
        decode(bytes(2_000), limits=limits)
    path = tmp_path / "big.jpg"
    path.write_bytes(bytes(2_000))
    with pytest.raises(PhotoTooLarge, match="2,000"):
        read_photo(path, limits)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero"), tmp_path):
        with pytest.raises(UnreadablePhoto, match="is no file but a folder, pipe or device"):
            read_photo(path, PhotoLimits())


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


# -- around a box -------------------------------------------------------------------------------


def phone_photo(orientation: int = 1) -> bytes:
    """A JPEG of 1600 × 1200 pixels as the file has them."""
    pixels = np.zeros((1200, 1600, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, 1600, dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", exif=exif)
    return data.getvalue()


@pytest.mark.parametrize(("share", "scale"), [(1.0, 3 / 8), (0.5, 5 / 8), (0.31, 1), (0.01, 1)])
def test_the_smaller_the_box_the_less_a_photo_is_scaled_down(share: float, scale: float) -> None:
    placed = Box(0, 0, share, share)
    pixels, box = decode_around(phone_photo(), lambda height, width: placed)
    assert box == placed
    assert pixels.shape[:2] == (1200 * scale, 1600 * scale)
    assert min(pixels.shape[:2]) * share >= 360 or scale == 1


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (1200, 1600)), (3, (1200, 1600)), (6, (1600, 1200))]
)
def test_a_box_is_placed_on_the_upright_photo_in_pixels_of_the_file(
    orientation: int, size: tuple[int, int]
) -> None:
    asked: list[tuple[int, int]] = []

    def place(height: int, width: int) -> Box:
        asked.append((height, width))
        return Box(0, 0, 1, 1)

    pixels, _ = decode_around(phone_photo(orientation), place)
    assert asked == [size]
    assert pixels.shape[0] / pixels.shape[1] == size[0] / size[1]


def test_a_box_on_a_photo_that_is_no_jpeg() -> None:
    png = saved(Image.new("RGB", (50, 30)), "PNG")
    pixels, box = decode_around(png, lambda height, width: Box(0, 0, 10 / width, 10 / height))
    assert box == Box(0, 0, 10 / 50, 10 / 30)
    assert pixels.shape == (30, 50, 3)


def test_a_small_box_does_not_make_a_photo_too_large() -> None:
    limits = PhotoLimits(max_decode_bytes=6_000_000)  # a half of what all pixels take
    pixels, _ = decode_around(
        phone_photo(), lambda height, width: Box(0, 0, 0.1, 0.1), limits=limits
    )
    assert pixels.shape[:2] == (450, 600)


def test_a_damaged_photo_with_a_box() -> None:
    with pytest.raises(CorruptPhoto):
        decode_around(phone_photo()[:2000], lambda height, width: Box(0, 0, 1, 1))


# -- formats of old shops -------------------------------------------------------------------------


def test_of_a_gif_the_first_frame_counts() -> None:
    frames = [Image.fromarray(draw(shape)) for shape in ("disc", "box")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert near(decode(data), np.asarray(frames[0])) < 4
    assert near(decode(clean(data).data), np.asarray(frames[0])) < 4


def test_of_a_tiff_the_first_page_counts() -> None:
    pages = [Image.fromarray(draw(shape)) for shape in ("disc", "box")]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert (decode(data) == np.asarray(pages[0])).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGBA", "CMYK", "YCbCr"])
def test_a_tiff_in_any_mode(mode: str) -> None:
    grey = np.asarray(PICTURE.convert("L"))
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) << 8)
    else:
        picture = PICTURE.convert(mode)
    colour = mode in ("RGBA", "CMYK", "YCbCr")
    expected = np.asarray(picture.convert("RGB")) if colour or mode == "1" else grey[:, :, None]
    assert near(decode(saved(picture, "TIFF")), expected) < 2


def test_the_small_copy_in_a_cameras_raw_file_is_not_taken_for_the_photo() -> None:
    with pytest.raises(UnsupportedFormat, match="raw files of cameras"):
        decode(saved(PICTURE, "TIFF", tiffinfo={254: 1}))


def test_tiles_larger_than_the_picture_count() -> None:
    data = saved(PICTURE, "TIFF", tiffinfo={65_000: 20_000, 65_001: 10_000})
    for own, tag in ((65_000, 322), (65_001, 323)):  # Pillow writes none of another size
        data = data.replace(own.to_bytes(2, "little"), tag.to_bytes(2, "little"))
    with pytest.raises(PhotoTooLarge, match=r"megapixels of such a TIFF.* got 200\.0"):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_large_photos_of_every_format_are_reduced(kind: str) -> None:
    large = PICTURE.resize((1_600, 1_200))
    data = saved(large, kind)
    small = decode(data)
    assert small.shape == (400, 534, 3)  # a third, the last column of one pixel
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB").reduce(3))
    assert near(small, expected) < 1
    assert decode(data, min_side_px=None).shape == (1_200, 1_600, 3)
