from __future__ import annotations

import cv2
import numpy as np
import pytest

from satchel.encode.colour import BINS, COLOURS, REACH, colour_histogram

EVEN = np.ones((7, 7), np.float32)


def plain(colour: tuple[int, int, int], side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


def naive(crop: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One pixel after the other, each shared out between the four bins around its colour."""
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    histogram = np.zeros((BINS, BINS))
    for pixel, weight in zip(lab.reshape(-1, 3), weights.ravel(), strict=True):
        a, b = ((pixel[1:] + REACH) * BINS / (2 * REACH) - 0.5).tolist()
        for row in (int(np.floor(a)), int(np.floor(a)) + 1):
            for column in (int(np.floor(b)), int(np.floor(b)) + 1):
                share = (1 - abs(a - row)) * (1 - abs(b - column)) * weight
                place = min(max(row, 0), BINS - 1), min(max(column, 0), BINS - 1)
                histogram[place] += share
    return np.sqrt(histogram.ravel() / histogram.sum())


def test_agrees_with_plain_loops() -> None:
    from satchel.encode.colour import _balanced, _histogram

    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (9, 9, 3), np.uint8)
    weights = rng.random((9, 9)).astype(np.float32)
    pixels = crop.astype(np.float32) / np.float32(255)
    assert np.allclose(_histogram(pixels, weights), naive(crop, weights), atol=1e-5)
    grey = plain((90, 90, 90), 9).astype(np.float32) / np.float32(255)
    assert np.allclose(_balanced(grey), grey, atol=1e-5)


def test_is_of_length_one_and_compares_as_colours_do() -> None:
    red, dark_red, blue = (
        colour_histogram(plain(c), EVEN) for c in ((200, 40, 40), (190, 45, 40), (40, 40, 200))
    )
    assert red.shape == (COLOURS,)
    assert red.dtype == np.float32
    assert red @ red == pytest.approx(1, abs=1e-5)
    assert red @ dark_red > 0.8
    assert red @ blue < 0.6  # under white light both are grey: the half that is a guess


def test_the_ground_counts_little() -> None:
    """A red square on grass is a red thing, where the map says that the square stands out."""
    crop = plain((60, 160, 60), 224)
    crop[64:160, 64:160] = (200, 40, 40)
    found = np.zeros((7, 7), np.float32)
    found[2:5, 2:5] = 1
    red = colour_histogram(plain((200, 40, 40)), EVEN)
    assert colour_histogram(crop, found) @ red > colour_histogram(crop, EVEN) @ red + 0.1


def test_light_s_colour_costs_little() -> None:
    """Two things under yellowish light stay nearer to themselves than to each other."""
    light = np.array([1.0, 0.9, 0.7])
    things = []
    for colour in ((60, 90, 180), (150, 60, 90)):
        crop = plain((230, 230, 230))
        crop[16:48, 16:48] = colour
        things.append(crop)
    shone = [(thing * light).astype(np.uint8) for thing in things]
    first, second = (colour_histogram(thing, EVEN) for thing in things)
    for seen, right, wrong in ((shone[0], first, second), (shone[1], second, first)):
        assert colour_histogram(seen, EVEN) @ right > colour_histogram(seen, EVEN) @ wrong + 0.05


def test_where_nothing_stands_out_everything_counts() -> None:
    crop = plain((200, 40, 40))
    nothing = colour_histogram(crop, np.zeros((7, 7), np.float32))
    assert np.isfinite(nothing).all()
    assert nothing @ colour_histogram(crop, EVEN) == pytest.approx(1, abs=1e-5)
