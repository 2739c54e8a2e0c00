"""Offline evaluation: rank a whole test set exactly as `satchel.identify.Identifier` does.

Photos are embedded by `satchel.encode.embed.embed`, indexed by `satchel.search.indexing`, ranked by
`satchel.search.searcher.Searcher` and scored by `satchel.confidence.model.score_confidence`: the
functions that answer users, under the rules that are given. Torch is not needed. Memory does not
grow with the queries, and of the gallery it holds the vectors alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import numpy as np

from satchel.arrays import Doubles, Ints
from satchel.catalog.store import Catalogue
from satchel.confidence.features import Rankings
from satchel.confidence.model import Posterior, score_confidence
from satchel.confidence.outcomes import NOT_THERE, RankedPair
from satchel.encode.card import Confidence
from satchel.encode.embed import PhotoEncoder, embed
from satchel.encode.embedder import EmbeddingSpace
from satchel.images import RGB
from satchel.locate.locator import Locator
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import Box, PhotoEmbedding
from satchel.search.indexing import BATCH_PHOTOS
from satchel.search.ranking import POOL, RankedProduct
from satchel.search.searcher import Searcher

Photo = TypeVar("Photo")
In = TypeVar("In")
Out = TypeVar("Out")

READ_TOGETHER: Final = 200
"""Photos whose embeddings are read from the catalogue at once."""

RANKED_TOGETHER: Final = 16
"""Queries that one thread ranks before it takes others."""

NO_PRODUCT: Final = -1
"""Padding id, where fewer products were ranked than for other queries."""


# -- embedding ---------------------------------------------------------------------------------


def embed_photos(
    encoder: PhotoEncoder,
    photos: Iterable[Photo],
    read: Callable[[Photo], RGB],
    *,
    locator: Locator | None = None,
    closer: Callable[[Photo, Box], RGB] | None = None,
    gallery: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Iterator[PhotoEmbedding]:
    """Embed photos in order and in parallel; a few batches are in memory at a time.

    Args:
        encoder: with one thread where there are several workers.
        read: photo → upright pixels.
        locator: finds the object; default, the encoder's saliency.
        closer: decodes a photo again; see `satchel.encode.embed.embed`.
        gallery: embed them as gallery photos, else as queries.
        workers: threads; default, one for each core.
        progress: of the photos.
    """

    def work(batch: list[Photo]) -> list[PhotoEmbedding]:
        return embed(
            encoder,
            [read(one) for one in batch],
            locator=locator,
            gallery=gallery,
            closer=closer and (lambda at, box: closer(batch[at], box)),
        )

    batches = batched(photos, BATCH_PHOTOS)
    for found in map_in_order(work, batches, workers=workers or cores()):
        yield from found
        progress.advance(len(found))


def stored_photos(
    catalogue: Catalogue, space: EmbeddingSpace, photos: Sequence[str]
) -> Iterator[PhotoEmbedding]:
    """Read embeddings of gallery photos from the catalogue, in order.

    Args:
        space: that they belong to.
        photos: SHA-256 of each; all embedded.
    """
    for some in batched(photos, READ_TOGETHER):
        stored = catalogue.vectors.embeddings(space.id, some, space.card.patch_dimension)
        yield from (stored[name] for name in some)


# -- ranking -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """An embedded photo to rank a gallery for.

    Attributes:
        photo: embedded as a query.
        further: photos of the same item, embedded likewise.
        without_rows: rows of the index to leave out: the photos themselves, where the gallery has
            them.
        only: ids of the products that pass the query's filter; None without a filter.
    """

    photo: PhotoEmbedding
    without_rows: Sequence[int] = ()
    only: Ints | None = None
    further: Sequence[PhotoEmbedding] = ()

    @property
    def item(self) -> list[PhotoEmbedding]:
        """All photos of the item."""
        return [self.photo, *self.further]


@dataclass(frozen=True, slots=True)
class RankedQueries:
    """Rankings of n queries, each of k products at most, best first.

    Attributes:
        products: shape (n, k), int64, ids; `NO_PRODUCT` where fewer were ranked.
        rankings: their scores and evidence.
        confidences: shape (n, k), float64, in [0, 1]; NaN without a confidence model.
        in_catalogue: shape (n,), float64, in (0, 1); NaN likewise.
    """

    products: Ints
    rankings: Rankings
    confidences: Doubles
    in_catalogue: Doubles

    def __len__(self) -> int:
        return len(self.products)

    @classmethod
    def of(
        cls, ranked: Sequence[Sequence[RankedProduct]], scored: Sequence[Posterior] = ()
    ) -> RankedQueries:
        """Rankings of one product each at least, and their posteriors if there are any."""
        products = np.full((len(ranked), POOL), NO_PRODUCT)
        confidences = np.full((len(ranked), POOL), np.nan)
        for row, one in enumerate(ranked):
            products[row, : len(one)] = [found.product for found in one]
        for row, posterior in enumerate(scored):
            confidences[row, : len(posterior.confidences)] = posterior.confidences
        present = [posterior.in_catalogue for posterior in scored] or [np.nan] * len(ranked)
        return cls(products, Rankings.of(ranked), confidences, np.array(present))

    @classmethod
    def joined(cls, parts: Sequence[RankedQueries]) -> RankedQueries:
        """Concatenate rankings of several batches, at least one."""
        return cls(
            np.concatenate([part.products for part in parts]),
            Rankings.joined([part.rankings for part in parts]),
            np.concatenate([part.confidences for part in parts]),
            np.concatenate([part.in_catalogue for part in parts]),
        )

    @property
    def scores(self) -> Doubles:
        """Shape (n, k), descending."""
        return self.rankings.scores

    @property
    def first(self) -> Ints:
        """The first candidate of each query, shape (n,)."""
        return self.products[:, 0]

    def ranks(self, right: Sequence[int] | Ints) -> Ints:
        """Rank of each query's right product, 1 the best; 0 where it is not among the ranked.

        Products with the same score rank before the right one.
        """
        found = self.products == np.asarray(right, np.int64)[:, None]
        own = np.where(found, self.scores, np.inf).min(1, keepdims=True)
        ranks: Ints = (self.scores >= own).sum(1).astype(np.int64)
        return ranks


def rank_queries(
    searcher: Searcher,
    queries: Iterable[Query],
    *,
    confidence: Confidence | None = None,
    absent: float | None = None,
    progress: Progress = SILENT,
) -> RankedQueries:
    """Rank the gallery for each query, in parallel, and score the confidence of each candidate.

    Args:
        queries: embedded one after the other while others are ranked; none is kept.
        confidence: model of confidences from scores; None leaves them out.
        absent: see `satchel.confidence.model.presence`.
        progress: of the queries.
    """

    def work(batch: list[Query]) -> RankedQueries:
        ranked = [
            searcher.rank(query.item, top=POOL, without_rows=query.without_rows, only=query.only)
            for query in batch
        ]
        if confidence is None:
            return RankedQueries.of(ranked)
        scored = [score_confidence(confidence, one, absent=absent) for one in ranked]
        return RankedQueries.of(ranked, scored)

    return RankedQueries.joined(list(_in_parallel(work, queries, progress)))


def rank_pairs(
    searcher: Searcher,
    queries: Iterable[Query],
    right: Iterable[int],
    *,
    progress: Progress = SILENT,
) -> list[RankedPair]:
    """Rank each query twice, in the full gallery and with its product left out, for calibration.

    Args:
        right: id of each query's product; `NOT_THERE` for an item that is not in the catalogue.
        progress: of the queries.
    """

    def pair_of(query: Query, product: int) -> RankedPair:
        rank = partial(
            searcher.rank,
            query.item,
            top=POOL,
            without_rows=query.without_rows,
            only=query.only,
        )
        there = rank()
        if product == NOT_THERE:
            return RankedPair(product, there, there)
        return RankedPair(product, there, rank(without=product))

    def work(batch: list[tuple[Query, int]]) -> list[RankedPair]:
        return [pair_of(query, product) for query, product in batch]

    pairs = zip(queries, right, strict=True)
    return [pair for batch in _in_parallel(work, pairs, progress) for pair in batch]


def _in_parallel(
    work: Callable[[list[In]], Out], items: Iterable[In], progress: Progress
) -> Iterator[Out]:
    """Map batches of items in order, in threads, and report each batch."""
    sizes: deque[int] = deque()

    def counted() -> Iterator[list[In]]:
        for batch in batched(items, RANKED_TOGETHER):
            sizes.append(len(batch))
            yield batch

    for found in map_in_order(work, counted(), workers=cores()):
        yield found
        progress.advance(sizes.popleft())
