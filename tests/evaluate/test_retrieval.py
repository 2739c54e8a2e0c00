from __future__ import annotations

import time
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.evaluate.retrieval import Retrieval, retrieval
from satchel.evaluate.scoring import Metric


def score(query: list[int], row: list[int], metric: Metric) -> Fraction:
    """What orders gallery photos, without any rounding: ±cos² or −distance²."""
    if metric == "euclidean":
        return -Fraction(sum((a - b) ** 2 for a, b in zip(query, row, strict=True)))
    product = sum(a * b for a, b in zip(query, row, strict=True))
    lengths = sum(a * a for a in query) * sum(b * b for b in row)
    return Fraction(product * abs(product), lengths) if lengths else Fraction(0)


def naive(
    queries: np.ndarray,
    query_products: np.ndarray,
    gallery: np.ndarray,
    gallery_products: np.ndarray,
    own: np.ndarray | None,
    metric: Metric,
) -> list[tuple[int, float, float, int]]:
    """First rank, AP@R, R-precision and R of each query, by the definitions, in loops."""
    found = []
    for number, query in enumerate(queries.tolist()):
        ranking = []
        for row, vector in enumerate(gallery.tolist()):
            if own is not None and own[number] == row:
                continue
            right = bool(gallery_products[row] == query_products[number])
            ranking.append((-score(query, vector, metric), right))  # of equals, the wrong first
        ranking.sort()
        relevant = sum(right for _, right in ranking)
        if not relevant:
            found.append((0, float("nan"), float("nan"), 0))
            continue
        first = next(rank for rank, (_, right) in enumerate(ranking, 1) if right)
        average = 0.0
        for i in range(1, relevant + 1):
            if ranking[i - 1][1]:
                average += sum(right for _, right in ranking[:i]) / i
        among = sum(right for _, right in ranking[:relevant])
        found.append((first, average / relevant, among / relevant, relevant))
    return found


def assert_as_naive(measured: Retrieval, expected: list[tuple[int, float, float, int]]) -> None:
    first, average, precision, relevant = (
        np.array(column) for column in zip(*expected, strict=True)
    )
    assert measured.first_rank.tolist() == first.tolist()
    assert measured.relevant.tolist() == relevant.tolist()
    np.testing.assert_allclose(measured.average_precision, average, rtol=1e-12)
    np.testing.assert_allclose(measured.precision_at_r, precision, rtol=1e-12)
    some = relevant > 0
    assert measured.answerable == some.sum()
    assert measured.unanswerable == (~some).sum()
    if some.any():
        assert measured.map_at_r == pytest.approx(average[some].mean())
        assert measured.r_precision == pytest.approx(precision[some].mean())
        for k, share in measured.recall_at.items():
            assert share == pytest.approx((first[some] <= k).mean())
    else:
        assert np.isnan([measured.map_at_r, measured.r_precision, measured.recall_at[1]]).all()


@given(
    seed=st.integers(0, 100_000),
    queries=st.integers(1, 8),
    photos=st.integers(0, 14),
    dimensions=st.integers(1, 4),
    products=st.integers(1, 4),
    metric=st.sampled_from(["cosine", "euclidean"]),
    chunk=st.integers(1, 16),
)
@settings(max_examples=300, deadline=None)
def test_retrieval_by_loops(
    seed: int,
    queries: int,
    photos: int,
    dimensions: int,
    products: int,
    metric: Metric,
    chunk: int,
) -> None:
    """Small whole numbers: copies, multiples, zeros, ties and products without photos abound."""
    rng = np.random.default_rng(seed)
    asked = rng.integers(-2, 3, (queries, dimensions))
    gallery = rng.integers(-2, 3, (photos, dimensions))
    of_queries, of_gallery = rng.integers(0, products, queries), rng.integers(0, products, photos)
    measured = retrieval(
        asked.astype(np.float32),
        of_queries,
        gallery.astype(np.float32),
        of_gallery,
        metric=metric,
        chunk=chunk,
    )
    assert_as_naive(measured, naive(asked, of_queries, gallery, of_gallery, None, metric))


@given(
    seed=st.integers(0, 100_000),
    photos=st.integers(1, 14),
    metric=st.sampled_from(["cosine", "euclidean"]),
    chunk=st.integers(1, 16),
)
@settings(max_examples=150, deadline=None)
def test_leaving_the_query_out_by_loops(seed: int, photos: int, metric: Metric, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (photos, 3))
    products = rng.integers(0, 3, photos)
    rows = rng.permutation(photos)[: rng.integers(1, photos + 1)]
    own = np.where(rng.random(len(rows)) < 0.8, rows, -1)
    asked = vectors[rows].astype(np.float32)
    measured = retrieval(
        asked,
        products[rows],
        vectors.astype(np.float32),
        products,
        own=own,
        metric=metric,
        chunk=chunk,
    )
    assert_as_naive(measured, naive(vectors[rows], products[rows], vectors, products, own, metric))


def test_a_hand_computed_case() -> None:
    # Angles of the gallery from the query: 10°, 20°, 30°, 40°, 50°; right ones: 20°, 30°, 50°.
    # Ranks 2, 3, 5; R = 3. Within 3: precision 1/2 at rank 2, 2/3 at rank 3.
    angles = np.radians([10, 20, 30, 40, 50])
    gallery = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    measured = retrieval(
        np.array([[1, 0]], np.float32),
        np.array(["bag"]),
        gallery,
        np.array(["box", "bag", "bag", "box", "bag"]),
        ks=(1, 2),
    )
    assert measured.recall_at == {1: 0.0, 2: 1.0}
    assert measured.map_at_r == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert measured.r_precision == pytest.approx(2 / 3)


