"""Distances against loops, and the shrunk covariance against that of scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from satchel.train.distances import WithinClassWhitening, ledoit_wolf, within_class_residuals
from support.naive_distances import cosine, euclidean, mahalanobis


def vectors_of(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def test_residuals_within_products_by_hand() -> None:
    """Product a: 0 and 2, mean 1; b: 5 alone, omitted; c: 4, 4 and 7, mean 5."""
    vectors = np.array([[0.0], [5], [4], [2], [4], [7]])
    labels = np.array(["a", "b", "c", "a", "c", "c"])
    assert within_class_residuals(vectors, labels).ravel().tolist() == [-1, -1, 1, -1, 2]


def test_covariance_of_two_points_by_hand() -> None:
    """x = ±(2, 0): S = diag(4, 0), μ = 2, ‖S − μI‖² = 8; every xxᵀ is S: no noise, no shrinking."""
    covariance, shrinkage = ledoit_wolf(np.array([[2.0, 0.0], [-2.0, 0.0]]))
    assert covariance.tolist() == [[4, 0], [0, 0]]
    assert shrinkage == 0


@pytest.mark.parametrize(("n", "d"), [(8, 20), (50, 20), (2_000, 20), (3, 2), (200, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_shrunk_covariance_is_scikit_learns(n: int, d: int, seed: int) -> None:
    covariance_module = pytest.importorskip("sklearn.covariance", reason="comes with training")
    centred = vectors_of(n, d, seed) - 0.3
    theirs = covariance_module.LedoitWolf(assume_centered=True).fit(centred)
    ours, shrinkage = ledoit_wolf(centred)
    np.testing.assert_allclose(ours, theirs.covariance_, rtol=1e-9, atol=1e-12)
    assert shrinkage == pytest.approx(theirs.shrinkage_, abs=1e-12)


def test_shrinkage_reduces_the_error_of_small_samples() -> None:
    rng = np.random.default_rng(0)
    truth = np.diag(np.linspace(1, 3, 30))
    few = rng.multivariate_normal(np.zeros(30), truth, 40)
    shrunk, shrinkage = ledoit_wolf(few)
    assert 0.1 < shrinkage < 1
    assert np.linalg.norm(shrunk - truth) < np.linalg.norm(few.T @ few / 40 - truth) / 2


def test_euclidean_after_whitening_is_mahalanobis() -> None:
    vectors, labels = vectors_of(60, 8), np.arange(60) % 12
    whitening = WithinClassWhitening.fit(vectors, labels)
    covariance, shrinkage = ledoit_wolf(within_class_residuals(vectors, labels))
    inverse = np.linalg.inv(covariance)
    moved = whitening.apply(vectors)
    for i in range(0, 60, 7):
        for j in range(0, 60, 11):
            step = vectors[i] - vectors[j]
            assert math.dist(moved[i], moved[j]) == pytest.approx(math.sqrt(step @ inverse @ step))
    assert whitening.shrinkage == shrinkage > 0
    np.testing.assert_allclose(
        whitening.matrix @ covariance @ whitening.matrix.T, np.eye(8), atol=1e-9
    )


def test_mahalanobis_ignores_noise_in_one_direction() -> None:
    """Products differ by 1 along 19 directions; photos of one differ by 10 along the other."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(50), 4)
    vectors = rng.normal(size=(50, 20))[labels] + 0.2 * rng.normal(size=(200, 20))
    vectors[:, 0] = 10 * rng.normal(size=200)

    def found(distances: np.ndarray) -> float:
        np.fill_diagonal(distances, np.inf)
        return float((labels[distances.argmin(1)] == labels).mean())

    fitted_on = labels < 25
    whitening = WithinClassWhitening.fit(vectors[fitted_on], labels[fitted_on])
    labels, vectors = labels[~fitted_on], vectors[~fitted_on]
    assert found(euclidean(vectors, vectors)) < 0.6
    assert found(euclidean(whitening.apply(vectors), whitening.apply(vectors))) > 0.99
    assert found(cosine(whitening.apply(vectors), whitening.apply(vectors))) > 0.99


def test_wrong_arguments_are_refused() -> None:
    vectors = vectors_of(6, 3)
    with pytest.raises(ValueError, match="two photos"):
        WithinClassWhitening.fit(vectors, np.arange(6))
    with pytest.raises(ValueError, match="differ"):
        WithinClassWhitening.fit(np.ones((6, 3)), np.zeros(6))
    with pytest.raises(ValueError, match="shape"):
        WithinClassWhitening.fit(vectors, np.zeros(5))
    with pytest.raises(ValueError, match="symmetric"):
        WithinClassWhitening.of(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="shrink"):
        WithinClassWhitening.of(np.diag([1.0, 0.0]))


@pytest.mark.train
def test_the_torch_layer_gives_the_same() -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
    from satchel.train.losses import make_loss
    from satchel.train.losses.whitening import WhiteningLayer

    vectors, labels = vectors_of(60, 16), np.arange(60) % 12
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whitening = WithinClassWhitening.fit(vectors, labels)
    layer = WhiteningLayer(whitening.matrix)
    expected = whitening.apply(vectors)
    got = layer(torch.from_numpy(vectors.astype(np.float32))).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    layer.set(2 * whitening.matrix)
    assert torch.equal(layer.matrix, torch.from_numpy((2 * whitening.matrix).astype(np.float32)))
    layer.set(whitening.matrix)
    # A contrastive loss behind it is one of Mahalanobis distances.
    loss = make_loss(
        "contrastive", products=12, dimension=16, margin=1e3, squared=False, distance="unnormalised"
    )
    cost = loss(layer(torch.from_numpy(vectors)), torch.from_numpy(labels))
    apart = mahalanobis(vectors, vectors, ledoit_wolf(within_class_residuals(vectors, labels))[0])
    same = labels[:, None] == labels[None]
    np.fill_diagonal(apart, np.nan)
    by_hand = np.nanmean(apart[same]) + (1e3 - apart[~same]).mean()
    assert cost.item() == pytest.approx(by_hand, rel=1e-6)
