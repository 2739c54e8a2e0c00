"""An encoder whose vectors have much in common ranks as one without, once that is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from satchel.catalog.vectors import GalleryVectors
from satchel.encode.colour import COLOURS
from satchel.encode.fit import NOT_MEASURED, EncoderFit
from satchel.lookalikes.near_pairs import LeastCosine, near_pairs
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules

COMMON = 3.0
SCALE = 1 / (1 + COMMON**2)
RULES = SearchRules(view_power=0, product_power=0)
NO_VIEWS = np.empty((0, 12), np.float32)
RNG = np.random.default_rng(7)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


OWNERS = np.sort(RNG.integers(0, 12, 60))
CENTRES = RNG.normal(size=(12, 12))
PHOTOS = unit(CENTRES[OWNERS] + RNG.normal(scale=0.7, size=(60, 12)))
QUERIES = unit(CENTRES[:4] + RNG.normal(scale=0.9, size=(4, 12)))
SHOWN = unit(RNG.random((64, COLOURS)))
NAMES = RNG.integers(0, 256, (60, 32), np.uint8)


def crowded(vectors: np.ndarray) -> np.ndarray:
    """With a further number that is the same in all: cosines of 0.9 and more."""
    return unit(np.hstack([vectors, np.full((len(vectors), 1), COMMON)]))


def index(
    vectors: np.ndarray, rules: SearchRules = RULES, fit: EncoderFit = NOT_MEASURED
) -> GalleryIndex:
    gallery = GalleryVectors(vectors, OWNERS, NAMES, 1, SHOWN[:60])
    return GalleryIndex.of(gallery, "test", NO_VIEWS, rules, fit=fit)


def scores(of: GalleryIndex, queries: np.ndarray) -> dict[int, float]:
    ranked = rank_products(of, np.hstack([queries, SHOWN[60:]]), top=12)
    return {one.product: one.score for one in ranked}


@pytest.mark.parametrize("times", [0.0, 1.0, 2.0])
def test_scores_with_colours_and_re_ranking_are_the_same(times: float) -> None:
    """A weight's multiple is what the settings would say for the built-in encoder."""
    chosen = RULES.model_copy(update={"colour_weight": RULES.colour_weight * times})
    expected = scores(index(PHOTOS, chosen), QUERIES)
    fit = EncoderFit(distance=SCALE, searched=SCALE, colours=times)
    found = scores(index(crowded(PHOTOS), fit=fit), crowded(QUERIES))
    assert found == pytest.approx(expected, abs=1e-3)
    without = scores(index(crowded(PHOTOS), chosen), crowded(QUERIES))
    assert min(without.values()) > max(expected.values())


def test_look_alikes_are_the_same() -> None:
    least = LeastCosine(0.6, 0.9)
    expected = near_pairs(index(PHOTOS), least, {})
    fit = EncoderFit(distance=SCALE, searched=SCALE)
    found = near_pairs(index(crowded(PHOTOS), fit=fit), least, {})
    assert found.keys() == expected.keys()
    assert 0 < len(expected) < 66
    for pair, near in expected.items():
        assert found[pair].cosine == pytest.approx(near.cosine, abs=1e-3)
    assert len(near_pairs(index(crowded(PHOTOS)), least, {})) == 66  # all, as it was


def test_the_fit_is_kept_in_the_index(tmp_path: Path) -> None:
    path = tmp_path / "index.safetensors"
    fit = EncoderFit(distance=0.5, searched=SCALE, colours=0, patches=2, photos=9)
    index(crowded(PHOTOS), fit=fit).save(path)
    assert GalleryIndex.load(path).fit == fit
