"""Learning from real pairs: its loss against a loop, what training gives, what is mixed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("onnx", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import torch

from satchel.adapt.clip_head import Head
from satchel.adapt.head_training import Tokens
from satchel.adapt.pair_training import (
    Pairs,
    contrast,
    interpolated_head,
    start_of,
    train_on_pairs,
    vectors_of,
)
from satchel.adapt.pair_views import random_view
from satchel.adapt.settings import PairSettings
from satchel.encode.crops import CropShape
from satchel.records import Box

PRODUCTS = 12
SETTINGS = PairSettings(steps=60, batch=64, twins=2, learning_rate=1e-4, new_rate=3e-3)


def test_the_loss_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    classes, queries, heat = [0, 0, 1, 0, 1, 1, 2], 3, 0.2
    losses = []
    for one in range(7):
        is_query = one < queries
        positive = [
            at for at in range(7) if classes[at] == classes[one] and (at < queries) != is_query
        ]
        among = [at for at in range(7) if classes[at] != classes[one]] + positive
        sizes = {at: math.exp(vectors[one] @ vectors[at] / heat) for at in among}
        shares = [-math.log(sizes[at] / sum(sizes.values())) for at in positive]
        losses.append(sum(shares) / max(1, len(shares)))
    found = contrast(torch.tensor(vectors), torch.tensor(classes), queries, heat)
    assert float(found) == pytest.approx(sum(losses) / 7)


@pytest.fixture
def head() -> Head:
    torch.manual_seed(0)
    return Head(16, 32)


def pairs_of(seed: int) -> tuple[Pairs, Pairs]:
    """Pairs of products to train on, and of others.

    Every seller's photo is displaced along the same four directions, by amounts of its own.
    """
    rng = np.random.default_rng(seed)
    displacements = rng.normal(size=(4, 2, 16))

    def of(products: int) -> Pairs:
        goods = rng.normal(size=(products, 2, 16))
        classes = np.repeat(np.arange(products), 4)
        amounts = 1.5 * rng.normal(size=(len(classes), 4))
        asked = goods[classes] + np.einsum("nk,kij->nij", amounts, displacements)
        shown = goods[classes] + 0.05 * rng.normal(size=(len(classes), 2, 16))
        queries, pictures = (Tokens((one.astype(np.float16),), classes) for one in (asked, shown))
        return Pairs(queries, pictures, pictures, np.arange(len(pictures)))

    return of(PRODUCTS), of(PRODUCTS)


def first_right(head: Head, pairs: Pairs) -> float:
    """Share of sellers' photos whose nearest catalogue photo is of their product."""
    found = vectors_of(head, pairs.queries) @ vectors_of(head, pairs.pictures).T
    return float((pairs.pictures.classes[found.argmax(1)] == pairs.queries.classes).mean())


def test_products_that_were_not_trained_on_are_found_better(head: Head) -> None:
    trained_on, unseen = pairs_of(1)
    start = start_of(head)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    trained = train_on_pairs(start, trained_on, SETTINGS)
    assert first_right(trained, trained_on) > first_right(start, trained_on) + 0.2
    assert first_right(trained, unseen) > first_right(start, unseen) + 0.1
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())


def test_the_same_seed_gives_the_same_head(head: Head) -> None:
    pairs, _ = pairs_of(1)
    one, two, other = (
        train_on_pairs(start_of(head), pairs, SETTINGS, seed=seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_batch_has_no_more_photos_than_the_settings_say(head: Head) -> None:
    sizes: list[int] = []

    class Counted(Tokens):
        def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
            sizes.append(len(rows))
            return super().batch(rows)

    pairs, _ = pairs_of(1)
    queries = Counted(pairs.queries.tokens, pairs.queries.classes)
    settings = SETTINGS.model_copy(update={"batch": 24, "steps": 20})
    train_on_pairs(start_of(head), replace(pairs, queries=queries), settings)
    _, *steps = sizes  # first of all photos, for where training begins
    assert len(steps) == 20
    assert max(steps) <= 12  # half of them


def test_the_start_has_the_vectors_of_the_head_and_weights_are_mixed(head: Head) -> None:
    pairs, _ = pairs_of(1)
    start = start_of(head)
    with torch.inference_mode():
        expected = head(pairs.queries.batch(np.arange(5))[0]).numpy()
    assert np.allclose(vectors_of(start, pairs.queries)[:5], expected, atol=1e-6)
    trained = train_on_pairs(start, pairs, SETTINGS)
    mixed = interpolated_head(start, trained, 0.25).state_dict()
    for name, value in start.state_dict().items():
        between = 0.75 * value + 0.25 * trained.state_dict()[name]
        assert torch.allclose(mixed[name], between, atol=1e-6)


def test_views_are_crops_of_the_encoders_shape_and_depend_on_the_generator_alone() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    shape, box = CropShape(176, 16), Box(0.2, 0.2, 0.6, 0.9)
    one, two, other = (
        random_view(photo, box, shape, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8
    assert all(side % 16 == 0 for side in one.shape[:2])
    assert one.shape[0] * one.shape[1] <= 176 * 176
