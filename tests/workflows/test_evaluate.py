"""Evaluating encoders: every distance against slow, obvious loops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.errors import UsageError
from satchel.search.ranking import SHARPNESS
from satchel.train.backbones import create
from satchel.train.distances import WithinClassWhitening
from satchel.train.encoder import Seen, vectors_of
from satchel.train.splits import Split
from satchel.workflows.evaluate import (
    by_distance,
    evaluate_untrained,
    retrieval_figures,
)
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace
from support.naive_distances import cosine, euclidean, mahalanobis

PRODUCTS = 6


def seen(count: int, seed: int) -> tuple[Seen, np.ndarray]:
    """Vectors whose lengths differ, and which vary most along two directions that tell nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % PRODUCTS
    centres = np.random.default_rng(99).normal(size=(PRODUCTS, 8))
    plain = centres[labels] + 0.6 * rng.normal(size=(count, 8))
    plain[:, :2] += 3 * rng.normal(size=(count, 2))
    plain *= rng.uniform(0.5, 3, (count, 1))
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    return Seen(unit.astype(np.float32), plain.astype(np.float32)), labels


def recall_at_1(distances: np.ndarray, of: np.ndarray, labels: np.ndarray) -> float:
    right = [labels[row.argmin()] == code for row, code in zip(distances, of, strict=True)]
    return float(np.mean(right))


def test_each_distance_finds_what_it_says() -> None:
    (queries, of), (gallery, labels) = seen(50, 1), seen(120, 2)
    whitening = WithinClassWhitening.fit(gallery.unit, labels)
    found = by_distance(queries, of, gallery, labels, whitening=whitening)
    covariance = np.linalg.inv(whitening.matrix @ whitening.matrix)
    expected = {
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
    for name, distances in {
        "cosine": cosine(photos.unit, photos.unit),
        "euclidean": euclidean(photos.plain, photos.plain),
    }.items():
        np.fill_diagonal(distances, np.inf)
        assert found[name].recall_at[1] == pytest.approx(recall_at_1(distances, labels, labels))
    assert "mahalanobis" not in found  # nothing to fit it to was given


def test_figures_have_intervals_over_products_and_leave_out_what_has_no_answer() -> None:
    (queries, of), (gallery, labels) = seen(50, 1), seen(120, 2)
    without = labels != 0
    kept = Seen(gallery.unit[without], gallery.plain[without])
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
        distance = "euclidean" if "Euclidean" in name else "cosine"
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


def split_of(workspace: Workspace, name: str, protocol: str, parts: dict[str, str]) -> Split:
    """Freeze a split by hand; `parts`: code → a letter for each of its photos (t, v, e, or -)."""
    photos = {"t": [], "v": [], "e": [], "-": []}
    for photo in sorted(workspace_photos(workspace), key=lambda p: (p.code, p.sha256)):
        taken = sum(code == photo.code for part in photos.values() for code, _ in part)
        photos[parts[photo.code][taken]].append((photo.code, photo.sha256))
    split = Split(
        protocol=protocol,
        seed=0,
        train=tuple(photos["t"]),
        val=tuple(photos["v"]),
        test=tuple(photos["e"]),
    ).frozen()
    path = workspace.split_path(name)
    path.parent.mkdir(exist_ok=True)
    split.save(path)
    return split


@pytest.mark.parametrize(
    ("protocol", "parts"),
    [
        ("open", {"M0": "tt", "M1": "tt", "M2": "ee", "M3": "e-", "M4": "ee"}),
        ("closed", {"M0": "te", "M1": "te", "M2": "te", "M3": "ee", "M4": "te"}),
    ],
)
def test_queries_that_no_answer_could_be_right_for_are_left_out(
    filled: Workspace, protocol: str, parts: dict[str, str]
) -> None:
    split = split_of(filled, "hand", protocol, parts)
    backbone = create("small_cnn", weights="none", side_px=64)
    report = evaluate_untrained(filled, "hand", backbone, side_px=64)
    left_out = sum(code == "M3" for code, _ in split.test)
    assert report.data.counts["queries"] == 4
    assert report.data.counts["photos left out"] == left_out
    assert any(f"Left out of the figures: {left_out} photos" in note for note in report.notes)
    assert {figure.queries for figure in report.figures} == {4}
    assert "M3" not in {product.name for product in report.products}
    # By hand: the product with the best weighted mean of cosines; M3's photo may still come first.
    gallery = split.test if protocol == "open" else split.train
    named = [*split.test, *gallery]
    vectors = vectors_of(backbone, part_photos(filled, workspace_photos(filled), named, ()), 64)
    right = 0
    for row, query in enumerate(split.test):
        cosines: dict[str, list[float]] = {}
        for at, photo in enumerate(gallery, len(split.test)):
            if photo != query:
                cosines.setdefault(photo[0], []).append(float(vectors[row] @ vectors[at]))
        best = max(cosines, key=lambda code: weighted(cosines[code]))
        right += query[0] != "M3" and best == query[0]
    assert report.figures[0].value == pytest.approx(right / 4)


def weighted(cosines: list[float]) -> float:
    weights = np.exp(SHARPNESS * np.array(cosines))
    return float(weights @ cosines / weights.sum())


def test_a_part_without_any_query_that_can_be_answered_is_refused(filled: Workspace) -> None:
    split_of(filled, "bare", "open", {"M0": "tt", "M1": "tt", "M2": "e-", "M3": "e-", "M4": "tt"})
    backbone = create("small_cnn", weights="none", side_px=64)
    with pytest.raises(UsageError, match="no photo of the part test"):
        evaluate_untrained(filled, "bare", backbone, side_px=64)
