"""Views of photos: boxes stay on their objects."""

from __future__ import annotations

import numpy as np
import pytest

from satchel.train.locator.augment import letterbox, mosaic, random_view, visible_boxes
from satchel.train.locator.samples import Sample


def patches(seed: int, size_wh: tuple[int, int] = (160, 120)) -> Sample:
    """Dark noise with a red and a blue rectangle, labels 0 and 1."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    pixels = rng.integers(0, 30, (height, width, 3)).astype(np.uint8)
    boxes = []
    for channel, left in ((0, 0), (2, width // 2)):
        x, y = left + int(rng.integers(5, 20)), int(rng.integers(5, height // 2))
        w, h = int(rng.integers(25, 40)), int(rng.integers(25, 40))
        pixels[y : y + h, x : x + w] = np.eye(3, dtype=np.uint8)[channel] * 255
        boxes.append((x, y, x + w, y + h))
    return pixels, np.array(boxes, np.float32), np.array([0, 1])


def test_a_letterbox_keeps_proportions_in_the_corner() -> None:
    pixels = np.full((60, 120, 3), 200, np.uint8)
    canvas, size_wh = letterbox(pixels, 64)
    assert canvas.shape == (64, 64, 3)
    assert size_wh == (64, 32)
    assert (canvas[:32] == 200).all()
    assert (canvas[32:] == 114).all()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("of", ["one", "four"])
def test_boxes_stay_on_their_objects(seed: int, of: str) -> None:
    rng = np.random.default_rng([seed, 7])
    if of == "one":
        view = random_view(patches(seed), 128, (0.6, 1.4), rng)
    else:
        view = mosaic([patches(4 * seed + n) for n in range(4)], 128, (0.5, 1.2), rng)
    pixels, boxes, labels = view
    assert pixels.shape == (128, 128, 3)
    assert pixels.dtype == np.uint8
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes <= 128).all()
    for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
        inside = pixels[int(y0) + 2 : int(y1) - 1, int(x0) + 2 : int(x1) - 1].reshape(-1, 3)
        if not len(inside):
            continue
        red, _, blue = inside.mean(0)
        assert (red > 2 * blue) if label == 0 else (blue > 2 * red)


def test_what_is_hardly_visible_is_left_out() -> None:
    boxes = np.array([[-30, 10, 10, 30], [-10, 10, 30, 30], [5, 5, 6, 40], [50, 50, 90, 90]], float)
    kept, labels = visible_boxes(boxes.astype(np.float32), np.arange(4), (0, 0, 64, 64))
    # A quarter of the first remains, three of the second; the third is one pixel wide; of the
    # last 14 of 40 pixels remain each way.
    assert labels.tolist() == [0, 1]
    np.testing.assert_array_equal(kept, [[0, 10, 10, 30], [0, 10, 30, 30]])


def test_a_view_is_the_same_for_the_same_random_numbers() -> None:
    one, two = (
        mosaic([patches(n) for n in range(4)], 96, (0.5, 1.2), np.random.default_rng(3))
        for _ in range(2)
    )
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours, theirs)
