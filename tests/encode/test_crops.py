from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import SHAPES, draw
from satchel.encode.card import LITE
from satchel.encode.crops import CropShape
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import crop
from satchel.records import WHOLE_PHOTO, Box

SHAPE = CropShape(176, 16)


@pytest.fixture(scope="module")
def encoder(shipped_encoder: Encoder) -> Encoder:
    return shipped_encoder


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1, 1, (176, 176)),
        (500, 400, (192, 160)),
        (4000, 3000, (192, 144)),
        (3000, 4000, (144, 192)),
        (1920, 1080, (224, 128)),
        (1, 50, (96, 320)),
    ],
)
def test_crops_have_about_the_photo_s_proportions(
    height: float, width: float, expected: tuple[int, int]
) -> None:
    assert SHAPE.fitting(height, width) == expected
    assert CropShape(176).fitting(height, width) == (176, 176)


@example(2.7262)  # the worst of 200,001 proportions, by 0.1156
@given(st.floats(1 / 3, 3))
def test_no_photo_is_squeezed_much_or_costs_more_than_a_square(proportion: float) -> None:
    rows, columns = SHAPE.fitting(proportion, 1)
    assert rows % 16 == columns % 16 == 0
    assert 0.8 * 176**2 <= rows * columns <= 176**2
    assert abs(np.log(rows / columns / proportion)) < 0.116
    assert SHAPE.fitting(1, proportion) == pytest.approx((columns, rows), abs=16)


def test_a_box_is_cut_by_its_own_proportions() -> None:
    photo = draw(SHAPES[0], 1, (400, 400))
    upper, whole = Box(0, 0, 1, 0.5), SHAPE.cut(photo, WHOLE_PHOTO)
    assert SHAPE.cut(photo, upper).shape == (*SHAPE.fitting(1, 2), 3)
    assert np.array_equal(whole, crop(photo, WHOLE_PHOTO, 176))


@pytest.mark.flow
def test_photos_of_several_sizes_are_embedded_in_order(encoder: Encoder) -> None:
    sizes = [(240, 320), (240, 240), (320, 240), (480, 640), (240, 241)]
    photos = [draw(SHAPES[n], 3, size) for n, size in enumerate(sizes)]
    together = embed(encoder, photos, gallery=True)
    for photo, seen in zip(photos, together, strict=True):
        (alone,) = embed(encoder, [photo], gallery=True)
        assert alone.box == seen.box
        assert alone.vector @ seen.vector == pytest.approx(1, abs=1e-5)
        assert alone.patches is not None
        assert seen.patches is not None
        assert np.abs(alone.patches.astype(int) - seen.patches).max() <= 1


def test_only_the_light_encoder_takes_squares_alone(encoder: Encoder) -> None:
    assert encoder.crop_shape == SHAPE
    assert Encoder.load(LITE).crop_shape.patch_px is None


@pytest.mark.flow
def test_vectors_depend_less_on_the_aspect_ratio_than_with_square_crops(
    encoder: Encoder,
) -> None:
    """The same thing in a square and in an upright photo of it, both kept and squeezed."""
    kept, squeezed = [], []
    for shape in SHAPES:
        square = draw(shape, 4, (320, 320))
        upright = square[:, 40:280]
        first, second = (seen.whole for seen in embed_all(encoder, [square, upright]))
        kept.append(first @ second)
        flat = crop(upright, WHOLE_PHOTO, 176)[None]
        squeezed.append(first @ encoder.encode(flat).vectors[0])
    assert np.mean(kept) > np.mean(squeezed)


def embed_all(encoder: Encoder, photos: list[np.ndarray]) -> list:
    return [embed(encoder, [photo])[0] for photo in photos]
