"""Products that are near each other, as a naive comparison finds them; going on after a kill."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankings import ranking_of_one
from satchel.catalog.lookalike_groups import Decided
from satchel.catalog.products import ProductKind
from satchel.catalog.vectors import GalleryVectors
from satchel.confidence.model import conditional_probabilities
from satchel.encode.card import read_card
from satchel.lookalikes import near_pairs as near
from satchel.lookalikes.groups import MAX_MEMBERS, cluster
from satchel.lookalikes.near_pairs import (
    Journal,
    LeastCosine,
    Near,
    Pairs,
    least_cosine,
    near_pairs,
)
from satchel.search.index import GalleryIndex
from support.progress import Killed, Killing

LEAST = LeastCosine(0.9, 0.97)


def clustered_index(seed: int, products: int, photos: int) -> GalleryIndex:
    """Pictures around few centres, so that many of different products are near."""
    rng = np.random.default_rng(seed)
    count = products * photos
    centres = rng.normal(size=(max(1, products // 3), 12))
    vectors = centres[rng.integers(len(centres), size=count)] + rng.normal(
        scale=rng.choice([0.05, 0.25], (count, 1)), size=(count, 12)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    digests = rng.integers(0, 256, (count, 32), np.uint8)
    owners = 10 + np.sort(rng.integers(0, products, count))
    return GalleryIndex(GalleryVectors(vectors.astype(np.float32), owners, digests, 1), "test")


def naive_pairs(index: GalleryIndex, kinds: dict[int, ProductKind]) -> Pairs:
    """Every picture with every other."""
    found: Pairs = {}
    gallery = index.gallery
    for i, j in combinations(range(len(index)), 2):
        a, b = int(gallery.products[i]), int(gallery.products[j])
        cosine = float(gallery.vectors[i] @ gallery.vectors[j])
        one, other = kinds[a], kinds[b]
        strangers = any(x and y and x != y for x, y in zip(one[:2], other[:2], strict=True))
        different = one.colours and other.colours and not one.colours & other.colours
        if a != b and not strangers and cosine >= (0.97 if different else 0.9):
            assert a < b  # rows are ordered by product
            if (a, b) not in found or cosine > found[a, b].cosine:
                photos = tuple(gallery.photos[at].tobytes().hex() for at in (i, j))
                found[a, b] = Near(cosine, photos)
    return found


@pytest.mark.parametrize("neighbours", [2, 32])
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(1, 4))
def test_finds_what_a_naive_comparison_finds(
    neighbours: int, seed: int, products: int, photos: int
) -> None:
    index = clustered_index(seed, products, photos)
    rng = np.random.default_rng(seed)
    kinds = {
        10 + at: ProductKind(
            str(rng.choice(["", "maison"])),
            str(rng.choice(["", "bag", "belt"])),
            frozenset(str(rng.choice(["", "black gold", "black", "red"])).split()),
        )
        for at in range(products)
    }
    progress = Killing()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "NEIGHBOURS", neighbours)  # so that few are not enough
        patch.setattr(near, "BLOCK_ROWS", 7)
        found = near_pairs(index, LEAST, kinds, progress=progress)
    expected = naive_pairs(index, kinds)
    # Sums in another order differ in the last digits: what lies at a limit may go either way.
    limits = [abs(one.cosine - limit) < 1e-5 for one in expected.values() for limit in LEAST]
    assert any(limits) or set(found) == set(expected)
    for pair in set(found) & set(expected):
        assert found[pair].cosine == pytest.approx(expected[pair].cosine, abs=1e-5)
    assert (progress.resumed_at, progress.done) == (0, len(index))


def test_very_many_equal_pictures_are_not_all_compared() -> None:
    """A placeholder picture under a thousand codes must not cost a million pairs."""
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (1_000, 1))
    gallery = GalleryVectors(vectors, np.arange(1_000), np.zeros((1_000, 32), np.uint8), 1)
    pairs = near_pairs(GalleryIndex(gallery, "test"), LEAST, {})
    assert len(pairs) <= 1_000 * near.MAX_NEAR
    assert max(map(len, cluster(pairs, Decided()))) == MAX_MEMBERS


@pytest.mark.parametrize("chance", [0.01, 0.05, 0.2, 0.5])
def test_the_least_cosine_leaves_the_other_just_that_chance(chance: float) -> None:
    confidence = read_card().confidence
    least = least_cosine(confidence, chance)

    def left(cosine: float) -> float:
        return float(conditional_probabilities(confidence, ranking_of_one([1.0, cosine], 1))[0, 1])

    assert left(least) >= chance - 1e-9
    assert left(least - 0.001) < chance


@pytest.mark.parametrize("torn", ["", "[9, [[1,", "x"])
def test_a_killed_search_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    monkeypatch.setattr(near, "BLOCK_ROWS", 5)
    index, path = clustered_index(3, 20, 3), tmp_path / "journal.jsonl"
    whole = near_pairs(index, LEAST, {})
    assert whole

    def killed_at(rows: int) -> int:
        progress = Killing(rows, stage="compare")
        with pytest.raises(Killed):
            near_pairs(index, LEAST, {}, journal=journal(), progress=progress)
        return progress.resumed_at

    def journal() -> Journal:
        return Journal.of(path, index, LEAST, {})

    killed_at(20)
    with path.open("a") as file:
        file.write(torn)
    assert killed_at(40) == 20  # what was done is not done again
    progress = Killing()
    assert near_pairs(index, LEAST, {}, journal=journal(), progress=progress) == whole
    assert (progress.resumed_at, progress.done) == (40, len(index))
    journal().remove()
    assert not path.exists()


@pytest.mark.parametrize("damage", [b"\xff", b"{", b"[1]", b"[20, [[1]]]", b"[20, 3]", b"null"])
def test_a_damaged_journal_begins_anew(tmp_path: Path, damage: bytes) -> None:
    index, path = clustered_index(3, 20, 3), tmp_path / "journal.jsonl"
    journal = Journal.of(path, index, LEAST, {})
    whole = near_pairs(index, LEAST, {}, journal=journal)
    first, *others = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([first, damage, *others]))
    assert journal.read() == (0, {})
    assert near_pairs(index, LEAST, {}, journal=journal) == whole


@pytest.mark.parametrize(
    ("least", "kinds"),
    [
        (LeastCosine(0.8, 0.97), {}),
        (LEAST, {10: ProductKind("maison", "", frozenset())}),
    ],
)
def test_another_search_begins_anew(
    tmp_path: Path, least: LeastCosine, kinds: dict[int, ProductKind]
) -> None:
    index, path = clustered_index(3, 20, 3), tmp_path / "journal.jsonl"
    near_pairs(index, LEAST, {}, journal=Journal.of(path, index, LEAST, {}))
    assert Journal.of(path, index, LEAST, {}).read()[0] == len(index)
    assert Journal.of(path, index, least, kinds).read() == (0, {})
