from __future__ import annotations

import numpy as np
import pytest

from conftest import SHARED, draw
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import decode
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box


def test_largest_region_above_the_mean() -> None:
    saliency = np.zeros((8, 8), np.float32)
    saliency[2:6, 1:5] = 1  # 16 cells, and one that is apart
    saliency[7, 7] = 1
    box = salient_box(saliency)
    # Cells 1..4 of 8 across, 2..5 down. Linear enlargement blurs the edge by half a cell at most.
    assert np.abs(np.array(box.xyxy) - (1 / 8, 2 / 8, 5 / 8, 6 / 8)).max() <= 0.5 / 8


def test_nothing_stands_out() -> None:
    assert salient_box(np.ones((7, 7), np.float32)) == WHOLE_PHOTO


def test_box_within_box() -> None:
    # Half of the outer width 0.4 is 0.2, from 0.2 + 0.25 × 0.4 = 0.3 on; likewise down.
    inner = Box(0.25, 0.5, 0.75, 1.0).within(Box(0.2, 0.1, 0.6, 0.9))
    assert inner.xyxy == pytest.approx((0.3, 0.5, 0.5, 0.9))


@pytest.mark.parametrize(
    "corners", [(0.5, 0, 0.5, 1), (0, 0.6, 1, 0.5), (-0.1, 0, 1, 1), (0, 0, 1, 2)]
)
def test_boxes_are_checked(corners: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected 0 ≤ x0"):
        Box(*corners)


def test_finds_a_shape_in_a_corner_of_a_photo(encoder: Encoder) -> None:
    photo = np.full((480, 640, 3), 230, np.uint8)
    photo[300:460, 400:600] = draw("cross", size_wh=(200, 160))
    (seen,) = embed(encoder, [photo])
    x, y = (seen.box.x0 + seen.box.x1) / 2, (seen.box.y0 + seen.box.y1) / 2
    assert 400 / 640 < x < 600 / 640
    assert 300 / 480 < y < 460 / 480
    assert (seen.box.x1 - seen.box.x0) < 0.6


@pytest.mark.shared
def test_finds_the_object_of_real_photos(encoder: Encoder) -> None:
    """DreamBooth's objects lie near the middle: every box must hold the photo's centre."""
    photos = sorted((SHARED / "data" / "dreambooth").glob("*/00.jpg"))
    held = [
        box.x0 < 0.5 < box.x1 and box.y0 < 0.5 < box.y1
        for path in photos
        for box in [embed(encoder, [decode(path.read_bytes())])[0].box]
    ]
    assert len(held) > 20
    assert sum(held) >= len(held) - 2
