from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.vectors import GalleryVectors
from satchel.encode.colour import COLOURS
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import (
    KEPT_SHARE,
    PatchMatcher,
    PatchSpace,
    fit_patch_space,
    patch_similarities,
)
from satchel.search.ranking import PHOTOS_PER_PRODUCT, rank_products
from satchel.search.rules import SearchRules

DIMENSION = 8


def some_patches(rng: np.random.Generator, count: int) -> np.ndarray:
    rows = rng.normal(size=(count, DIMENSION))
    return np.round(127 * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.int8)


def naive(asked: np.ndarray, space: PatchSpace, picture: np.ndarray) -> float:
    """The docstring's words, in plain loops."""

    def placed(patch: np.ndarray) -> np.ndarray:
        mapped = (patch.astype(float) - space.centre) @ space.axes
        return mapped / np.linalg.norm(mapped)

    found = [max(float(placed(patch) @ placed(other)) for other in picture) for patch in asked]
    best = sorted(found, reverse=True)[: max(1, int(KEPT_SHARE * len(found)))]
    return sum(best) / len(best)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_agrees_with_plain_loops_where_some_pictures_have_no_patches(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [some_patches(rng, int(rng.integers(1, 7))) for _ in range(count)]
    space = fit_patch_space(np.concatenate([*pictures, some_patches(rng, 3)]))
    asked = some_patches(rng, int(rng.integers(1, 8)))
    found = patch_similarities(
        asked, space, [space(picture) for picture in pictures] + [space(pictures[0])[:0]]
    )
    assert found[-1] == 0
    assert found[:-1] == pytest.approx([naive(asked, space, one) for one in pictures], abs=1e-5)


def test_a_picture_explains_itself_wholly() -> None:
    rng = np.random.default_rng(1)
    asked = some_patches(rng, 5)
    space = fit_patch_space(some_patches(rng, 50))
    (whole,) = patch_similarities(asked, space, [space(asked)])
    assert whole == pytest.approx(1, abs=1e-5)


def test_a_hand_before_the_thing_counts_nothing() -> None:
    """What the picture does not have is left out, up to a share; beyond it, it counts."""
    rng = np.random.default_rng(8)
    thing, hand = some_patches(rng, 10), some_patches(rng, 10)
    space = fit_patch_space(some_patches(rng, 50))
    held = np.concatenate([thing[:7], hand[:3]])
    hidden = np.concatenate([thing[:5], hand[:5]])
    assert patch_similarities(held, space, [space(thing)])[0] == pytest.approx(1, abs=1e-5)
    assert patch_similarities(hidden, space, [space(thing)])[0] < 0.99


def test_what_every_picture_shows_counts_less() -> None:
    """The commonest direction is divided the most, so that a rare part weighs more beside it."""
    rng = np.random.default_rng(2)
    spread = np.array([60, 8, 8, 8, 8, 8, 8, 8])
    gallery = (rng.normal(size=(400, DIMENSION)) * spread).clip(-127, 127).astype(np.int8)
    space = fit_patch_space(gallery)
    moved = (gallery - gallery.astype(np.float32).mean(0)) @ space.axes
    before, after = gallery.std(0), moved.std(0)
    assert before.max() / before.min() > 2 * after.max() / after.min()


def test_fewer_than_two_patches_are_no_space() -> None:
    assert not fit_patch_space(np.ones((1, DIMENSION), np.int8))
    assert not PatchSpace.none()


def test_stored_bytes_of_another_length_are_no_patches() -> None:
    space = fit_patch_space(some_patches(np.random.default_rng(3), 9))
    assert space.read(bytes(3 * DIMENSION)).shape == (3, DIMENSION)
    assert space.read(bytes(3 * DIMENSION + 1)).shape == (0, DIMENSION)
    assert space.read(b"").shape == (0, DIMENSION)


def twins(rng: np.random.Generator, weight: float) -> tuple[GalleryIndex, list[np.ndarray]]:
    """Three products whose vectors say little, and their pictures' patches."""
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    names = np.arange(3, dtype=np.uint8)[:, None].repeat(32, 1)
    pictures = [some_patches(rng, 6) for _ in range(3)]
    rules = SearchRules(view_power=0, product_power=0, colour_weight=0, patch_weight=weight)
    gallery = GalleryVectors(vectors, np.arange(3), names, revision=1)
    index = GalleryIndex.of(
        gallery, "test", np.empty((0, 2), np.float32), rules, np.concatenate(pictures)
    )
    return index, pictures


def reader(pictures: Sequence[np.ndarray], asked: list[list[str]]):
    def read(photos: Sequence[str]) -> list[bytes]:
        asked.append(list(photos))
        return [pictures[int(name[:2], 16)].tobytes() for name in photos]

    return read


def test_twins_are_distinguished_by_their_patches() -> None:
    index, pictures = twins(np.random.default_rng(4), 1.0)
    shown = pictures[1][:3]
    reads: list[list[str]] = []
    query = np.array([[1, 0]], np.float32)
    assert [one.product for one in rank_products(index, query, top=3)] == [0, 1, 2]
    ranked = rank_products(
        index, query, top=3, matcher=PatchMatcher([shown], reader(pictures, reads))
    )
    assert ranked[0].product == 1
    assert ranked[0].score == pytest.approx(1, abs=1e-5)
    matched = [naive(shown, index.space, picture) for picture in pictures]
    weight = np.std([1, 1, 0]) / np.std(matched)  # both equally spread
    expected = {
        product: (cosine + weight * matched[product]) / (1 + weight)
        for product, cosine in enumerate([1, 1, 0])
    }
    assert {one.product: one.score for one in ranked} == pytest.approx(expected, abs=1e-5)
    assert [len(names) for names in reads] == [3]  # one question for all candidates


def test_several_photos_of_an_item_have_equal_weight() -> None:
    rng = np.random.default_rng(5)
    index, pictures = twins(rng, 2.0)
    asked = [some_patches(rng, 5), some_patches(rng, 5)]
    query = np.array([[1, 0], [1, 0]], np.float32)
    ranked = rank_products(index, query, top=3, matcher=PatchMatcher(asked, reader(pictures, [])))
    matched = [
        np.mean([naive(seen, index.space, picture) for seen in asked]) for picture in pictures
    ]
    weight = 2 * np.std([1, 1, 0]) / np.std(matched)
    for one in ranked:
        base = float(index.gallery.vectors[one.product] @ query[0])
        expected = (base + weight * matched[one.product]) / (1 + weight)
        assert one.score == pytest.approx(expected, abs=1e-5)


def test_without_a_weight_nothing_is_read() -> None:
    index, pictures = twins(np.random.default_rng(6), 0.0)
    reads: list[list[str]] = []
    shown = pictures[1]
    query = np.array([[1, 0]], np.float32)
    matcher = PatchMatcher([shown], reader(pictures, reads))
    assert rank_products(index, query, top=3, matcher=matcher) == rank_products(index, query, top=3)
    assert not reads


def many(rng: np.random.Generator) -> tuple[GalleryIndex, list[np.ndarray]]:
    """Six products of one to eight pictures each."""
    owners = np.repeat(np.arange(6), [1, 8, 3, 2, 7, 5])
    vectors = rng.normal(size=(len(owners), 4)) + 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.arange(len(owners), dtype=np.uint8)[:, None].repeat(32, 1)
    pictures = [some_patches(rng, 4) for _ in owners]
    rules = SearchRules(
        view_power=0, product_power=0, colour_weight=0, rerank_weight=0, patch_weight=0.5
    )
    gallery = GalleryVectors(vectors.astype(np.float32), owners, names, revision=1)
    index = GalleryIndex.of(
        gallery, "test", np.empty((0, 4), np.float32), rules, np.concatenate(pictures)
    )
    return index, pictures


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_patches_are_matched_in_each_products_nearest_photos(seed: int, matched: int) -> None:
    rng = np.random.default_rng(seed)
    index, pictures = many(rng)
    asked, query = some_patches(rng, 5), index.gallery.vectors[:1]
    matcher = PatchMatcher([asked], reader(pictures, []))
    plain = rank_products(index, query, top=6)
    cosines = index.gallery.vectors @ query[0]
    found = {}
    for one in plain[:matched]:
        rows = np.flatnonzero(index.gallery.products == one.product)
        nearest = rows[np.argsort(-cosines[rows])][:PHOTOS_PER_PRODUCT]
        found[one.product] = max(naive(asked, index.space, pictures[row]) for row in nearest)
    least = min(found.values())
    counts = np.bincount(index.gallery.products)
    weight = 0.5 / np.mean([counts[one.product] for one in plain[:matched]]) ** 2
    spread = np.std([one.score for one in plain[:matched]])
    weight *= spread / np.std(list(found.values())) if matched > 1 else 0
    expected = {
        one.product: (one.score + weight * found.get(one.product, least)) / (1 + weight)
        for one in plain
    }
    ranked = rank_products(index, query, top=6, matcher=matcher, reranked=matched)
    assert {one.product: one.score for one in ranked} == pytest.approx(expected, abs=1e-5)
    assert {one.product for one in ranked[:matched]} == found.keys()  # the others stay behind
    assert [one.photo for one in sorted(ranked, key=lambda one: one.product)] == [
        one.photo for one in sorted(plain, key=lambda one: one.product)
    ]


def test_similarities_are_returned_for_matched_products() -> None:
    rng = np.random.default_rng(7)
    plain, pictures = many(rng)
    colours = rng.dirichlet(np.ones(COLOURS), len(pictures)).astype(np.float32) ** 0.5
    gallery = replace(plain.gallery, colours=colours)
    rules = plain.rules.model_copy(update={"colour_weight": 0.3})
    no_views = np.empty((0, 4), np.float32)
    index = GalleryIndex.of(gallery, "test", no_views, rules, np.concatenate(pictures))
    asked, item = some_patches(rng, 5), np.concatenate([gallery.vectors[0], colours[0]])[None]
    matcher = PatchMatcher([asked], reader(pictures, []))
    ranked = rank_products(index, item, top=6, matcher=matcher, reranked=4)
    before = rank_products(index, item, top=6)[:4]
    for one in ranked[:4]:
        rows = np.flatnonzero(gallery.products == one.product)
        assert one.colour_similarity == pytest.approx((colours[rows] @ colours[0]).max(), abs=1e-5)
        nearest = rows[np.argsort(-(index.gallery.vectors @ index.prepared(item)[0])[rows])]
        matched = [naive(asked, index.space, pictures[row]) for row in nearest[:PHOTOS_PER_PRODUCT]]
        assert one.patch_similarity == pytest.approx(max(matched), abs=1e-5)
    assert {one.product for one in ranked[:4]} == {one.product for one in before}
    assert [(one.colour_similarity, one.patch_similarity) for one in ranked[4:]] == [
        (None, None)
    ] * 2
    assert all(one.patch_similarity is None for one in before)
