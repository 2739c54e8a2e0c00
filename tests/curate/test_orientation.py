"""How copies lie to each other: compared with turning real pixels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from curate.test_geometry import LIMITS, scene
from satchel.curate.geometry import compare, describe
from satchel.curate.orientation import AS_IT_IS, Way, familiarity, ways

WAYS = [Way(turn, flipped) for turn in range(4) for flipped in (False, True)]


def laid(way: Way, picture: np.ndarray) -> np.ndarray:
    """Mirror a picture, then turn it clockwise."""
    mirrored = picture[:, ::-1] if way.flipped else picture
    return np.rot90(mirrored, -way.turn)


@pytest.mark.parametrize(("one", "other"), list(product(WAYS, WAYS)))
def test_ways_compose_as_pixels_do(one: Way, other: Way) -> None:
    picture = np.arange(12).reshape(3, 4)
    both = laid(one, laid(other, picture))
    assert np.array_equal(laid(one.after(other), picture), both)
    assert one.after(one.undone()) == one.undone().after(one) == AS_IT_IS


@pytest.mark.parametrize("way", WAYS)
def test_the_way_that_a_copy_lies_is_found(way: Way) -> None:
    picture = scene(3)
    copy = np.ascontiguousarray(laid(way.undone(), picture))
    overlay = compare(describe(picture), describe(copy), LIMITS).fitting(LIMITS)
    assert overlay is not None
    assert Way(overlay.turn, overlay.flipped) == way


def test_ways_follow_from_pair_to_pair() -> None:
    rng = np.random.default_rng(0)
    true = [WAYS[at] for at in rng.integers(0, 8, 7)]
    # `true[row]` lays a row over an upright picture; b over a: first upright, then back as a is.
    pairs = [(0, 1), (2, 1), (2, 3), (4, 3), (5, 4), (0, 6)]
    copies = {(a, b): true[a].undone().after(true[b]) for a, b in pairs}
    found = ways(range(7), copies)
    for row, way in found.items():
        assert way == true[0].undone().after(true[row])
    assert ways([7, 8], copies) == {7: AS_IT_IS, 8: AS_IT_IS}


def test_familiarity_is_the_mean_of_the_nearest_others() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(9, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([0, 1, 2, 3, 4, 2, 6, 0, 8])
    for row, value in zip((2, 5, 7), familiarity(vectors, labels, [2, 5, 7]), strict=True):
        others = sorted(vectors[row] @ vectors[o] for o in range(9) if labels[o] != labels[row])
        assert value == pytest.approx(np.mean(others[-3:]), abs=1e-6)
    assert familiarity(vectors[:2], np.zeros(2, np.int64), [0, 1]).tolist() == [0, 0]
    assert familiarity(vectors, labels, []).shape == (0,)
