from __future__ import annotations

import cv2
import numpy as np
import pytest

from satchel.images import RGB
from satchel.market.desk.regions import MARGIN, MAX_REGIONS, matching_regions
from satchel.records import Box
from support.pictures import rgb

PLACES = ((60, 60), (400, 90), (230, 300))
"""Left and top of the patches, 130 pixels wide."""


def textured(seed: int, places: tuple[tuple[int, int], ...] = PLACES) -> RGB:
    """A grey ground, 640 × 480, with patches of texture that fade into it."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), 210, np.float32)
    fading = cv2.GaussianBlur(np.pad(np.ones((90, 90)), 20), (0, 0), 6)[..., None]
    for left, top in places:
        spots = random.integers(0, 255, (18, 18, 3), dtype=np.uint8)
        patch = cv2.resize(spots, (130, 130), interpolation=cv2.INTER_CUBIC)
        ground = picture[top : top + 130, left : left + 130]
        ground += fading * (patch - ground)
    return rgb(picture.astype(np.uint8))


def centre(box: Box) -> np.ndarray:
    x0, y0, x1, y1 = box.xyxy
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


def test_regions_lie_where_the_map_between_the_photos_says() -> None:
    own = textured(1)
    turn = cv2.getRotationMatrix2D((320, 240), 12, 0.8) + np.array([[0, 0, 40], [0, 0, -25]])
    reference = cv2.warpAffine(own, turn, (700, 500), borderValue=(210, 210, 210))
    found = matching_regions(own, rgb(reference))
    assert len(found) == len(PLACES)
    assert [one.pairs for one in found] == sorted((one.pairs for one in found), reverse=True)
    for one in found:
        there = turn @ np.array([*(centre(one.own) * (640, 480)), 1])
        assert np.abs(there - centre(one.reference) * (700, 500)).max() < 12  # pixels
    # Each patch is 130 pixels wide, and the margin is added on both sides.
    for one in found:
        assert one.own.width < 130 / 640 + 2 * MARGIN + 0.02


def test_a_part_of_a_photo_is_found_in_it() -> None:
    whole = textured(2)
    part = rgb(whole[50:200, 390:540])
    only = matching_regions(part, whole)[0]
    assert np.abs(centre(only.reference) * (640, 480) - (465, 155)).max() < 12


@pytest.mark.parametrize("seed", range(5))
def test_other_photos_have_nothing_in_common(seed: int) -> None:
    other = textured(20 + seed, ((20, 300), (300, 40), (480, 320)))
    assert matching_regions(textured(10 + seed), other) == ()


@pytest.mark.parametrize("shape", [(480, 640), (1, 1), (3, 900), (2_000, 40)])
def test_a_photo_without_details_has_no_regions(shape: tuple[int, int]) -> None:
    plain = rgb(np.full((*shape, 3), 128, np.uint8))
    assert matching_regions(plain, plain) == ()
    assert matching_regions(plain, textured(1)) == ()
    assert matching_regions(textured(1), plain) == ()


def test_many_details_are_cut_to_the_best() -> None:
    random = np.random.default_rng(3)
    picture = np.full((900, 900, 3), 210, np.uint8)
    for at in range(16):
        left, top = 40 + 220 * (at % 4), 40 + 220 * (at // 4)
        spots = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        patch = cv2.resize(spots, (90, 90), interpolation=cv2.INTER_CUBIC)
        picture[top : top + 90, left : left + 90] = patch
    found = matching_regions(rgb(picture), rgb(picture))
    assert len(found) == MAX_REGIONS
