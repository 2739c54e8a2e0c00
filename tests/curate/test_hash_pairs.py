from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.curate import hash_pairs
from satchel.curate.hash_pairs import near_pairs


def hashes_around(seed: int, centres: int, per_centre: int, flips: int) -> np.ndarray:
    """Clouds of hashes, each a centre with up to `flips` bits flipped; in random order."""
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.integers(0, 2, (centres, 256)), per_centre, axis=0)
    for row in bits:
        chosen = rng.choice(256, rng.integers(0, flips + 1), replace=False)
        row[chosen] ^= 1
    return np.packbits(rng.permutation(bits), axis=1)


def naive_pairs(hashes: np.ndarray, limit: int) -> dict[tuple[int, int], int]:
    bits = np.unpackbits(hashes, axis=1)
    apart = {(i, j): int((bits[i] != bits[j]).sum()) for i, j in combinations(range(len(bits)), 2)}
    return {pair: distance for pair, distance in apart.items() if distance <= limit}


@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from((0, 3, 8, 20, 40)),
    st.sampled_from((0, 1, 7, 10, 11, 22, 31, 64)),
)
@settings(deadline=None, max_examples=25)
def test_pairs_are_those_of_comparing_all_with_all(
    seed: int, centres: int, per_centre: int, flips: int, limit: int
) -> None:
    hashes = hashes_around(seed, centres, per_centre, flips)
    expected = naive_pairs(hashes, limit)
    pairs, distances = near_pairs(hashes, limit, workers=1)
    assert [tuple(pair) for pair in pairs] == sorted(expected)
    assert dict(zip(map(tuple, pairs), distances, strict=True)) == expected


@pytest.mark.parametrize(("limit", "silent_bits"), [(6, 160), (10, 200), (3, 64)])
def test_crowds_are_separated_exactly(
    monkeypatch: pytest.MonkeyPatch, limit: int, silent_bits: int
) -> None:
    monkeypatch.setattr(hash_pairs, "CROWD", 8)  # so that a few dozen hashes are a crowd
    bits = np.unpackbits(hashes_around(3, 5, 12, 14), axis=1)
    bits[:, :silent_bits] = 0
    bits[:30, 7 :: limit // 2 + 1] = 0  # one chunk that says nothing of half of them
    hashes = np.packbits(bits, axis=1)
    hashes[50:] = hashes[:10]
    expected = naive_pairs(hashes, limit)
    pairs, distances = near_pairs(hashes, limit)
    assert dict(zip(map(tuple, pairs), distances, strict=True)) == expected


def test_every_pair_at_the_limit_is_found_wherever_its_bits_lie() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(0, 2, 256)
    rows = [base]
    for _ in range(200):
        copy = base.copy()
        copy[rng.choice(256, 22, replace=False)] ^= 1
        rows.append(copy)
    pairs, distances = near_pairs(np.packbits(rows, axis=1), 22)
    from_base = pairs[:, 0] == 0
    assert list(pairs[from_base, 1]) == list(range(1, 201))
    assert set(distances[from_base]) == {22}


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    hashes = np.zeros((n, 32), np.uint8)
    pairs, distances = near_pairs(hashes, 22)
    assert pairs.shape == (0, 2)
    assert distances.shape == (0,)


def test_hashes_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected hashes of shape"):
        near_pairs(np.zeros((3, 8), np.uint8), 4)
