from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from conftest import SHAPES, draw
from satchel.curate.shop_mark import find_mark, mark_share
from satchel.images import RGB
from support.pictures import maison, stamped


def shop(n: int, seed: int = 0) -> list[RGB]:
    """Different drawn products on cluttered ground."""
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(n):
        noise = cv2.GaussianBlur(rng.normal(size=(240, 320, 3)), (0, 0), 5) * 250
        drawn = draw(SHAPES[number % len(SHAPES)], seed=seed + number).astype(float)
        photos.append(np.clip(drawn * 0.7 + noise + 20, 0, 255).astype(np.uint8))
    return photos


def mark_all(photos: Sequence[RGB]) -> list[RGB]:
    return [stamped(p, "© resale.example", (20, 130), size=1.0, opacity=0.5) for p in photos]


def test_what_a_shop_stamps_is_found_across_the_products() -> None:
    marked, clean = mark_all(shop(24)), shop(12, seed=100)
    mark = find_mark(marked)
    assert mark is not None
    rows = mark.at // 320
    # Letters stand on the line y = 130 of 240 and are 22 high, with g and p 9 below: of 320 rows,
    # 144 to 185.
    assert np.percentile(rows, 2) > 120
    assert np.percentile(rows, 98) < 190
    assert min(mark_share(photo, mark) for photo in marked) >= 0.5
    assert max(mark_share(photo, mark) for photo in clean) < 0.3
    again = mark_all(clean)
    assert min(mark_share(photo, mark) for photo in again) >= 0.5, "photos it was not found in"


def test_photos_without_a_mark_have_nothing_in_common() -> None:
    assert find_mark(shop(24)) is None
    assert find_mark(maison(1)[:30]) is None


def test_too_few_photos_say_nothing() -> None:
    assert find_mark(mark_all(shop(23))) is None
    assert find_mark([]) is None


def test_a_mark_on_half_of_the_photos_is_not_taken_for_the_shops() -> None:
    assert find_mark([*mark_all(shop(12)), *shop(12, seed=50)]) is None


def naive_share(
    photo: RGB, mark_at: npt.NDArray[np.intp], gradients: npt.NDArray[np.float32]
) -> float:
    """`carries`, place by place, with differences instead of a filter."""
    grey = cv2.cvtColor(
        cv2.resize(photo, (320, 320), interpolation=cv2.INTER_LINEAR), cv2.COLOR_RGB2GRAY
    ).astype(int)
    hits = 0
    for place, (gx, gy) in zip(mark_at, gradients.T, strict=True):
        r, c = divmod(int(place), 320)
        near = grey[r - 1 : r + 2, c - 1 : c + 2]
        across = near[:, 2] - near[:, 0]
        down = near[2] - near[0]
        x, y = (int(d[0] + 2 * d[1] + d[2]) // 4 for d in (across, down))
        hits += 0.5 < (x * gx + y * gy) / (gx * gx + gy * gy) < 2
    return hits / len(mark_at)


def test_share_of_a_mark_is_that_of_a_slow_count() -> None:
    marked = mark_all(shop(24))
    mark = find_mark(marked)
    assert mark is not None
    for photo in (marked[0], shop(3, seed=9)[2]):
        assert mark_share(photo, mark) == pytest.approx(naive_share(photo, mark.at, mark.gradients))
