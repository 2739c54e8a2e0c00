from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from satchel.decoding.profiles import to_srgb
from satchel.images import RGB, clean, decode
from support.icc import P3, SRGB, cmyk_profile, from_p3, matrix_profile

DISPLAY_P3 = matrix_profile(P3)
LEVELS = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3, indexing="ij"), -1).reshape(36, 6, 3)
COLOURS: RGB = np.kron(LEVELS, np.ones((8, 8, 1))).astype(np.uint8)  # one to each JPEG block


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options", "within"),
    [
        ("PNG", {}, 2),
        ("TIFF", {}, 2),
        ("WEBP", {"lossless": True}, 2),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 8}, 10),
        ("JPEG", {"quality": 100, "subsampling": 0}, 10),
    ],
)
def test_display_p3_becomes_srgb(kind: str, options: dict[str, object], within: float) -> None:
    data = saved(Image.fromarray(COLOURS), kind, icc_profile=DISPLAY_P3, **options)
    expected = from_p3(COLOURS)
    assert np.abs(expected - COLOURS).max() > 40  # what would be wrong without
    assert np.abs(decode(data, min_side_px=None) - expected).max() <= within
    stored = clean(data)
    assert np.abs(decode(stored.data, min_side_px=None) - expected).mean() <= 2


def test_srgb_by_any_name_changes_nothing() -> None:
    created = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (created, matrix_profile(SRGB)):
        data = saved(Image.fromarray(COLOURS), "PNG", icc_profile=profile)
        assert (decode(data) == COLOURS).all()


def test_cmyk_is_converted_by_its_profile() -> None:
    lab = np.zeros((2, 2, 2, 2, 3))
    for full in np.ndindex(2, 2, 2, 2):  # a press on which cyan shows as a dark red
        lab[full] = (100 - 20 * sum(full), 40 * full[0], 0)
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, 0] = 255
    picture = Image.fromarray(inks, "CMYK")
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        plain = decode(saved(picture, kind, **options))
        pressed = decode(saved(picture, kind, icc_profile=cmyk_profile(lab), **options))
        assert np.abs(plain[:, :15].astype(int) - 255).max() < 4  # paper
        assert np.abs(pressed[:, :15].astype(int) - 255).max() < 8
        red, green, blue = pressed[8, 24].astype(int)
        assert red > green + 60
        assert red > blue + 30  # Lab (80, 40, 0)
        assert plain[8, 24, 0] < 20  # pure cyan


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(DISPLAY_P3)), st.integers(0, 255))
def test_a_damaged_profile_is_passed_over(tail: bytes, at: int, value: int) -> None:
    pixels = COLOURS.copy()
    assert (to_srgb(pixels, tail) == COLOURS).all()
    damaged = bytearray(DISPLAY_P3)
    damaged[min(at, len(damaged) - 1)] = value
    assert to_srgb(pixels, bytes(damaged)).shape == COLOURS.shape


def test_a_profile_of_another_kind_of_colour_is_passed_over() -> None:
    lab = np.zeros((2, 2, 2, 2, 3))
    assert (to_srgb(COLOURS.copy(), cmyk_profile(lab)) == COLOURS).all()
