"""State shared by all requests: the workspace, the encoder, and the current identifier."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from threading import BoundedSemaphore, Lock
from typing import Annotated, Final

import numpy as np
from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError

from satchel.arrays import Ints
from satchel.catalog.filters import Where
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.vectors import VectorStore
from satchel.confidence.stored import calibration_path
from satchel.config import Settings
from satchel.decoding.pool import DecoderPool
from satchel.encode.registry import FILE as SERVING_FILE
from satchel.errors import (
    Abandoned,
    Busy,
    FaultyPhoto,
    IndexMissing,
    PhotoError,
    PhotoTooLarge,
    SatchelError,
    UsageError,
)
from satchel.files import Stamp, stamp_of
from satchel.identify import MAX_ITEM_PHOTOS, Identifier
from satchel.images import thumbnail
from satchel.locate.given import GivenBox
from satchel.parallel import cores
from satchel.photo_header import MEGABYTE, PhotoLimits
from satchel.records import Identification, PhotoEmbedding, Product
from satchel.search.indexing import open_index
from satchel.search.ranking import RankedProduct
from satchel.served import load_embedder, served_space
from satchel.web.answers import KeptAnswer
from satchel.web.kept import Kept
from satchel.web.metrics import Metrics
from satchel.web.reindexing import Reindexing
from satchel.web.uploads import KeptPhoto, ReceivedPhoto
from satchel.workspace import Workspace

PLACES: Final = 32
"""Identifications under way or waiting, at most.

Each holds one of the threads of `satchel.web.threads`: some must stay free for uploads.
"""

DATABASE_WAIT_MS: Final = 5_000
"""How long a request waits for the database's lock; whoever sent it can try again."""

MAX_ANSWERS: Final = 5_000
MAX_ANSWER_BYTES: Final = 64 * MEGABYTE
"""Answers, with their embeddings, of which somebody may still say whether they are right."""

ANSWER_AGE_S: Final = 24 * 60 * 60

MAX_RANKED: Final = 1_000
"""Rankings by stored photos that are kept, for pages of goods, as long as the index stays."""

MAX_KEPT_PHOTOS: Final = 1_000
"""Uploaded photos that are kept for a while, at most; their bytes are limited too."""

MAX_SHARES: Final = 200
SHARE_AGE_S: Final = 10 * 60
"""How long shared photos wait, after they were last seen, for a person to log in and decide."""


@dataclass(frozen=True, slots=True)
class Identified:
    """An answer, and what it was made from.

    Attributes:
        embedded: the photos that could be used.
        used: their places among those that came, 0 for the first.
        refused: why the others could not.
        space: id of the embedding space.
    """

    found: Identification
    embedded: Sequence[PhotoEmbedding]
    used: tuple[int, ...]
    refused: tuple[FaultyPhoto, ...]
    space: str


RankStored = Callable[[tuple[str, ...], bytes, int], Sequence[RankedProduct]]
"""(SHA-256 of photos, database ids of products as int64, how many) → products, best first."""


@dataclass(frozen=True, slots=True)
class _Current:
    stamp: Stamp
    identifier: Identifier
    indexed: int
    rank_stored: RankStored


