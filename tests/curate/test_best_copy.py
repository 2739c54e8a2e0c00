"""Which copy is kept: rules one by one on made-up figures, and real pixels together."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from curate.test_decide import RULES, gallery
from curate.test_geometry import scene
from satchel.catalog.curation import GalleryPhotos
from satchel.curate.decide import COPY, decide
from satchel.curate.fineness import KEY, fineness
from satchel.curate.orientation import AS_IT_IS, Copies, Way

LARGER = {"width": 800, "height": 600}
LEFT, MIRRORED = Way(3, flipped=False), Way(0, flipped=True)


def copies_and_others(
    figures: list[dict[str, Any]], cosines: list[float], **options: Any
) -> GalleryPhotos:
    """Copies with a cosine to three further photos of the product, which are alike."""
    vectors = np.zeros((len(figures) + 3, 8), np.float32)
    for row, cosine in enumerate([*cosines, 1, 1, 1]):
        vectors[row, 0], vectors[row, 1] = cosine, (1 - cosine**2) ** 0.5
    sizes = [*options.pop("size_bytes", [1000] * len(figures)), 1000, 1000, 1000]
    return gallery([*figures, {}, {}, {}], vectors, size_bytes=sizes, **options)


def kept(photos: GalleryPhotos, copies: Copies) -> list[int]:
    """Rows of the copies that stay."""
    states = decide(photos, copies, RULES)
    rows = sorted({row for pair in copies for row in pair})
    return [row for row in rows if all(r["kind"] != COPY for r in states[row].reasons)]


def all_as_they_are(count: int) -> Copies:
    return {(0, row): AS_IT_IS for row in range(1, count)}


def test_of_one_picture_the_larger_is_kept_whatever_its_bytes() -> None:
    photos = copies_and_others([{}, LARGER, {}], [0.9] * 3, size_bytes=[9000, 500, 700])
    assert kept(photos, all_as_they_are(3)) == [1]


def test_saved_again_with_more_bytes_is_no_better() -> None:
    photos = copies_and_others([{}, {}], [0.9, 0.903], size_bytes=[9000, 3000])
    assert kept(photos, all_as_they_are(2)) == [1]


def test_an_enlargement_is_no_better() -> None:
    photos = copies_and_others([{}, LARGER], [0.9, 0.9])
    photos.contents[0] = {**photos.contents[0], KEY: 0.3}
    photos.contents[1] = {**photos.contents[1], KEY: 0.12}
    assert kept(photos, all_as_they_are(2)) == [0]
    photos.contents[1][KEY] = 0.28  # as fine: it is the larger original
    assert kept(photos, all_as_they_are(2)) == [1]


def test_a_thumbnail_is_finer_and_shows_less() -> None:
    photos = copies_and_others([{"width": 4000, "height": 3000}, {}], [0.9, 0.9])
    photos.contents[0] = {**photos.contents[0], KEY: 0.05}
    photos.contents[1] = {**photos.contents[1], KEY: 0.4}
    assert kept(photos, all_as_they_are(2)) == [0]


@pytest.mark.parametrize("way", [LEFT, MIRRORED])
def test_the_way_that_is_like_the_catalogue_is_kept(way: Way) -> None:
    """Even if what lies otherwise is larger and has more bytes."""
    photos = copies_and_others([LARGER, {}], [0.8, 0.85], size_bytes=[9000, 100])
    assert kept(photos, {(0, 1): way}) == [1]
    photos = copies_and_others([{}, LARGER], [0.85, 0.8], size_bytes=[100, 9000])
    assert kept(photos, {(0, 1): way}) == [0]


def test_where_that_is_not_clear_most_decide() -> None:
    photos = copies_and_others([{}] * 3, [0.86, 0.85, 0.85], size_bytes=[3, 2, 1])
    assert kept(photos, {(0, 1): LEFT, (1, 2): AS_IT_IS}) == [2]


def test_a_dark_copy_gives_way() -> None:
    photos = copies_and_others([{}, {}], [0.85, 0.88], size_bytes=[100, 9000])
    assert kept(photos, all_as_they_are(2)) == [1]


def test_a_picture_of_two_products_is_not_compared_with_itself() -> None:
    """The copy under another code is as like as can be, and says nothing about the way it lies."""
    vectors = np.eye(8, dtype=np.float32)[[0, 1, 0, 1, 1, 1]]
    photos = gallery([{}] * 6, vectors, codes=["A", "A", "B", "C", "C", "C"])
    copies = {(0, 1): LEFT, (0, 2): AS_IT_IS}
    assert 0 not in kept(photos, copies)  # 1 is like the photos of C


def test_enlarging_lowers_fineness() -> None:
    rng = np.random.default_rng(0)
    cloth = cv2.GaussianBlur(rng.normal(0, 40, (300, 400, 3)), (0, 0), 0.8)
    pixels = np.clip(scene(1) + cloth, 0, 255).astype(np.uint8)
    own = fineness(pixels)
    for by in (1.4, 2.0):
        enlarged = cv2.resize(pixels, None, fx=by, fy=by, interpolation=cv2.INTER_CUBIC)
        assert fineness(enlarged.astype(np.uint8)) < 0.7 * own
    assert fineness((pixels * 0.6).astype(np.uint8)) == pytest.approx(own, rel=0.3)
    assert fineness(np.full((50, 40, 3), 7, np.uint8)) == 0
    assert fineness(pixels[:1, :1]) == 0
