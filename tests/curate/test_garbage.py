from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.curate import garbage
from satchel.curate.garbage import REASONS, Classification, Reason, State, classify
from satchel.curate.rules import GarbageRules

DIMENSIONS = 64


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def around(centre: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Photos of one product: cosines among them of about 0.8."""
    noise = rng.normal(size=(count, len(centre))) / np.sqrt(len(centre))
    return unit(centre + 0.5 * noise)


def catalogue(
    right: int, wrong: int, products: int = 6, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, products, and which are wrong: half of another product, half of nothing known.

    Products share a common part, as photos of one kind of thing do: cosines of about 0.5.
    """
    rng = np.random.default_rng(seed)
    common = unit(rng.normal(size=DIMENSIONS))
    centres = unit(common + unit(rng.normal(size=(products, DIMENSIONS))))
    vectors, codes, bad = [], [], []
    for product in range(products):
        vectors.append(around(centres[product], right, rng))
        others = around(centres[(product + 1) % products], wrong // 2, rng)
        strangers = unit(rng.normal(size=(wrong - wrong // 2, DIMENSIONS)))
        vectors.append(np.concatenate([others, strangers]))
        codes += [product * 10 + 7] * (right + wrong)
        bad += [False] * right + [True] * wrong
    return np.concatenate(vectors), np.array(codes), np.array(bad)


def states(classified: Classification) -> np.ndarray:
    return np.array([classified.state(row) for row in range(len(classified.states))])


@pytest.mark.parametrize(("right", "wrong"), [(7, 3), (14, 6), (20, 1), (5, 2)])
def test_wrong_photos_are_dropped_and_right_ones_kept(right: int, wrong: int) -> None:
    vectors, products, bad = catalogue(right, wrong)
    found = states(classify(vectors, products))
    assert (found[bad] == State.DROPPED).mean() >= 0.9
    assert (found[~bad] == State.DROPPED).mean() <= 0.05


@given(st.integers(0, 1_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_photos_does_not_matter(seed: int) -> None:
    vectors, products, _ = catalogue(6, 2, seed=seed)
    order = np.random.default_rng(seed).permutation(len(vectors))
    classified, again = classify(vectors, products), classify(vectors[order], products[order])
    assert np.array_equal(classified.states[order], again.states)
    assert np.allclose(classified.score[order], again.score, atol=1e-3)
    assert np.array_equal(classified.other_product[order], again.other_product)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_few_photos_none_is_dropped(count: int) -> None:
    rng = np.random.default_rng(0)
    vectors, products, _ = catalogue(8, 0)
    stray = unit(rng.normal(size=(count, DIMENSIONS)))
    classified = classify(np.concatenate([vectors, stray]), np.r_[products, [99] * count])
    rows = range(len(vectors), len(vectors) + count)
    assert {classified.state(row) for row in rows} <= {State.KEPT, State.DOUBTFUL}
    if count > 1:
        assert all(Reason.FEW_PHOTOS in classified.reasons_of(row) for row in rows)


def test_figures_against_plain_loops() -> None:
    """The first round, where every photo is trusted the same."""
    vectors, products, _ = catalogue(5, 2, products=3)

    def peers_of(row: int) -> list[int]:
        return [j for j in range(len(products)) if products[j] == products[row] and j != row]

    rng = np.random.default_rng(9)
    whole = unit(vectors + 0.3 * rng.normal(size=vectors.shape))
    colours = unit(rng.uniform(size=(len(vectors), 5)))
    order = np.argsort(products, kind="stable")
    ids, starts = np.unique(products[order], return_index=True)
    photos = garbage._Photos(
        vectors[order],
        whole[order],
        colours[order],
        ids,
        np.r_[starts, len(order)],
    )
    rules = GarbageRules()
    flat = np.ones(len(order), np.float32)
    likeness = [
        float(unit(np.sum([colours[j] for j in peers_of(row)], axis=0)) @ colours[row])
        for row in range(len(products))
    ]
    found = garbage._figures(photos, flat, rules, 1.0)
    for row in range(len(products)):  # the catalogue is in order of its products already
        peers = peers_of(row)
        centre = unit(np.sum([vectors[j] for j in peers], axis=0))
        assert found.centre[row] == pytest.approx(float(centre @ vectors[row]), abs=1e-5)
        best = sorted((float(vectors[j] @ vectors[row]) for j in peers), reverse=True)[:3]
        assert found.near[row] == pytest.approx(np.mean(best), abs=1e-5)
        close = sorted((float(vectors[j] @ whole[row]) for j in peers), reverse=True)[:3]
        wide = sorted((float(whole[j] @ whole[row]) for j in peers), reverse=True)[:3]
        assert found.enlarged[row] == pytest.approx(np.mean(close) - np.mean(wide), abs=1e-5)
        usual = np.median([likeness[j] for j in [row, *peers]])
        assert found.off_colour[row] == pytest.approx(usual - likeness[row], abs=1e-5)
        others = {
            int(p): float(unit(vectors[products == p].sum(0)) @ vectors[row])
            for p in ids
            if p != products[row]
        }
        assert found.other[row] == pytest.approx(max(others.values()), abs=1e-5)
        assert found.other_product[row] == max(others, key=lambda p: others[p])
        assert found.peers[row] == len(peers)


def test_rows_at_once_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, products, _ = catalogue(7, 3)
    whole = classify(vectors, products)
    monkeypatch.setattr(garbage, "ROWS_AT_ONCE", 3)
    parts = classify(vectors, products)
    assert np.array_equal(whole.states, parts.states)
    assert np.allclose(whole.score, parts.score, atol=1e-4)


def test_a_photo_of_another_product_names_it() -> None:
    vectors, products, bad = catalogue(10, 2)
    classified = classify(vectors, products)
    strays = np.flatnonzero(bad)[::2]  # the first wrong photo of each product is the next one's
    assert all(Reason.OTHER_PRODUCT in classified.reasons_of(row) for row in strays)
    expected = (products[strays] // 10 + 1) % 6 * 10 + 7
    assert np.array_equal(classified.other_product[strays], expected)
    assert (classified.margin()[strays] < 0).all()


def test_reasons_go_with_states() -> None:
    vectors, products, _ = catalogue(8, 3)
    classified = classify(vectors, products)
    kept = np.array([classified.state(row) == State.KEPT for row in range(len(vectors))])
    assert kept.any()
    assert not kept.all()
    assert np.array_equal(classified.reasons.any(1), ~kept)
    assert classified.reasons.shape == (len(vectors), len(REASONS))


def test_a_detail_is_a_partial_view() -> None:
    """Whole, a detail looks as the others do from close, not as they do from afar."""
    rng = np.random.default_rng(3)
    near, far, other = unit(rng.normal(size=(3, DIMENSIONS)))
    wide = around(unit(near + 2 * far), 8, rng)
    vectors = around(unit(2 * near + far), 9, rng)
    detail = unit(0.85 * near + 0.5 * other)
    vectors[8] = detail
    whole = np.concatenate([wide, detail[None]])
    second = around(unit(near + far + 2 * unit(rng.normal(size=DIMENSIONS))), 8, rng)
    classified = classify(
        np.concatenate([vectors, second]),
        np.array([1] * 9 + [2] * 8),
        whole=np.concatenate([whole, second]),
    )
    assert classified.enlarged[8] > 0.1
    assert classified.enlarged[:8].max() < 0
    assert Reason.PARTIAL_VIEW in classified.reasons_of(8)


def test_a_photo_of_other_colours_is_doubted_for_them() -> None:
    vectors, products, _ = catalogue(8, 0)
    red, blue = np.eye(2, 3, dtype=np.float32)
    colours = np.tile(red, (len(vectors), 1))
    colours[3] = blue
    plain = classify(vectors, products)
    # Its weight is stated, since those that ship are fitted to an encoder.
    rules = GarbageRules(off_colour=3.3, doubtful_at=float(plain.score.max()) + 1)
    same = classify(vectors, products, colours=np.tile(red, (len(vectors), 1)), rules=rules)
    other = classify(vectors, products, colours=colours, rules=rules)
    assert np.array_equal(same.score, plain.score)
    assert not same.states.any()
    assert other.off_colour[3] == pytest.approx(1, abs=0.05)  # it vouches for others a little
    assert np.flatnonzero(other.states).tolist() == [3]
    assert other.reasons_of(3) == (Reason.OTHER_COLOURS,)


def test_photos_whose_colours_are_not_known_are_classified_without_them() -> None:
    rng = np.random.default_rng(4)
    vectors, products, _ = catalogue(8, 2)
    colours = unit(rng.uniform(size=(len(vectors), 5)))
    unknown = np.arange(len(vectors)) % 3 == 0
    colours[unknown] = 0
    colours[products == products[0]] = 0
    colours[0] = unit(rng.uniform(size=5))  # of its product the only one that is known
    classified, plain = classify(vectors, products, colours=colours), classify(vectors, products)
    assert (classified.off_colour[unknown] == 0).all()
    assert (classified.off_colour[products == products[0]] == 0).all()
    assert np.array_equal(
        classified.states[products == products[0]], plain.states[products == products[0]]
    )
    assert (classified.off_colour != 0).any()


def test_one_product_alone_and_no_photos() -> None:
    vectors, products, _ = catalogue(6, 0, products=1)
    classified = classify(vectors, products)
    assert (classified.other == -1).all()
    assert (classified.other_product == -1).all()
    assert (classified.states == 0).all()
    none = classify(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert len(none.states) == 0


def test_an_encoder_with_compressed_cosines_finds_the_same() -> None:
    """Cosines of 0.9 and more: the distances of any two photos are a tenth."""
    vectors, products, bad = catalogue(14, 6)
    crowded = unit(np.hstack([vectors, np.full((len(vectors), 1), 3.0)]))
    whole = np.roll(vectors, 1, 0)
    dense = np.roll(crowded, 1, 0)
    expected = classify(vectors, products, whole=whole)
    found = classify(crowded, products, whole=dense, scale=0.1)
    assert (found.states == expected.states).mean() > 0.95
    assert np.median(np.abs(found.near - expected.near)) < 1e-3
    assert np.abs(found.score - expected.score).mean() < 1  # of means of photos, distances differ
    assert (states(expected)[bad] == State.DROPPED).any()
    unmeasured = states(classify(crowded, products, whole=dense))
    assert (unmeasured[bad] == State.DROPPED).mean() < 0.1