class ServerState:
    """The workspace and its identifier, which follows the index file. Thread-safe.

    At most `places` identifications are under way or waiting, and as many run as there are cores.

    Attributes:
        stopping: whether the server is being stopped, and takes no new requests.
    """

    def __init__(self, workspace: Workspace, *, places: int = PLACES) -> None:
        self.workspace = workspace
        workspace.catalogue.limit_lock_wait(DATABASE_WAIT_MS)
        self._limits = _upload_limits(workspace.settings)
        self.decoder = DecoderPool(memory_bytes=self._limits.max_decode_bytes)
        self.reindexing = Reindexing(workspace)
        self.uploads: Kept[KeptPhoto] = Kept(
            max_bytes=workspace.settings.serve.kept_mb * MEGABYTE,
            max_count=MAX_KEPT_PHOTOS,
            max_of_session=2 * MAX_ITEM_PHOTOS,
            max_age_s=60 * workspace.settings.serve.kept_minutes,
        )
        self.shares: Kept[tuple[KeptPhoto, ...]] = Kept(
            max_bytes=workspace.settings.serve.kept_mb * MEGABYTE,
            max_count=MAX_SHARES,
            max_of_session=MAX_SHARES,
            max_age_s=SHARE_AGE_S,
        )
        self.answers: Kept[KeptAnswer] = Kept(
            max_bytes=MAX_ANSWER_BYTES,
            max_count=MAX_ANSWERS,
            max_of_session=MAX_ANSWERS,
            max_age_s=ANSWER_AGE_S,
        )
        self.metrics = Metrics(self._sizes)
        self.stopping = False
        self._embedder = load_embedder(workspace, threads=cores())
        self._current: _Current | None = None
        self._loading = Lock()
        self._places = BoundedSemaphore(places)
        self._running = BoundedSemaphore(cores())
        self._thumbnails = BoundedSemaphore(cores())

    def identify(
        self,
        photos: Sequence[ReceivedPhoto],
        *,
        boxes: Sequence[GivenBox | None] | None = None,
        top: int | None = None,
        where: Where | None = None,
        gone: Callable[[], bool] = bool,
    ) -> Identified:
        """Identify the one item that these photos show, by those that can be used.

        Args:
            boxes: around the item in each photo, None where it is to be located.
            top: how many candidates to give, at most; default, the settings'.
            where: a filter; see `Identifier.identify_item`.
            gone: whether nobody waits for the answer any more.

        Raises:
            UsageError: no photos, or too many, another number of boxes, or the filter is malformed.
            BadBox: a box is not on its photo.
            NoMatch: no product passes the filter.
            FaultyPhoto: none of them can be used; the error is the first one's.
            IndexMissing: there is nothing to search.
            Busy: too many others are waiting.
            Abandoned: nobody waits for the answer.
        """
        begin = time.perf_counter()
        if not 1 <= len(photos) <= MAX_ITEM_PHOTOS:
            raise UsageError(
                f"expected 1 to {MAX_ITEM_PHOTOS} photos of one item, got {len(photos)}"
            )
        if boxes is not None and len(boxes) != len(photos):
            raise UsageError(
                f"expected a box, or an empty one, for each of {len(photos)} photos, "
                f"got {len(boxes)}"
            )
        identifier = self._up_to_date().identifier
        selection = identifier.select(where)
        given = boxes or [None] * len(photos)
        with self._turn():  # photos are read inside: waiting requests hold no pixels
            seen: list[PhotoEmbedding | FaultyPhoto] = []
            for position, (photo, box) in enumerate(zip(photos, given, strict=True), start=1):
                if gone():
                    raise Abandoned("nobody waits for the answer any more: it is not computed")
                seen.append(self._look(identifier, position, photo, box))
            refused = tuple(one for one in seen if isinstance(one, FaultyPhoto))
            used = {at: one for at, one in enumerate(seen) if isinstance(one, PhotoEmbedding)}
            if not used:
                raise refused[0]
            embedded = list(used.values())
            found = identifier.identify_embedded(
                embedded,
                top=top or self.workspace.settings.identify.top,
                selection=selection,
            )
        self.metrics.identifications.labels(found.verdict.value).inc()
        self.metrics.identification_seconds.observe(time.perf_counter() - begin)
        return Identified(found, embedded, tuple(used), refused, identifier.space.id)

    def similar(
        self,
        photo: ReceivedPhoto,
        products: Ints,
        *,
        top: int,
        gone: Callable[[], bool] = bool,
    ) -> list[RankedProduct]:
        """Rank some products by how similar they are to what a photo shows, best first.

        Args:
            products: database ids, ascending; those without an indexed photo are left out.
            top: how many to return, at most.
            gone: whether nobody waits for the answer any more.

        Raises:
            FaultyPhoto: the photo cannot be used.
            IndexMissing: there is nothing to search.
            Busy: too many others are waiting.
            Abandoned: nobody waits for the answer.
        """
        identifier = self._up_to_date().identifier
        with self._turn():
            if gone():
                raise Abandoned("nobody waits for the answer any more: it is not computed")
            seen = self._look(identifier, 1, photo, None)
            if isinstance(seen, FaultyPhoto):
                raise seen
            return _ranked(identifier, [seen], products, top)

    def similar_to_stored(
        self, photos: Sequence[str], products: Ints, *, top: int
    ) -> list[RankedProduct]:
        """Rank some products as `similar` does, by stored embeddings of photos of the catalogue.

        Local features are not compared: it takes milliseconds.

        Args:
            photos: SHA-256 of each, some hundreds at most; those without an embedding are left out.

        Raises:
            IndexMissing: there is nothing to search.
        """
        ranked = self._up_to_date().rank_stored(tuple(photos), products.tobytes(), top)
        return list(ranked)

    def products_of(self, codes: Sequence[str]) -> dict[str, Product]:
        """Return the products of these codes, by code; some hundreds at most."""
        ids = self.workspace.catalogue.ids_of_codes_among(codes)
        found = self.workspace.catalogue.products_by_id(list(ids.values()))
        return {product.code: product for product in found}

    def thumbnail(self, data: bytes, side_px: int) -> bytes:
        """Return a small JPEG of a photo.

        As many are made at once as there are cores: a large progressive JPEG takes hundreds of
        megabytes even to be decoded small.

        Raises:
            PhotoError: it cannot be decoded.
        """
        limits = self.workspace.settings.photos.limits()
        with self._thumbnails:
            return thumbnail(data, side_px, limits, decoder=self.decoder)

    def indexed(self) -> int:
        """Count the photos that are searched; 0 where there is no index."""
        try:
            return self._up_to_date().indexed
        except IndexMissing:
            return 0

    def in_doubt(self) -> int:
        """Count the photos that wait for a person's decision."""
        return self.workspace.catalogue.review.count("doubtful")

    def proposed(self) -> int:
        """Count the groups of look-alikes that wait for a person's decision."""
        return self.workspace.catalogue.look_alikes.count(GroupState.PROPOSED)

    def _sizes(self) -> dict[str, int]:
        """Size of the catalogue, for the metrics; empty while the database cannot be read."""
        try:
            size = self.workspace.catalogue.size()
            return {"products": size.products, "photos": size.photos, "indexed": self.indexed()}
        except (SQLAlchemyError, SatchelError):
            return {}

    def _look(
        self, identifier: Identifier, position: int, photo: ReceivedPhoto, box: GivenBox | None
    ) -> PhotoEmbedding | FaultyPhoto:
        """Decode and embed one photo at a time, so that a request holds the pixels of one."""
        most = self._limits.max_bytes
        try:
            if photo.size_bytes > most:
                raise PhotoTooLarge(
                    f"expected at most {most:,} bytes, got {photo.size_bytes:,}; "
                    "send a smaller copy of the photo"
                )
            return identifier.embed([photo.read()], [box])[0]
        except PhotoError as error:
            return FaultyPhoto(position, photo.name, error)

    def _up_to_date(self) -> _Current:
        """Return the identifier of the index file as it is now.

        While one thread loads a new index, the others use the previous one.
        """
        stamp, current = self._stamp(), self._current
        if current is not None and current.stamp == stamp:
            return current
        if not self._loading.acquire(blocking=current is None):
            assert current is not None
            return current
        try:
            if self._current is None or self._current.stamp != stamp:
                self._current = self._load()
            return self._current
        finally:
            self._loading.release()

    def _load(self) -> _Current:
        # The stamp is taken first: an index that is replaced in between is loaded once more on
        # the next request, rather than never.
        workspace, stamp = self.workspace, self._stamp()
        space = served_space(workspace)
        if space != self._embedder.space:  # another model was promoted, or this one rolled back
            self._embedder = load_embedder(workspace, threads=cores())
        index = open_index(
            workspace.catalogue, space, workspace.index_path, workspace.settings.search
        )
        identifier = Identifier.of(
            workspace, self._embedder, index, self._limits, decoder=self.decoder
        )
        rank = partial(_rank_stored, identifier, workspace.catalogue.vectors)
        return _Current(stamp, identifier, len(index), lru_cache(MAX_RANKED)(rank))

    def _stamp(self) -> Stamp:
        """Stamps of the index, the file naming the encoder, and its calibration, if they exist."""
        models = self.workspace.models
        files = (
            self.workspace.index_path,
            models / SERVING_FILE,
            calibration_path(models, self._embedder.space.id),
        )
        return stamp_of(files)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy("many identifications are waiting already; send this one again in a moment")
        try:
            with self._running:
                yield
        finally:
            self._places.release()


