"""Rank the queries of a split part as identification does, in a gallery of the workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from satchel.arrays import Floats, Ints
from satchel.catalog.training import KeptPhoto
from satchel.encode.embed import as_query
from satchel.encode.embedder import Embedder
from satchel.evaluate.offline import Query, embed_photos, rank_queries, stored_photos
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.evaluate.ranks import Ranks
from satchel.images import closer, decode
from satchel.progress import SILENT, Progress, Uncounted
from satchel.records import PhotoEmbedding
from satchel.train.batches import TrainingPhotos
from satchel.train.splits import Named, Split
from satchel.workflows.split import part_photos
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A split part as queries, and the gallery that they are searched in.

    Photos of known products are searched among the training photos; photos of unseen products (the
    protocol "open") among the part itself, each left out of the gallery as its own query; real
    queries, such as experts certified, among all photos that are none.

    Attributes:
        kept: every kept photo of the workspace.
        name: train, val or test.
    """

    workspace: Workspace
    split: Split
    kept: Sequence[KeptPhoto]
    name: str

    @property
    def queries(self) -> Sequence[Named]:
        """Its photos whose product has another photo in the gallery; see `Split.answerable`."""
        return self.split.answerable(self.name)

    @property
    def gallery(self) -> Sequence[Named]:
        """The photos that are searched."""
        return self.split.searched(self.name)

    @property
    def products(self) -> tuple[str, ...]:
        """Codes of the gallery, in order."""
        return tuple(sorted({code for code, _ in self.gallery}))

    @property
    def own(self) -> Ints | None:
        """Position of each query in the gallery; None where queries are not in it."""
        if self.split.protocol == "closed" or self.split.queries:
            return None
        at = {photo: position for position, photo in enumerate(self.gallery)}
        return np.array([at[photo] for photo in self.queries], np.int64)

    def photos(self, named: Sequence[Named], products: Sequence[str] = ()) -> TrainingPhotos:
        """Photos, labelled by place in `products`, by default those of the gallery.

        Raises:
            UsageError: the catalogue no longer has one of them as a kept photo.
        """
        return part_photos(self.workspace, self.kept, named, products or self.products)


@dataclass(frozen=True, slots=True)
class RankedPart:
    """Ranked queries of a split part.

    Attributes:
        ranks: shape (n,), of the right product.
        first: code of each query's first candidate.
        vectors: shape (n, d), float32, of the queries; None unless they are wanted.
    """

    ranks: Ranks
    first: list[str]
    vectors: Floats | None


def rank_part(
    part: SplitPart, embedder: Embedder, *, progress: Progress, keep_vectors: bool = False
) -> RankedPart:
    """Rank a part's queries as `Identifier` would, under the workspace's search rules.

    Args:
        embedder: with one thread. Its embeddings in the catalogue are reused.
        progress: of the queries.
        keep_vectors: return the queries' vectors too.
    """
    queries, searched = part.photos(part.queries), part.photos(part.gallery)
    embedded = _embedded(part, embedder, searched, gallery=True, progress=Uncounted(progress))
    gallery = OfflineGallery(embedded, searched.labels, encoder=embedder.space.id)
    vectors: list[Floats] = []

    def kept(photos: Iterable[PhotoEmbedding]) -> Iterator[PhotoEmbedding]:
        for photo in photos:
            if keep_vectors:
                vectors.append(photo.vector)
            yield photo

    if part.own is None:
        photos = kept(_embedded(part, embedder, queries, gallery=False))
        to_rank = map(Query, photos)
    else:
        own = part.own.tolist()
        photos = kept(as_query(gallery.photo(at), embedder.encoder.n_passes) for at in own)
        to_rank = map(Query, photos, ([row] for row in gallery.rows[own].tolist()))
    searcher = gallery.searcher(part.workspace.settings.search, embedder.fit)
    found = rank_queries(searcher, to_rank, progress=progress)
    return RankedPart(
        found.ranks(queries.labels),
        [part.products[product] for product in found.first],
        np.stack(vectors) if keep_vectors else None,
    )


def _embedded(
    part: SplitPart,
    embedder: Embedder,
    photos: TrainingPhotos,
    *,
    gallery: bool,
    progress: Progress = SILENT,
) -> Iterator[PhotoEmbedding]:
    """Embeddings of photos: the catalogue's, if all of it is embedded in this space."""
    catalogue = part.workspace.catalogue
    if catalogue.vectors.count_missing(embedder.space.id):
        limits = part.workspace.settings.photos.limits()
        return embed_photos(
            embedder.encoder,
            photos.names,
            lambda name: decode(photos.read(name), limits=limits),
            locator=embedder.locator,
            closer=lambda name, box: closer(photos.read(name), box, limits=limits),
            gallery=gallery,
            progress=progress,
        )
    stored = stored_photos(catalogue, embedder.space, photos.names)
    return stored if gallery else (as_query(photo, embedder.encoder.n_passes) for photo in stored)
