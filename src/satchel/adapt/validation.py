"""Validation of adapting: held-out synthetic queries, ranked as identification ranks.

Whitening, colours and candidate re-ranking included: an encoder that is better by plain cosine may
be worse with them. Patch matching is left out: adapting does not change local features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.adapt.compose.foreground import Foregrounds
from satchel.adapt.compose.synthesis import Composer
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.embed import PhotoEncoder, as_query, embed
from satchel.images import RGB
from satchel.parallel import batched, small_products
from satchel.records import PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BATCH: Final = 16
QUERY_SEED: Final = 2**40
"""Of synthetic queries: no training step has it."""

FEWEST_QUERIES: Final = 20
"""Real photos from which their figures are given."""


def _seen(
    encoder: PhotoEncoder, photos: Sequence[RGB], *, gallery: bool = False
) -> list[PhotoEmbedding]:
    return [
        seen for batch in batched(photos, BATCH) for seen in embed(encoder, batch, gallery=gallery)
    ]


def searched(
    queries: Sequence[PhotoEmbedding],
    gallery: Sequence[PhotoEmbedding],
    labels: Ints,
    products: int,
    rules: SearchRules,
) -> Floats:
    """Score of every product for every query, shape (q, products), as identification ranks them.

    Args:
        labels: shape (g,): products of the gallery.

    Returns:
        float32; -1 for a product that the gallery has no picture of.
    """
    order = np.argsort(labels, kind="stable")
    seen = [gallery[row] for row in order]
    index = GalleryIndex.of(
        GalleryVectors(
            np.stack([photo.vector for photo in seen]),
            labels[order],
            np.zeros((len(seen), 32), np.uint8),
            revision=0,
            colours=np.stack([photo.colours for photo in seen]),
        ),
        "in training",
        np.stack([photo.whole - photo.vector for photo in seen]),
        rules,
    )
    scores = np.full((len(queries), products), -1, np.float32)
    with small_products():
        for own, query in zip(scores, queries, strict=True):
            ranked = rank_products(index, query.descriptor[None], top=products)
            own[[one.product for one in ranked]] = [one.score for one in ranked]
    return scores


@dataclass(frozen=True, slots=True)
class Scores:
    """Score of every product for the synthetic queries and for the real ones, where there are any.

    Attributes:
        synthetic: shape (q, products).
        own: shape (o, products); None where there are too few.
    """

    synthetic: Floats
    own: Floats | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Queries whose products are known, and the gallery that they are searched in.

    Attributes:
        photos: of the gallery.
        labels: shape (n,): products of the gallery's photos.
        products: how many there are.
        queries: synthetic photos.
        right: shape (q,): products of the queries.
        unseen: shape (q,), bool: the query's product was held out of training.
        own: rows of gallery photos that are further photos of held-out products: real queries,
            searched in the gallery without them; few catalogues have any.
        rules: of the search.
    """

    photos: Sequence[RGB]
    labels: Ints
    products: int
    queries: Sequence[RGB]
    right: Ints
    unseen: npt.NDArray[np.bool_]
    own: Ints
    rules: SearchRules = field(default_factory=SearchRules)

    def evaluate(self, encoder: PhotoEncoder) -> dict[str, float]:
        """Figures of an encoder; see `figures`."""
        return self.figures(self.scores(encoder))

    def scores(self, encoder: PhotoEncoder) -> Scores:
        """Search the synthetic queries, and the real ones if they are enough."""
        gallery = _seen(encoder, self.photos, gallery=True)
        queries = _seen(encoder, self.queries)
        labels, products, rules = self.labels, self.products, self.rules
        synthetic = searched(queries, gallery, labels, products, rules)
        if len(self.own) < FEWEST_QUERIES:
            return Scores(synthetic, None)
        others = np.setdiff1d(np.arange(len(gallery)), self.own)
        own = [as_query(gallery[row], encoder.n_passes) for row in self.own]
        rest = [gallery[row] for row in others]
        return Scores(synthetic, searched(own, rest, labels[others], products, rules))

    def figures(self, scores: Scores) -> dict[str, float]:
        """Top-1 and top-5 accuracy, and `score`, their mean, to choose by.

        `top1`, `top5`: of all synthetic queries. `unseen1`, `unseen5`: of those whose product was
        held out. `own1`, `own5`: of real photos, where there are enough.
        """
        ranks = _ranks(scores.synthetic, self.right)
        found = {"top1": _accuracy(ranks, 1), "top5": _accuracy(ranks, 5)}
        if self.unseen.any():
            unseen = ranks[self.unseen]
            found |= {"unseen1": _accuracy(unseen, 1), "unseen5": _accuracy(unseen, 5)}
        if scores.own is not None:
            own = _ranks(scores.own, self.labels[self.own])
            found |= {"own1": _accuracy(own, 1), "own5": _accuracy(own, 5)}
        return found | {"score": (found["top1"] + found["top5"]) / 2}


def make_validation(
    foregrounds: Foregrounds,
    labels: Ints,
    composer: Composer,
    *,
    val_products: Ints,
    count: int,
    seed: int,
) -> Validation:
    """Compose validation queries, half of them of held-out products if there are any.

    Args:
        labels: shape (n,): product of each foreground.
        composer: at a side of which crops still fill an encoder's input.
        val_products: products that are not trained on.
        count: queries.
    """
    rng = np.random.default_rng([seed, QUERY_SEED])
    unseen_rows = np.flatnonzero(np.isin(labels, val_products))
    known_rows = np.flatnonzero(~np.isin(labels, val_products))
    halves = [rows for rows in (unseen_rows, known_rows) if len(rows)]
    rows = np.concatenate(
        [np.resize(rng.permutation(half), count // len(halves)) for half in halves]
    )
    queries = [
        composer.compose(int(row), np.random.default_rng([seed, QUERY_SEED, at]), view="whole")
        for at, row in enumerate(rows)
    ]
    _, first = np.unique(labels, return_index=True)
    return Validation(
        [foregrounds.photo(row) for row in range(len(foregrounds))],
        labels,
        int(labels.max()) + 1,
        queries,
        labels[rows],
        np.isin(labels[rows], val_products),
        np.setdiff1d(unseen_rows, first),
    )


def _ranks(scores: Floats, right: Ints) -> Ints:
    """Rank of the right product of each query, 1 the best; ties count against it."""
    own = scores[np.arange(len(right)), right][:, None]
    ranks: Ints = (scores >= own).sum(1).astype(np.int64)
    return ranks


def _accuracy(ranks: Ints, k: int) -> float:
    return float((ranks <= k).mean())
