"""A filter restricts the gallery before ranking: filter-then-rank as the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.vectors import GalleryVectors
from satchel.encode.colour import COLOURS
from satchel.nearest import nearest_rows
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import PatchMatcher
from satchel.search.ranking import NEIGHBOURS, POOL, rank_products
from satchel.search.rules import SearchRules

DIMENSION, PATCH = 12, 6


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Gallery:
    """A random gallery under the shipped rules, with local features; photos are numbered."""

    def __init__(self, seed: int, products: int, photos: int) -> None:
        rng = np.random.default_rng(seed)
        owners = np.sort(rng.integers(0, products, photos)) * 7 + 3
        digests = np.stack(
            [np.frombuffer(at.to_bytes(32, "big"), np.uint8) for at in range(photos)]
        )
        colours = unit(rng.random((photos, COLOURS)))
        vectors = unit(rng.normal(size=(photos, DIMENSION)))
        self._patches = rng.integers(-90, 90, (photos, 5, PATCH), dtype=np.int8)
        self.index = GalleryIndex.of(
            GalleryVectors(vectors, owners, digests, revision=1, colours=colours),
            "test",
            rng.normal(scale=0.1, size=(30, DIMENSION)).astype(np.float32),
            SearchRules(),
            self._patches.reshape(-1, PATCH),
        )
        self.queries = np.hstack(
            [unit(rng.normal(size=(2, DIMENSION))), unit(rng.random((2, COLOURS)))]
        ).astype(np.float32)
        asked = rng.integers(-90, 90, (2, 4, PATCH), dtype=np.int8)
        self.matcher = PatchMatcher(list(asked), self.read)
        self.products = np.unique(owners)

    def read(self, photos: object) -> list[bytes]:
        return [self._patches[int(name, 16)].tobytes() for name in photos]  # type: ignore[attr-defined]

    def without_the_others(self, only: np.ndarray) -> GalleryIndex:
        """The index with the rows of other products taken out; the rest is the same."""
        gallery = self.index.gallery
        rows = [at for at, owner in enumerate(gallery.products) if owner in only]
        return replace(self.index, gallery=gallery.rows(np.array(rows, np.int64)))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 300), st.floats(0, 1))
def test_a_filter_ranks_as_a_gallery_without_the_others(
    seed: int, products: int, photos: int, share: float
) -> None:
    gallery = Gallery(seed, products, photos)
    rng = np.random.default_rng(seed + 1)
    only = np.unique(rng.choice(gallery.products, 1 + int(share * (len(gallery.products) - 1))))
    arguments: dict[str, Any] = {"top": POOL, "matcher": gallery.matcher}
    found = rank_products(gallery.index, gallery.queries, only=only, **arguments)
    expected = rank_products(gallery.without_the_others(only), gallery.queries, **arguments)
    assert {one.product for one in found} == set(only.tolist())  # nothing lost, nobody else
    assert [one.photos for one in sorted(found, key=lambda one: one.product)] == [
        one.photos for one in sorted(expected, key=lambda one: one.product)
    ]
    scores = [one.score for one in expected]
    assert [one.score for one in found] == pytest.approx(scores, abs=1e-5)
    if len(scores) == 1 or np.diff(scores).max() < -1e-5:  # no ties
        assert [(one.product, one.photo) for one in found] == [
            (one.product, one.photo) for one in expected
        ]
        assert [one.colour_similarity for one in found] == pytest.approx(
            [one.colour_similarity for one in expected], abs=1e-5
        )
        assert [one.patch_similarity for one in found] == pytest.approx(
            [one.patch_similarity for one in expected], abs=1e-5
        )


def test_the_farthest_product_is_found_when_it_is_the_only_one() -> None:
    gallery = Gallery(3, 400, 3 * NEIGHBOURS)
    every = rank_products(gallery.index, gallery.queries, top=len(gallery.products))
    last = np.array([every[-1].product])
    (found,) = rank_products(gallery.index, gallery.queries, top=5, only=last)
    assert found.product == last[0]


def test_every_product_is_the_same_as_no_filter() -> None:
    gallery = Gallery(5, 30, 100)
    arguments: dict[str, Any] = {"top": 9, "matcher": gallery.matcher}
    found = rank_products(gallery.index, gallery.queries, only=gallery.products, **arguments)
    assert found == rank_products(gallery.index, gallery.queries, **arguments)


def test_a_filter_and_a_product_left_out() -> None:
    gallery = Gallery(7, 20, 80)
    only = gallery.products[:6]
    found = rank_products(
        gallery.index, gallery.queries, top=9, only=only, without=int(only[2]), without_rows=[0]
    )
    assert int(only[2]) not in {one.product for one in found}
    assert {one.product for one in found} <= set(only.tolist())


def test_products_that_the_index_does_not_have() -> None:
    gallery = Gallery(9, 5, 20)
    assert rank_products(gallery.index, gallery.queries, top=5, only=np.array([1])) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 50), st.integers(0, 60))
def test_nearest_rows_among_some(seed: int, count: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(count, 4)))
    queries = unit(rng.normal(size=(3, 4)))
    among = rng.random(count) < 0.5
    scores, rows = nearest_rows(queries, vectors, k, among=among)
    for query, own_scores, own_rows in zip(queries, scores, rows, strict=True):
        cosines = sorted(
            ((float(query @ vectors[row]), row) for row in np.flatnonzero(among)),
            key=lambda one: (-one[0], one[1]),
        )[:k]
        assert own_scores == pytest.approx([cosine for cosine, _ in cosines], abs=1e-6)
        assert set(own_rows.tolist()) <= set(np.flatnonzero(among).tolist())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.data())
def test_rows_left_out_are_as_if_the_gallery_had_them_not(seed: int, data: st.DataObject) -> None:
    gallery = Gallery(seed, 8, 40)
    out = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=20, unique=True))
    found = rank_products(gallery.index, gallery.queries, top=8, without_rows=out)
    left = set(gallery.index.gallery.products[np.setdiff1d(np.arange(40), out)].tolist())
    assert {one.product for one in found} == left
    assert not {int(one.photo, 16) for one in found} & set(out)
