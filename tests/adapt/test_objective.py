"""Loss of adapting: by hand, and which products it does not separate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from satchel.errors import UsageError

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.adapt.objective import MarginSoftmax, initial_prototypes, inseparable_products
from satchel.adapt.task import AdaptTask
from satchel.train.batches import TrainingPhotos


def objective(alike: list[tuple[int, int]], products: int = 5, dimension: int = 7) -> MarginSoftmax:
    mask = torch.zeros(products, products, dtype=torch.bool)
    for a, b in alike:
        mask[a, b] = mask[b, a] = True
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(products, dimension)))
    return MarginSoftmax(weight, mask, scale=9.0, margin=0.2)


def test_the_loss_is_the_formula() -> None:
    loss = objective([(0, 3), (1, 4)])
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(6, 7)).astype(np.float32), [0, 3, 1, 2, 4, 0]
    weights = loss.prototypes.detach().numpy()
    total = 0.0
    for vector, label in zip(vectors, labels, strict=True):
        powers = []
        for product in range(5):
            cosine = vector @ weights[product]
            cosine /= np.linalg.norm(vector) * np.linalg.norm(weights[product])
            if product == label:
                own = math.exp(9.0 * (cosine - 0.2))
                powers.append(own)
            elif (label, product) not in {(0, 3), (3, 0), (1, 4), (4, 1)}:
                powers.append(math.exp(9.0 * cosine))
        total -= math.log(own / sum(powers))
    found = loss(torch.from_numpy(vectors), torch.tensor(labels), torch.tensor(labels), 1.0)
    assert found.item() == pytest.approx(total / 6, rel=1e-5)


def test_look_alikes_are_not_separated() -> None:
    loss = objective([(0, 3)])
    vectors = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.zeros(4, dtype=torch.int64)
    loss(vectors, labels, labels, 1.0).backward()
    assert loss.prototypes.grad is not None
    pushed = loss.prototypes.grad.norm(dim=1)
    assert pushed[3] == 0
    assert (pushed[[0, 1, 2, 4]] > 0).all()


def test_inseparable_are_products_of_near_duplicates_equal_photos_and_look_alikes() -> None:
    vectors = np.eye(5, dtype=np.float32)
    vectors[1] = (0.99, math.sqrt(1 - 0.99**2), 0, 0, 0)
    labels = np.array([0, 1, 2, 3, 3])
    # Photos 0 and 1 are near-duplicates; 2 and 4 are one photo under two products.
    found = inseparable_products(vectors, ("a", "b", "c", "d", "c"), labels, 4, cosine=0.98)
    assert sorted(zip(*np.nonzero(found), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    # People confirmed 0, 1 and 3 as look-alikes.
    told = inseparable_products(
        vectors, ("a", "b", "c", "d", "e"), labels, 4, cosine=1.1, look_alikes=[np.array([0, 1, 3])]
    )
    pairs = [(0, 1), (0, 3), (1, 3)]
    assert sorted(zip(*np.nonzero(told), strict=True)) == sorted(pairs + [p[::-1] for p in pairs])


def test_prototypes_begin_as_centred_means() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    plain = initial_prototypes(vectors, np.array([0, 0, 1]), 2, prototype_centering=0)
    # (1 + 0.6, 0.8) = (1.6, 0.8), of length 1.789
    assert np.allclose(plain, [[0.8944, 0.4472], [0.0, 1.0]], atol=1e-4)
    centred = initial_prototypes(vectors, np.array([0, 0, 1]), 2, prototype_centering=1)
    assert np.allclose(centred.sum(0), 0, atol=1e-6)


def test_too_few_products_are_refused() -> None:
    photos = TrainingPhotos(("a", "b"), np.array([0, 0]), (None,) * 2, lambda _: b"")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two products"):
        AdaptTask.of(photos, np.array([0, 1]), 1)