def close_clusters(seed: int, dimensions: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Photos of 15 products, some of them copies, so near that float32 orders them by chance."""
    rng = np.random.default_rng(seed)
    products = np.repeat(np.arange(15), rng.integers(1, 20, 15))
    centre = rng.normal(size=dimensions)
    vectors = centre + rng.normal(scale=1e-4, size=(len(products), dimensions))
    vectors[::7] = vectors[3]
    return vectors.astype(np.float32), products


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_chunk_has_no_part_in_the_figures(metric: Metric, kind: type) -> None:
    vectors, products = close_clusters(0)
    vectors, own = vectors.astype(kind), np.arange(len(vectors))
    whole = retrieval(vectors, products, vectors, products, own=own, metric=metric)
    order = np.random.default_rng(1).permutation(len(vectors))
    for chunk in (23, 61):
        parts = retrieval(vectors, products, vectors, products, own=own, metric=metric, chunk=chunk)
        assert parts.first_rank.tolist() == whole.first_rank.tolist()
        assert parts.average_precision.tobytes() == whole.average_precision.tobytes()
        shuffled = retrieval(
            vectors,
            products,
            vectors[order],
            products[order],
            own=np.argsort(order),
            metric=metric,
            chunk=chunk,
        )
        assert shuffled.first_rank.tolist() == whole.first_rank.tolist()
        assert shuffled.average_precision.tobytes() == whole.average_precision.tobytes()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e12])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_scale_has_no_part_in_the_figures(metric: Metric, scale: float) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    products = rng.integers(0, 6, 60)
    own = np.arange(60)
    plain = retrieval(vectors, products, vectors, products, own=own, metric=metric)
    scaled = (vectors * np.float32(scale)).astype(np.float32)
    other = retrieval(scaled, products, scaled, products, own=own, metric=metric)
    assert other.first_rank.tolist() == plain.first_rank.tolist()
    assert other.map_at_r == pytest.approx(plain.map_at_r)


def test_what_cannot_be_searched() -> None:
    two, names = np.eye(2, dtype=np.float32), np.array([0, 1])
    with pytest.raises(ValueError, match="got \\(2, 2\\) and \\(3, 3\\)"):
        retrieval(two, names, np.eye(3, dtype=np.float32), np.arange(3))
    with pytest.raises(ValueError, match="one product for each vector"):
        retrieval(two, names, two, np.arange(3))
    with pytest.raises(ValueError, match="shows another product"):
        retrieval(two, names, two, names, own=np.array([1, 0]))
    with pytest.raises(ValueError, match="rows from -1 to 1"):
        retrieval(two, names, two, names, own=np.array([0, 2]))
    with pytest.raises(ValueError, match="finite"):
        retrieval(two * np.nan, names, two, names)


@pytest.mark.train
@pytest.mark.parametrize("seed", range(3))
def test_as_pytorch_metric_learning(seed: int) -> None:
    """Musgrave's own implementation, on vectors without ties."""
    pytest.importorskip("torch")
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(seed)
    products = rng.integers(0, 25, 400)
    vectors = rng.normal(size=(25, 16))[products] + rng.normal(scale=1.5, size=(400, 16))
    vectors = vectors.astype(np.float32)
    theirs = calculator.AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
    ).get_accuracy(vectors, products, vectors, products, ref_includes_query=True)
    ours = retrieval(vectors, products, vectors, products, own=np.arange(400), metric="euclidean")
    assert ours.recall_at[1] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert ours.r_precision == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)


def peak_mib(queries: np.ndarray, gallery: np.ndarray, per_product: int) -> tuple[float, float]:
    """Memory that `retrieval` takes beside its arguments, and its seconds."""
    of_gallery = np.arange(len(gallery)) // per_product
    rows = np.linspace(0, len(gallery) - 1, len(queries)).astype(np.int64)
    tracemalloc.start()
    begun = time.perf_counter()
    measured = retrieval(queries, of_gallery[rows], gallery, of_gallery)
    seconds = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert measured.relevant.tolist() == [per_product] * len(queries)
    return peak, seconds


def test_memory_does_not_grow_with_the_gallery() -> None:
    rng = np.random.default_rng(0)
    gallery = rng.random((120_000, 128), np.float32) - 0.5
    small, _ = peak_mib(gallery[:200], gallery[:40_000], per_product=10)
    large, _ = peak_mib(gallery[:200], gallery, per_product=10)
    assert large < small + 80_000 * 100 / 2**20  # numbers of the products, lengths of the vectors
    assert large < 120


@pytest.mark.slow
def test_a_million_photos(tmp_path: Path) -> None:
    gallery = np.memmap(tmp_path / "gallery", np.float32, "w+", shape=(1_000_000, 1280))
    rng = np.random.default_rng(0)
    for start in range(0, len(gallery), 10_000):
        gallery[start : start + 10_000] = rng.random((10_000, 1280), np.float32) - 0.5
    queries = gallery[:1_000_000:2_000] + (rng.random((500, 1280), np.float32) - 0.5)
    rows = np.arange(0, 1_000_000, 2_000)
    peak, seconds = peak_mib(np.asarray(queries), gallery, per_product=10)
    print(f"500 queries, 1 M × 1280: {seconds:.0f} s, {peak:.0f} MiB; rows {rows[:2]}")
    assert peak < 500
