from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from conftest import SHAPES, SHARED, draw
from satchel.curate.integrity import (
    Fault,
    PhotoFigures,
    faults,
    measure,
)
from satchel.curate.rules import IntegrityThresholds
from satchel.images import RGB, decode, encode_jpeg
from support.pictures import rgb


def measured(pixels: RGB) -> PhotoFigures:
    return measure(pixels, width=pixels.shape[1], height=pixels.shape[0])


def kinds(pixels: RGB) -> list[Fault]:
    return [fault.kind for fault in faults(measured(pixels))]


def textured(seed: int, size_wh: tuple[int, int] = (320, 320)) -> RGB:
    """Coloured clouds: blurred noise, stretched to full contrast."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(*size_wh[::-1], 3)), (0, 0), 6)
    low, high = np.percentile(noise, (1, 99))
    cloud = np.clip((noise - low) / (high - low), 0, 1) * 200 + 20
    return (cloud + rng.normal(scale=3, size=cloud.shape)).clip(0, 255).astype(np.uint8)


def page(size_wh: tuple[int, int] = (640, 480), paper: int = 255, ink: int = 20) -> RGB:
    picture = np.full((*size_wh[::-1], 3), paper, np.uint8)
    for y in range(40, size_wh[1], 24):
        line = "leather shoulder bag with adjustable strap, as new"
        cv2.putText(picture, line, (14, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (ink,) * 3, 1)
    return picture


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_wrong_with_a_plain_photo(shape: str) -> None:
    assert kinds(draw(shape)) == []


def test_noise_is_estimated_in_levels() -> None:
    rng = np.random.default_rng(1)
    for sigma in (3.0, 8.0):
        grey = np.clip(120 + rng.normal(scale=sigma, size=(288, 384)), 0, 255)
        found = measured(np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2))
        assert found.noise == pytest.approx(sigma, rel=0.05)


def test_entropy_and_levels_by_hand() -> None:
    """A quarter black, a quarter white, half grey: 2 × ¼ × 2 bits + ½ × 1 bit = 1.5 bits."""
    picture = np.full((384, 384, 3), 128, np.uint8)
    picture[:96], picture[-96:] = 0, 255
    found = measured(picture)
    assert found.entropy == pytest.approx(1.5)
    assert (found.dark, found.bright) == (0.25, 0.25)
    assert found.mean == pytest.approx(128 / 2 + 255 / 4)
    assert (found.darkest, found.brightest) == (0, 255)


def test_border_is_what_lies_outside_the_uneven_box() -> None:
    picture = np.full((384, 384, 3), 255, np.uint8)
    picture[96:288, 48:336] = textured(0, (288, 192))
    # The box keeps 192 of 384 rows and 288 of 384 columns: 1 − 0.5 × 0.75.
    assert measured(picture).border == pytest.approx(1 - 0.5 * 0.75, abs=0.01)
    assert measured(textured(0)).border == 0


def test_figures_do_not_depend_on_the_scale_of_decoding() -> None:
    large = rgb(cv2.resize(textured(4), (1536, 1152), interpolation=cv2.INTER_CUBIC))
    small = rgb(cv2.resize(large, (768, 576), interpolation=cv2.INTER_AREA))
    assert measured(small).sharpness == pytest.approx(measured(large).sharpness, rel=0.1)
    assert measured(small).entropy == pytest.approx(measured(large).entropy, rel=0.02)


def test_blur_lowers_sharpness_until_it_is_a_fault() -> None:
    photo = textured(2)
    blurred = [rgb(cv2.GaussianBlur(photo, (0, 0), sigma)) for sigma in (1, 3, 12)]
    figures = [measured(each).sharpness for each in [photo, *blurred]]
    assert figures == sorted(figures, reverse=True)
    assert kinds(photo) == []
    assert kinds(blurred[-1]) == [Fault.BLURRED]


def test_pages_of_text() -> None:
    assert Fault.TEXT_SCREENSHOT in kinds(page())
    assert Fault.TEXT_SCREENSHOT in kinds(page(paper=15, ink=230))
    assert Fault.TEXT_SCREENSHOT in kinds(page((390, 760)))
    assert Fault.TEXT_SCREENSHOT in kinds(decode(encode_jpeg(page(), 80)))


def test_text_on_uneven_ground_is_a_label() -> None:
    photo = textured(6, (640, 480))
    cv2.putText(photo, "oat milk 1 litre", (60, 200), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (0,) * 3, 4)
    assert kinds(photo) == []


def test_blank_says_all() -> None:
    assert kinds(np.full((300, 400, 3), 255, np.uint8)) == [Fault.BLANK]
    assert kinds(np.zeros((300, 400, 3), np.uint8)) == [Fault.BLANK]
    shade = np.tile(np.linspace(90, 180, 400, dtype=np.uint8), (300, 1))
    assert kinds(np.repeat(shade[..., None], 3, axis=2)) == [Fault.BLANK]


def test_a_small_white_thing_on_white_is_a_photo() -> None:
    photo = np.full((480, 480, 3), 255, np.uint8)
    cv2.circle(photo, (240, 240), 60, (225, 225, 225), -1)
    for step in range(-40, 41, 8):
        cv2.line(photo, (240 + step, 205), (240 + step, 275), (170, 170, 170), 2)
    assert kinds(photo) == []


def test_dark_and_washed_out() -> None:
    photo = textured(3).astype(float)
    assert kinds((photo * 0.15).astype(np.uint8)) == [Fault.TOO_DARK]
    assert kinds((photo * 0.17 + 215).astype(np.uint8)) == [Fault.TOO_BRIGHT]


def test_size_and_shape_are_the_stored_photos() -> None:
    pixels = textured(0)
    small = faults(measure(pixels, width=90, height=80))
    assert [(f.kind, f.figure, f.threshold) for f in small] == [(Fault.TOO_SMALL, 80, 100)]
    strip = faults(measure(pixels, width=1200, height=300))
    assert [(f.kind, f.figure) for f in strip] == [(Fault.WRONG_ASPECT, 4)]


@pytest.mark.parametrize("gutter", [0, 8])
def test_panels_are_counted(gutter: int) -> None:
    one, two, three, four = (textured(seed) for seed in (1, 2, 3, 4))
    two = 255 - two // 2  # brighter throughout, as the next picture of a collage mostly is
    four = four // 3
    bar = np.full((320, gutter, 3), 255, np.uint8)
    row = np.hstack([one, bar, two])
    other = np.hstack([255 - three // 2, bar, four])
    line = np.full((gutter, row.shape[1], 3), 255, np.uint8)
    assert measured(one).panels == 1
    assert measured(row).panels == 2
    assert measured(np.vstack([row, line, other])).panels == 4
    assert Fault.COLLAGE in kinds(row)


def test_a_photo_padded_to_a_square_is_one() -> None:
    """Its ground is not quite white, the padding is: the step runs along all of it."""
    studio = np.full((240, 480, 3), 232, np.uint8)
    studio[60:180, 90:390] = cv2.resize(textured(4), (300, 120))
    padded = cv2.copyMakeBorder(studio, 120, 120, 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3)
    assert measured(studio).panels == measured(rgb(padded)).panels == 1
    assert Fault.COLLAGE not in kinds(rgb(padded))
    below = 255 - padded[120:360] // 2  # another picture, not blank
    assert measured(rgb(np.vstack([padded[120:360], below]))).panels == 2


def test_a_wall_above_a_table_is_no_panel() -> None:
    photo = np.full((360, 360, 3), (150, 90, 60), np.uint8)
    photo[140:] = (235, 220, 205)
    photo[180:300, 80:280] = cv2.resize(textured(5), (200, 120))
    assert measured(photo).panels == 1


def test_a_frame_and_stripes_are_no_panels() -> None:
    framed = cv2.copyMakeBorder(textured(1), 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    assert measured(rgb(framed)).panels == 1
    stripes = np.full((320, 320, 3), 200, np.uint8)
    stripes[:, (np.arange(320) // 8) % 2 == 0] = 40
    assert measured(stripes).panels == 1


def test_other_thresholds_need_no_photo() -> None:
    figures = measured(textured(0))
    assert faults(figures) == ()
    strict = IntegrityThresholds(sharpness=1e9, shorter_side=10_000)
    assert [f.kind for f in faults(figures, strict)] == [Fault.TOO_SMALL, Fault.BLURRED]


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 2000), (2000, 3), (16, 16)])
def test_any_size_can_be_measured(size_wh: tuple[int, int]) -> None:
    found = measured(np.full((*size_wh[::-1], 3), 90, np.uint8))
    assert all(math.isfinite(getattr(found, name)) for name in PhotoFigures.__slots__)
    assert Fault.TOO_SMALL in {fault.kind for fault in faults(found)}


@pytest.mark.shared
def test_real_photos_of_a_shop_and_of_shelves_have_no_fault() -> None:
    data = SHARED / "data"
    studio = sorted((data / "luma" / "images").glob("*.jpg"))[::9]
    shelves = sorted((data / "grocery" / "dataset" / "train").glob("**/*.jpg"))[::33]
    found = [kinds(decode(path.read_bytes())) for path in studio + shelves]
    assert len(found) > 150
    # Shelf edges are straight, and now and then one runs through the whole picture.
    assert sum(each == [Fault.COLLAGE] for each in found) <= len(found) * 0.01
    assert all(each in ([], [Fault.COLLAGE]) for each in found)
