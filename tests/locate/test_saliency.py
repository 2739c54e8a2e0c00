from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, SHARED, draw
from satchel.encode.card import BUILTIN, LITE
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


def test_finds_a_shape_in_any_corner(encoder: Encoder) -> None:
    photo = np.full((480, 640, 3), 230, np.uint8)
    photo[200:460, 300:620] = draw("cross", size_wh=(320, 260))
    boxes = []
    for down, across in itertools.product((1, -1), repeat=2):
        (seen,) = embed(encoder, [np.ascontiguousarray(photo[::down, ::across])])
        corners = np.array(seen.box.xyxy).reshape(2, 2)
        boxes.append(np.sort((corners - 0.5) * (across, down) + 0.5, axis=0))
    for (left, top), (right, bottom) in boxes:
        assert 300 / 640 < (left + right) / 2 < 620 / 640
        assert 200 / 480 < (top + bottom) / 2 < 460 / 480
    assert np.ptp(boxes, axis=0).max() < 0.1  # 0.16 where boxes lay too far right and down


SHIFT = 0.05
"""Of a side. Boxes that lay half a cell too far right and down differed by 0.1 and 0.15."""

FLIPS = {"half turn": (-1, -1), "left to right": (1, -1), "upside down": (-1, 1)}
STUDIO = Path(__file__).resolve().parents[2] / "examples" / "maison" / "photos"

both_encoders = pytest.mark.parametrize("card", [BUILTIN, LITE], ids=lambda path: path.stem)


def placed_shapes() -> list[np.ndarray]:
    """Drawn shapes of several sizes, anywhere in photos of several proportions."""
    rng = np.random.default_rng(0)
    photos = []
    for number in range(30):
        height, width = [(300, 300), (320, 240), (240, 320)][number % 3]
        side = int(rng.uniform(0.4, 0.8) * min(height, width))
        photo = np.full((height, width, 3), 235, np.uint8)
        top, left = (int(rng.integers(0, length - side)) for length in (height, width))
        shape = draw(SHAPES[number % len(SHAPES)], 1, (side, side))
        photo[top : top + side, left : left + side] = shape
        photos.append(photo)
    return photos


def decoded(paths: list[Path]) -> list[np.ndarray]:
    return [decode(path.read_bytes()) for path in paths]


def shifts(card: Path, photos: list[np.ndarray], *flips: str) -> dict[str, np.ndarray]:
    """How far boxes lie right and down of those of flipped photos, flipped back; sides' share."""
    encoder = Encoder.load(card, threads=1)

    def middles(down: int, across: int) -> np.ndarray:
        flipped = [np.ascontiguousarray(photo[::down, ::across]) for photo in photos]
        corners = np.array([one.box.xyxy for one in embed(encoder, flipped)]).reshape(-1, 2, 2)
        return (corners.mean(1) - 0.5) * (across, down)

    upright = middles(1, 1)
    return {flip: (upright - middles(*FLIPS[flip])).mean(0) for flip in flips}


@pytest.mark.flow
@both_encoders
def test_boxes_of_shapes_turn_with_their_photo(card: Path) -> None:
    """Where the locator looks differs a little with what it sees: flat shapes lie left by 0.03."""
    right, below = shifts(card, placed_shapes(), "half turn")["half turn"]
    assert abs(right) < 0.07  # twice that
    assert abs(below) < SHIFT


@pytest.mark.flow
@both_encoders
def test_boxes_of_studio_pictures_turn_with_their_photo(card: Path) -> None:
    photos = decoded(sorted(STUDIO.rglob("*.jpg"))[::2])
    assert len(photos) > 20
    for flip, shift in shifts(card, photos, *FLIPS).items():
        assert np.abs(shift).max() < SHIFT, flip


@pytest.mark.shared
@both_encoders
def test_boxes_of_real_photos_turn_with_their_photo(card: Path) -> None:
    folder = SHARED / "data"
    paths = sorted((folder / "dreambooth").glob("*/00.jpg"))
    photos = decoded(paths + sorted((folder / "luma").rglob("*.jpg"))[7::60][:20])
    assert len(photos) > 30
    for flip, shift in shifts(card, photos, *FLIPS).items():
        assert np.abs(shift).max() < SHIFT, flip


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
