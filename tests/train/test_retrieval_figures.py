"""Retrieval figures by each distance, against slow, obvious loops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.train.distances import Distance, WithinClassWhitening
from satchel.train.encoder import NetworkEmbeddings
from satchel.train.retrieval_figures import by_distance, retrieval_figures
from support.naive_distances import cosine, euclidean, mahalanobis

PRODUCTS = 6


def seen(count: int, seed: int) -> tuple[NetworkEmbeddings, np.ndarray]:
    """Vectors whose lengths differ, and which vary most along two directions that tell nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % PRODUCTS
    centres = np.random.default_rng(99).normal(size=(PRODUCTS, 8))
    plain = centres[labels] + 0.6 * rng.normal(size=(count, 8))
    plain[:, :2] += 3 * rng.normal(size=(count, 2))
    plain *= rng.uniform(0.5, 3, (count, 1))
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    return NetworkEmbeddings(unit.astype(np.float32), plain.astype(np.float32)), labels


def recall_at_1(distances: np.ndarray, of: np.ndarray, labels: np.ndarray) -> float:
    right = [labels[row.argmin()] == code for row, code in zip(distances, of, strict=True)]
    return float(np.mean(right))


def test_each_distance_finds_what_it_says() -> None:
    (queries, of), (gallery, labels) = seen(50, 1), seen(120, 2)
    whitening = WithinClassWhitening.fit(gallery.unit, labels)
    found = by_distance(queries, of, gallery, labels, whitening=whitening)
    covariance = np.linalg.inv(whitening.matrix @ whitening.matrix)
    expected: dict[Distance, np.ndarray] = {
        "cosine": cosine(queries.plain, gallery.plain),
        "euclidean": euclidean(queries.plain, gallery.plain),
        "mahalanobis": mahalanobis(queries.unit, gallery.unit, covariance),
    }
    assert list(found) == list(expected)
    for name, distances in expected.items():
        assert found[name].recall_at[1] == pytest.approx(recall_at_1(distances, of, labels))
    # The directions that say nothing of the product are weighed down.
    assert found["mahalanobis"].recall_at[1] > found["cosine"].recall_at[1] + 0.1
    assert found["cosine"].recall_at[1] != found["euclidean"].recall_at[1]


def test_searched_among_themselves_a_photo_does_not_find_itself() -> None:
    photos, labels = seen(40, 3)
    found = by_distance(photos, labels, photos, labels, own=np.arange(40))
    expected: dict[Distance, np.ndarray] = {
        "cosine": cosine(photos.unit, photos.unit),
        "euclidean": euclidean(photos.plain, photos.plain),
    }
    for name, distances in expected.items():
        np.fill_diagonal(distances, np.inf)
        assert found[name].recall_at[1] == pytest.approx(recall_at_1(distances, labels, labels))
    assert "mahalanobis" not in found  # nothing to fit it to was given


def test_figures_have_intervals_over_products_and_leave_out_what_has_no_answer() -> None:
    (queries, of), (gallery, labels) = seen(50, 1), seen(120, 2)
    without = labels != 0
    kept = NetworkEmbeddings(gallery.unit[without], gallery.plain[without])
    found = by_distance(queries, of, kept, labels[without])
    codes = [f"M{label}" for label in of]
    figures = {figure.name: figure for figure in retrieval_figures(found, codes)}
    assert list(figures) == [
        "Recall@1, by photo",
        "Recall@5, by photo",
        "MAP@R",
        "R-precision",
        "Recall@1, Euclidean",
        "MAP@R, Euclidean",
    ]
    for name, figure in figures.items():
        distance: Distance = "euclidean" if "Euclidean" in name else "cosine"
        value = {
            "Recall@1": found[distance].recall_at[1],
            "Recall@5": found[distance].recall_at[5],
            "MAP@R": found[distance].map_at_r,
            "R-precision": found[distance].r_precision,
        }[name.split(",")[0]]
        assert figure.value == pytest.approx(value)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high
        assert figure.queries == int((of != 0).sum())