def _rank_stored(
    identifier: Identifier,
    vectors: VectorStore,
    photos: tuple[str, ...],
    products: bytes,
    top: int,
) -> Sequence[RankedProduct]:
    """Rank products by stored embeddings; of one index that always gives the same."""
    stored = vectors.embeddings(identifier.space.id, photos, None)
    return _ranked(identifier, list(stored.values()), np.frombuffer(products, np.int64), top)


def _ranked(
    identifier: Identifier, item: Sequence[PhotoEmbedding], products: Ints, top: int
) -> list[RankedProduct]:
    indexed = products[np.isin(products, identifier.searcher.index.gallery.products)]
    if not item or not len(indexed):
        return []
    return identifier.searcher.rank(item, top=top, only=indexed)


def _upload_limits(settings: Settings) -> PhotoLimits:
    """Limits of an uploaded photo: those of the settings, with less memory."""
    limits = settings.photos.limits()
    most = min(limits.max_decode_bytes, settings.serve.max_decode_mb * MEGABYTE)
    return replace(limits, max_decode_bytes=most)


def state_of(request: Request) -> ServerState:
    """Return the state of the application that a request came to."""
    state = request.app.state.server
    assert isinstance(state, ServerState)
    return state


async def _state(request: Request) -> ServerState:  # not in a thread, for which it would wait
    return state_of(request)


Server = Annotated[ServerState, Depends(_state)]
"""Dependency type: the `ServerState` of the endpoint's application."""
