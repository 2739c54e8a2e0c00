from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from satchel.curate.geometry import describe, mirrored, same_picture


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
    copy = picture.copy()
    cv2.putText(copy, "SHOP-24", (60, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 2)
    return copy


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "itself": lambda p: p,
    "cropped": lambda p: p[20:270, 40:390],
    "mirrored": lambda p: p[:, ::-1],
    "turned": turned,
    "framed": lambda p: cv2.copyMakeBorder(p, *[30] * 4, borderType=0, value=(0, 0, 0)),
    "stamped": stamped,
    "darker": lambda p: (p * 0.7).astype(np.uint8),
    "brighter": lambda p: np.clip(p * 1.3, 0, 255).astype(np.uint8),
    "smaller": lambda p: cv2.resize(p, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_the_same_picture_either_way_round(way: str) -> None:
    picture = scene(1)
    copy = np.ascontiguousarray(COPIES[way](picture))
    for match in (same_picture(picture, copy), same_picture(copy, picture)):
        assert match.same, match
        assert match.flipped == (way == "mirrored")


def test_one_surface_in_another_colour_is_another_picture() -> None:
    picture = scene(2)
    first, second = picture.copy(), picture.copy()
    cv2.rectangle(first, (150, 100), (250, 200), (40, 60, 160), -1)
    cv2.rectangle(second, (150, 100), (250, 200), (160, 60, 40), -1)
    match = same_picture(first, second)
    assert not match.same
    assert match.recoloured > 0.05  # 100 × 100 of 400 × 300 is 0.083


def test_other_pictures_are_others() -> None:
    assert not same_picture(scene(3), scene(4)).same


def test_two_blank_pictures_of_one_colour_are_the_same_and_of_two_are_not() -> None:
    grey, red = np.full((90, 90, 3), 128, np.uint8), np.full((90, 90, 3), (200, 60, 60), np.uint8)
    assert same_picture(grey, grey).same
    assert not same_picture(grey, red).same


def test_mirrored_features_are_those_of_the_mirrored_picture() -> None:
    picture = scene(5)
    told = mirrored(describe(picture))
    found = describe(np.ascontiguousarray(picture[:, ::-1]))
    apart = np.linalg.norm(told.points[:, None] - found.points[None], axis=2)
    cosines = told.descriptors @ found.descriptors.T
    alike = ((apart < 0.5) & (cosines > 0.95)).any(1)
    assert alike.mean() > 0.7  # chance alone, or a wrong order of bins, gives next to none
