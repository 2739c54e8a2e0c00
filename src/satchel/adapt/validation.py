"""Validation of adapting: held-out synthetic queries, ranked as identification ranks.

Whitening, colours and candidate re-ranking included: an encoder that is better by plain cosine may
be worse with them. Patch matching is left out: adapting does not change local features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from satchel.adapt.compose.foreground import Foregrounds
from satchel.adapt.compose.synthesis import Composer
from satchel.arrays import Bools, Ints
from satchel.encode.embed import PhotoEncoder, as_query
from satchel.evaluate.offline import Query, embed_photos, rank_queries
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.evaluate.ranks import Ranks, hits
from satchel.images import RGB
from satchel.locate.locator import Locator
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules

QUERY_SEED: Final = 2**40
"""Seed of synthetic queries: no training step uses it."""

FEWEST_QUERIES: Final = 20
"""Least number of real photos for which figures are given."""


@dataclass(frozen=True, slots=True)
class QueryRanks:
    """Rank of each query's product, 1 the best; 0 beyond all that are ranked.

    Attributes:
        synthetic: shape (q,).
        own: shape (o,), of the real queries; None where there are too few.
    """

    synthetic: Ranks
    own: Ranks | None


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
        locator: of the workspace; None where saliency locates.
    """

    photos: Sequence[RGB]
    labels: Ints
    products: int
    queries: Sequence[RGB]
    right: Ints
    unseen: Bools
    own: Ints
    rules: SearchRules = field(default_factory=SearchRules)
    locator: Locator | None = None

    def evaluate(self, encoder: PhotoEncoder) -> dict[str, float]:
        """Figures of an encoder; see `figures`."""
        return self.figures(self.ranks(encoder))

    def ranks(self, encoder: PhotoEncoder) -> QueryRanks:
        """Rank the gallery for the synthetic queries, and for the real ones if they are enough."""
        embed_all = partial(embed_photos, encoder, read=_as_is, locator=self.locator, workers=1)
        embedded = embed_all(self.photos, gallery=True)
        gallery = OfflineGallery(embedded, self.labels)
        queries = embed_all(self.queries)
        synthetic = self._ranks(gallery, queries, self.right)
        if len(self.own) < FEWEST_QUERIES:
            return QueryRanks(synthetic, None)
        others = np.setdiff1d(np.arange(len(gallery)), self.own)
        rest = OfflineGallery(map(gallery.photo, others), self.labels[others])
        own = (as_query(gallery.photo(at), encoder.n_passes) for at in self.own)
        return QueryRanks(synthetic, self._ranks(rest, own, self.labels[self.own]))

    def _ranks(
        self, gallery: OfflineGallery, queries: Iterable[PhotoEmbedding], right: Ints
    ) -> Ranks:
        return rank_queries(gallery.searcher(self.rules), map(Query, queries)).ranks(right)

    def figures(self, ranks: QueryRanks) -> dict[str, float]:
        """Top-1 and top-5 accuracy, and `score`, their mean, to choose by.

        `top1`, `top5`: of all synthetic queries. `unseen1`, `unseen5`: of those whose product was
        held out. `own1`, `own5`: of real photos, where there are enough.
        """
        synthetic = ranks.synthetic
        figures = {"top1": _accuracy(synthetic, 1), "top5": _accuracy(synthetic, 5)}
        if self.unseen.any():
            unseen = synthetic[self.unseen]
            figures |= {"unseen1": _accuracy(unseen, 1), "unseen5": _accuracy(unseen, 5)}
        if ranks.own is not None:
            figures |= {"own1": _accuracy(ranks.own, 1), "own5": _accuracy(ranks.own, 5)}
        return figures | {"score": (figures["top1"] + figures["top5"]) / 2}


def real_score(figures: dict[str, float]) -> float:
    """What weights are chosen by: accuracy on real photos, where there are enough of them."""
    if "own1" not in figures:
        return figures["score"]
    return (figures["own1"] + figures["own5"]) / 2


def make_validation(
    foregrounds: Foregrounds,
    labels: Ints,
    composer: Composer,
    *,
    val_products: Ints,
    count: int,
    seed: int,
    locator: Locator | None = None,
    real: Ints | None = None,
) -> Validation:
    """Compose validation queries, half of them of held-out products if there are any.

    Args:
        labels: shape (n,): product of each foreground.
        composer: at a side of which crops still fill an encoder's input.
        val_products: products that are not trained on.
        count: queries.
        real: rows of photos that sellers took; of held-out products they are the real queries. By
            default, all but the first photo of these are.
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
        np.setdiff1d(unseen_rows, first) if real is None else np.intersect1d(unseen_rows, real),
        locator=locator,
    )


def _as_is(photo: RGB) -> RGB:
    return photo


def _accuracy(ranks: Ranks, k: int) -> float:
    return float(hits(ranks, k).mean())
