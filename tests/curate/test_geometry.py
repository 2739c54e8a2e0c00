from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from satchel.curate.geometry import (
    Comparison,
    Overlay,
    compare,
    describe,
    mirrored,
)
from satchel.curate.pixel_difference import residual
from satchel.curate.rules import DuplicateThresholds
from satchel.images import decode, encode_jpeg
from support.pictures import rgb


def scene(seed: int) -> np.ndarray:
    """A cluttered picture: 60 discs and boxes of all colours, softened."""
    rng = np.random.default_rng(seed)
    picture = np.full((300, 400, 3), 200, np.uint8)
    for _ in range(60):
        x, y = (int(v) for v in rng.integers(0, (400, 300)))
        r, colour = int(rng.integers(8, 45)), [int(c) for c in rng.integers(20, 236, 3)]
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), r, colour, -1)
        else:
            cv2.rectangle(picture, (x - r, y - r), (x + r, y + r // 2), colour, -1)
    return cv2.GaussianBlur(picture, (3, 3), 0)


def turned(picture: np.ndarray) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((200, 150), 4, 1)
    return cv2.warpAffine(picture, matrix, (400, 300))


def stamped(picture: np.ndarray) -> np.ndarray:
    ink = picture.copy()
    cv2.putText(ink, "SHOP-24", (60, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 2)
    return cv2.addWeighted(picture, 0.6, ink, 0.4, 0)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "itself": lambda p: p,
    "cropped": lambda p: p[20:270, 40:390],
    "mirrored": lambda p: p[:, ::-1],
    "turned": turned,
    "framed": lambda p: cv2.copyMakeBorder(p, 30, 30, 30, 30, borderType=0, value=(0, 0, 0)),
    "stamped": stamped,
    "darker": lambda p: (p * 0.7).astype(np.uint8),
    "brighter": lambda p: np.clip(p * 1.3, 0, 255).astype(np.uint8),
    "smaller": lambda p: cv2.resize(p, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
}


LIMITS = DuplicateThresholds()


def same_picture(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(compared(a, b).same(LIMITS))


def compared(a: np.ndarray, b: np.ndarray) -> Comparison:
    return compare(describe(a), describe(b), LIMITS)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_the_same_picture_either_way_round(way: str) -> None:
    picture = scene(1)
    copy = np.ascontiguousarray(COPIES[way](picture))
    for found in (compared(picture, copy), compared(copy, picture)):
        assert found.same(LIMITS), found
        assert found.overlays[-1].flipped == (way == "mirrored")


def test_one_surface_in_another_colour_is_another_picture() -> None:
    picture = scene(2)
    first, second = picture.copy(), picture.copy()
    cv2.rectangle(first, (150, 100), (250, 200), (40, 60, 160), -1)
    cv2.rectangle(second, (150, 100), (250, 200), (160, 60, 40), -1)
    found = compared(first, second)
    assert found.same(LIMITS) is False
    # 100 × 100 of 400 × 300 is 0.083; the rim that is left out makes it a little more.
    assert found.overlays[0].marked == pytest.approx(0.09, abs=0.02)
    assert found.overlays[0].turned > 10 * LIMITS.max_turned


def test_other_pictures_are_others() -> None:
    assert not same_picture(scene(3), scene(4))


def test_two_blank_pictures_of_one_colour_are_the_same_and_of_two_are_not() -> None:
    grey, red = np.full((90, 90, 3), 128, np.uint8), np.full((90, 90, 3), (200, 60, 60), np.uint8)
    assert same_picture(grey, grey)
    assert not same_picture(grey, red)


@pytest.mark.parametrize(("side", "enough"), [(1, False), (3, False), (7, False), (8, True)])
def test_pictures_of_a_few_pixels_are_no_copies_and_no_fault(side: int, enough: bool) -> None:
    picture = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    assert same_picture(picture, picture) is enough


def test_mirrored_features_are_those_of_the_mirrored_picture() -> None:
    picture = scene(5)
    told = mirrored(describe(picture))
    found = describe(np.ascontiguousarray(picture[:, ::-1]))
    apart = np.linalg.norm(told.points[:, None] - found.points[None], axis=2)
    cosines = told.descriptors @ found.descriptors.T
    alike = ((apart < 0.5) & (cosines > 0.95)).any(1)
    assert alike.mean() > 0.7  # chance alone, or a wrong order of bins, gives next to none


def test_other_thresholds_need_the_kept_figures_alone() -> None:
    picture = scene(6)
    kept = compared(picture, stamped(picture))
    assert Comparison.from_json(kept.as_json()) == kept
    looser = LIMITS.model_copy(update={"max_marked": 0.5, "max_turned": 9.0})
    assert kept.same(looser) is True
    # What fitted ended the search: by stricter rules nobody knows whether another way would fit.
    strictest = LIMITS.model_copy(update={"max_difference": -1.0, "max_turned": -1.0})
    assert kept.same(strictest) is None
    others = compared(scene(7), scene(8))
    assert others.same(strictest) is False


@pytest.mark.parametrize("seed", range(4))
def test_recompressing_and_shrinking_stay_below_one_and_a_dyed_string_does_not(seed: int) -> None:
    picture = scene(20 + seed)
    small = rgb(cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    for copy in (picture, small):
        (told,) = compared(picture, decode(encode_jpeg(copy, 50))).overlays
        assert told.difference < 1
    first, second = picture.copy(), picture.copy()
    cv2.line(first, (60, 200), (330, 120), (40, 60, 200), 8)
    cv2.line(second, (60, 200), (330, 120), (200, 60, 40), 8)
    assert compared(first, second).same(LIMITS) is False


def test_grey_ink_turns_no_hue() -> None:
    brown = np.full((240, 240, 3), (180, 120, 90), np.uint8)
    brown[:, 120:] //= 2
    inked, dyed = brown.copy(), brown.copy()
    inked[100:115, 60:90] //= 2  # darker by half: one hue
    dyed[100:115, 60:90] = (90, 120, 180)
    (ink,), (dye,) = (compared(brown, other).overlays[:1] for other in (inked, dyed))
    assert ink.difference > 1
    assert ink.turned < LIMITS.max_turned < dye.turned / 5


def test_unexplained_is_what_a_loop_over_channels_says() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.choice((0, 3, 6, 7, 90, 130, 248, 249, 255), (40, 40, 3)) for _ in range(2))
    gain, offset = 1.2, -9.0
    told = (gain * b + offset).astype(np.float32)
    found = residual(a.astype(np.float32), b.astype(np.uint8), told)
    for at in np.ndindex(a.shape):
        # What b may have been in a's brightness: clipped ends are open.
        low = -np.inf if b[at] <= 6 else min(told[at], 249)
        high = np.inf if b[at] >= 249 else max(told[at], 6)
        above = 0 if a[at] <= 6 else max(a[at] - high, 0)
        below = 0 if a[at] >= 249 else max(low - a[at], 0)
        assert found[at] == pytest.approx(above - below, abs=1e-3)


def test_a_transform_that_few_keypoints_agree_on_does_not_fit() -> None:
    def overlay(inliers: int) -> Overlay:
        return Overlay(False, inliers, 1.0, 1.0, 0.0, 0.0, 0.0)

    assert overlay(0).fits(LIMITS)
    assert not overlay(LIMITS.min_inliers - 1).fits(LIMITS)
    assert overlay(LIMITS.min_inliers).fits(LIMITS)
