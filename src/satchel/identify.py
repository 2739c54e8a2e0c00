"""Identify an item: photos in, ranked catalogue models out. Read this first.

bytes → decode → embed (box, vector, colours, local features) → rank products → score confidence →
Identification; from ranking on in `satchel.answers`

The command line and the web service identify through here. Evaluation ranks whole test sets by the
same functions: see `satchel.evaluate.offline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from satchel.answers import Answers
from satchel.catalog.filters import Selection, Where, shown
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.store import Catalogue
from satchel.confidence.stored import read_calibration
from satchel.curate.own_pictures import OwnPictures, with_picture
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.encode.card import Confidence
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.errors import IndexMissing, UsageError
from satchel.images import RGB, closer, decode_around
from satchel.locate.given import BoxLike, GivenBox, given_box
from satchel.photo_header import PhotoLimits
from satchel.records import Box, Identification, PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.indexing import open_index
from satchel.search.searcher import Searcher
from satchel.served import load_in_background, served_space
from satchel.workspace import Workspace

MAX_ITEM_PHOTOS = 8

STATES: Final = {
    "confirmed": (GroupState.CONFIRMED,),
    "proposed": (GroupState.CONFIRMED, GroupState.PROPOSED),
    "off": (),
}
"""States of groups that count as one candidate, by the setting `counted`."""


class Identifier:
    """Names the catalogue models that photos show. Safe to use from several threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        embedder: Embedder,
        index: GalleryIndex,
        limits: PhotoLimits,
        *,
        confidence: Confidence | None = None,
        absent: float | None = None,
        look_alikes: Sequence[GroupState] = STATES["confirmed"],
        decoder: Decoder = IN_PROCESS,
        own_pictures: OwnPictures | None = None,
        visible: Sequence[str] = (),
    ) -> None:
        """Set up an identifier.

        Args:
            confidence: the workspace's own calibration; default, the confidence of the encoder's
                card.
            absent: share of items that are expected not to be in the catalogue; default, the
                share that `confidence` was fitted for.
            look_alikes: groups in these states count as one candidate.
            decoder: what decodes photos; a `satchel.decoding.pool.DecoderPool` for those of
                strangers.
            own_pictures: finds photos that are the catalogue's own pictures; None looks for none.
            visible: names of attributes that are visible on an item; empty for those that seem so.
        """
        self._catalogue = catalogue
        self._embedder = embedder
        self.searcher = Searcher(index, partial(catalogue.vectors.patches, embedder.space.id))
        self._limits = limits
        self._decoder = decoder
        self._answers = Answers(
            catalogue,
            self.searcher,
            confidence or embedder.space.card.confidence,
            confidence is not None,
            absent,
            tuple(look_alikes),
            own_pictures,
            tuple(visible),
        )

    @classmethod
    def open(
        cls,
        workspace: Workspace | Path | str | None = None,
        *,
        embedder: Future[Embedder] | None = None,
        decoder: Decoder = IN_PROCESS,
    ) -> Identifier:
        """Open the identifier of a workspace.

        Args:
            embedder: the served encoder with its locator, if they are loading already.
            decoder: what decodes photos; a `satchel.decoding.pool.DecoderPool` for those of
                strangers.

        Raises:
            WorkspaceError: there is no workspace.
            IndexMissing: its gallery has no embedded photo yet.
            EncoderError, LocatorError: a model file is missing or altered.
        """
        if not isinstance(workspace, Workspace):
            workspace = Workspace.open(workspace)
        embedder = embedder or load_in_background(workspace)
        index = open_index(
            workspace.catalogue,
            served_space(workspace),
            workspace.index_path,
            workspace.settings.search,
        )
        return cls.of(workspace, embedder.result(), index, decoder=decoder)

    @classmethod
    def of(
        cls,
        workspace: Workspace,
        embedder: Embedder,
        index: GalleryIndex,
        limits: PhotoLimits | None = None,
        *,
        decoder: Decoder = IN_PROCESS,
    ) -> Identifier:
        """Set up the identifier of a workspace whose embedder and index are open already.

        Args:
            limits: limits on a photo; default, those of the settings.
            decoder: what decodes photos.

        Raises:
            EncoderError: the workspace's own calibration is damaged.
        """
        settings = workspace.settings
        own = read_calibration(workspace.models, embedder.space.id)
        return cls(
            workspace.catalogue,
            embedder,
            index,
            limits or settings.photos.limits(),
            confidence=own.confidence if own else None,
            absent=settings.identify.absent,
            look_alikes=STATES[settings.look_alikes.counted],
            decoder=decoder,
            own_pictures=OwnPictures(
                partial(_stored, workspace.catalogue, embedder.space.id),
                embedder.encoder.n_passes,
                workspace.photos.read,
                settings.curate.duplicates,
                embedder.fit.distance,
            ),
            visible=settings.catalogue.visible,
        )

    @property
    def space(self) -> EmbeddingSpace:
        """The embeddings that are searched."""
        return self._embedder.space

    def identify(
        self,
        photo: bytes,
        *,
        top: int = 5,
        where: Where | None = None,
        box: BoxLike | None = None,
    ) -> Identification:
        """Identify the item in one photo; see `identify_item`."""
        return self.identify_item([photo], top=top, where=where, boxes=[box])

    def identify_item(
        self,
        photos: Sequence[bytes],
        *,
        top: int = 5,
        where: Where | None = None,
        boxes: Sequence[BoxLike | None] | None = None,
    ) -> Identification:
        """Identify one item from 1 to `MAX_ITEM_PHOTOS` photos of it.

        Args:
            photos: bytes of each photo's file.
            top: how many candidates to give, at most.
            where: a filter, such as {"brand": "Dior", "colour": ["black", "navy"]}: only products
                that have one of the values of each attribute take part.
            boxes: around the item in each photo, as fractions of its width and height from the
                top left, (0.1, 0.2, 0.8, 0.9), or as text, "120,80,640,900px"; None where it is to
                be located. What reaches beyond the photo is cut off.

        Raises:
            UsageError: no photos, or too many, another number of boxes, or the filter is malformed.
            BadBox: a box is malformed, or not on its photo.
            NoMatch: no product passes the filter.
            PhotoError: one of the photos cannot be used.
        """
        if not 1 <= len(photos) <= MAX_ITEM_PHOTOS:
            raise UsageError(
                f"expected 1 to {MAX_ITEM_PHOTOS} photos of one item, got {len(photos)}"
            )
        selection = self.select(where)
        embedded = self.embed(photos, boxes)
        return self.identify_embedded(embedded, top=top, selection=selection)

    def select(self, where: Where | None) -> Selection | None:
        """Select the products that pass a filter; None for no filter, or an empty one.

        Raises:
            UsageError: the filter is malformed.
            NoMatch: no product passes it.
            IndexMissing: none of those that pass it is in the index.
        """
        if not where:
            return None
        selection = self._catalogue.facets.read().select(where)
        if not np.isin(selection.products, self.searcher.index.gallery.products).any():
            raise IndexMissing(
                f"none of the {len(selection.products):,} products with {shown(selection.where)} "
                "is in the index yet: run `satchel index`"
            )
        return selection

    def embed(
        self, photos: Sequence[bytes], boxes: Sequence[BoxLike | None] | None = None
    ) -> list[PhotoEmbedding]:
        """Decode photos, locate the object in each that has no box, and encode it.

        Args:
            boxes: see `identify_item`.

        Raises:
            UsageError: there are not as many boxes as photos.
            BadBox: a box is malformed, or not on its photo.
            PhotoError: one of the photos cannot be used.
        """
        if boxes is not None and len(boxes) != len(photos):
            raise UsageError(
                f"expected a box, or none, for each of {len(photos)} photos, got {len(boxes)}"
            )
        given = [None if box is None else given_box(box) for box in boxes or [None] * len(photos)]
        decoded = [self._decoded(*pair) for pair in zip(photos, given, strict=True)]
        pixels, placed = zip(*decoded, strict=True)
        embedded = self._embedder.embed(
            pixels,
            boxes=placed,
            closer=lambda at, box: closer(
                photos[at], box, limits=self._limits, decoder=self._decoder
            ),
        )
        return [with_picture(*pair) for pair in zip(embedded, pixels, strict=True)]

    def _decoded(self, photo: bytes, box: GivenBox | None) -> tuple[RGB, Box | None]:
        """The pixels of a photo, and the given box on it."""
        if box is None:
            return self._decoder.decode(photo, limits=self._limits), None
        return decode_around(photo, box.on, limits=self._limits, decoder=self._decoder)

    def identify_embedded(
        self,
        photos: Sequence[PhotoEmbedding],
        *,
        top: int = 5,
        selection: Selection | None = None,
    ) -> Identification:
        """Identify one item from embedded photos; look-alikes count as one candidate.

        Args:
            selection: the products that take part, from `select`; None for all.
        """
        return self._answers.of(photos, top=top, selection=selection)


def _stored(catalogue: Catalogue, space: str, photos: Sequence[str]) -> dict[str, PhotoEmbedding]:
    """The embeddings of stored photos, without local features."""
    return catalogue.vectors.embeddings(space, photos, None)
