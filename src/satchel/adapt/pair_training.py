"""Training of the built-in encoder's head on real pairs: sellers' photos and the catalogue's.

A batch holds products with their near twins. A seller's photo must be nearest to the catalogue's
photos of its product, and the other way round (InfoNCE: A. van den Oord et al., "Representation
learning with contrastive predictive coding", 2018, with several positives: P. Khosla et al.,
"Supervised contrastive learning", NeurIPS 2020, eq. 2). Catalogue photos and synthetic ones keep
the vectors that the head gave at the start. What is new is a projection after the head. It begins
as the map under which photos of one product differ least, which pairs give in closed form
(`satchel.search.whitening`), so that training only has to improve on it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from satchel.adapt.clip_head import Head, head_like
from satchel.adapt.head_training import Tokens
from satchel.adapt.interpolation import interpolated
from satchel.adapt.settings import PairSettings
from satchel.arrays import Floats, Ints
from satchel.progress import SILENT, Progress
from satchel.search.whitening import learn_whitening, product_deviations
from satchel.train.schedule import share_of_rate

PASSED_TOGETHER: Final = 1024
VIEWS: Final = 2
"""Sellers' photos and catalogue photos of each product in a batch."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Tokens of real pairs, shape (n, 2, d) each, with their classes.

    Attributes:
        queries: crops of sellers' photos.
        pictures: crops of the catalogue's photos of the same products.
        others: crops of all photos; their classes do not matter.
        stays: rows of `others` whose vectors are to stay: of catalogue and synthetic photos.
    """

    queries: Tokens
    pictures: Tokens
    others: Tokens
    stays: Ints

    @property
    def classes(self) -> Ints:
        """Classes that have both, in ascending order."""
        return np.intersect1d(self.queries.classes, self.pictures.classes)


def start_of(head: Head) -> Head:
    """The same head with a projection that changes nothing."""
    width = head.post.normalized_shape[0]
    own = {name: value.detach().clone() for name, value in head.state_dict().items()}
    own["projection.weight"], own["projection.bias"] = torch.eye(width), torch.zeros(width)
    return head_like(own)


def train_on_pairs(
    start: Head,
    pairs: Pairs,
    settings: PairSettings,
    *,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Head:
    """Train a head that begins as `start`, see `start_of`; `start` stays as it is.

    Args:
        pairs: of two products at least.
        progress: of the steps.
    """
    head = copy.deepcopy(start)
    queries, pictures = (vectors_of(start, one) for one in (pairs.queries, pairs.pictures))
    assert head.projection is not None
    initial = least_differences(
        np.concatenate([queries, pictures]),
        np.concatenate([pairs.queries.classes, pairs.pictures.classes]),
        power=settings.whitening,
    )
    head.projection.weight.data.copy_(torch.from_numpy(initial.T))
    head.projection.bias.data.copy_(torch.from_numpy(-pictures.mean(0) @ initial))
    teacher = copy.deepcopy(head).eval().requires_grad_(False)
    twins = near_twins(pictures, pairs.pictures.classes, pairs.classes, settings.twins)
    new = list(head.projection.parameters())
    ids = {id(one) for one in new}
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [one for one in head.parameters() if id(one) not in ids],
                "lr": settings.learning_rate,
            },
            {"params": new, "lr": settings.new_rate},
        ],
        weight_decay=settings.weight_decay,
    )
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: share_of_rate(step, settings.steps, settings.warmup)
    )
    progress.begin("train", settings.steps)
    head.train()
    for chosen in _batches(pairs, twins, settings, seed):
        asked, shown, kept = chosen
        tokens = [pairs.queries.batch(asked), pairs.pictures.batch(shown)]
        classes = torch.cat([one[1] for one in tokens])
        found = head(torch.cat([one[0] for one in tokens]))
        stays = torch.cat([tokens[1][0], pairs.others.batch(kept)[0]])
        with torch.no_grad():
            taught = teacher(stays)
        moved = torch.cat([found[len(asked) :], head(stays[len(shown) :])])
        loss = contrast(found, classes, len(asked), settings.temperature)
        loss = loss + settings.distillation * (1 - (moved * taught).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        progress.advance(1)
    head.eval()
    return head


def contrast(
    vectors: torch.Tensor, classes: torch.Tensor, queries: int, temperature: float
) -> torch.Tensor:
    """Mean of −log of the share that each positive has among it and all other products.

    Args:
        vectors: shape (n, d), of length 1: first of sellers' photos, then of the catalogue's.
        classes: shape (n,).
        queries: how many are of sellers' photos. Positives are of the other kind.
    """
    first = torch.arange(len(classes)) < queries
    same = classes[:, None] == classes[None]
    positive = same & (first[:, None] != first[None])
    scores = (vectors @ vectors.T / temperature).masked_fill(same & ~positive, float("-inf"))
    shares = torch.log_softmax(scores, 1).masked_fill(~positive, 0)
    return -(shares.sum(1) / positive.sum(1).clamp_min(1)).mean()


def interpolated_head(start: Head, trained: Head, weight: float) -> Head:
    """The head between two; see `satchel.adapt.interpolation`."""
    return head_like(interpolated(start.state_dict(), trained.state_dict(), weight))


def vectors_of(head: Head, tokens: Tokens) -> Floats:
    """A head's vectors of all tokens, shape (n, d), float32."""
    rows = np.array_split(np.arange(len(tokens)), max(1, len(tokens) // PASSED_TOGETHER))
    with torch.inference_mode():
        found = [head(tokens.batch(some)[0]).numpy() for some in rows]
    return np.concatenate(found).astype(np.float32)


def least_differences(vectors: Floats, classes: Ints, *, power: float) -> Floats:
    """Map under which photos of one product differ less, shape (d, d).

    Args:
        vectors: shape (n, d); classes: shape (n,).
        power: see `satchel.search.whitening.learn_whitening`.
    """
    order = np.argsort(classes, kind="stable")
    deviations, degrees = product_deviations(vectors[order], classes[order])
    matrix = learn_whitening(deviations, power=power, degrees=degrees).matrix
    return matrix if len(matrix) else np.eye(vectors.shape[1], dtype=np.float32)


def near_twins(pictures: Floats, classes: Ints, known: Ints, count: int) -> Ints:
    """Of each class that is known, itself and the nearest others: places in `known`.

    Args:
        pictures: vectors of catalogue photos, shape (n, d); `classes` are theirs, shape (n,).
        known: shape (c,).

    Returns:
        shape (c, min(c, 2 × count)), the class itself first.
    """
    means = np.stack([pictures[classes == one].mean(0) for one in known])
    means -= means.mean(0)
    means /= np.linalg.norm(means, axis=1, keepdims=True).clip(1e-6)
    nearest: Ints = np.argsort(-(means @ means.T), axis=1, kind="stable")[:, : 2 * count]
    return nearest


def with_twins(twins: Ints, groups: int, count: int, rng: np.random.Generator) -> Ints:
    """Products of a batch: some of them, each with a few of its near twins; places, ascending.

    Args:
        twins: see `near_twins`.
        groups: products to begin with; `count`: near twins of each.
    """
    seeds = rng.choice(len(twins), groups, replace=False)
    near = [rng.permutation(twins[one])[:count] for one in seeds]
    return np.unique(np.concatenate([seeds, *near]))


def _batches(
    pairs: Pairs, twins: Ints, settings: PairSettings, seed: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Rows of queries, of pictures and of others for each step."""
    rng = np.random.default_rng([seed, len(twins)])
    classes = pairs.classes
    rows = [
        [np.flatnonzero(one.classes == c) for c in classes]
        for one in (pairs.queries, pairs.pictures)
    ]
    groups = min(len(classes), max(1, settings.batch // (2 * VIEWS * (1 + settings.twins))))
    for _ in range(settings.steps):
        chosen = with_twins(twins, groups, settings.twins, rng)
        asked, shown = (
            np.concatenate([rng.choice(kind[one], VIEWS) for one in chosen]) for kind in rows
        )
        yield asked, shown, rng.choice(pairs.stays, len(shown))
