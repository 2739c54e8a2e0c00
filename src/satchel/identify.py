"""Photo in, five likeliest catalogue models out. Read this first.

bytes → decode → locate → crop → encode → search → rank by product → verdict → Identification

The command line, the web service, evaluation and benchmarks all come through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from satchel.catalog.store import Catalogue
from satchel.encode.card import Confidence
from satchel.encode.embed import Embedded, embed
from satchel.encode.encoder import Encoder
from satchel.encode.serving import serving_card
from satchel.errors import UsageError
from satchel.images import PhotoLimits, decode
from satchel.parallel import cores
from satchel.records import Candidate, Identification, Verdict
from satchel.search.build import open_index
from satchel.search.index import GalleryIndex
from satchel.search.ranking import RankedProduct, rank_products
from satchel.workspace import Workspace

MAX_ITEM_PHOTOS = 8


class Identifier:
    """Names the catalogue models that photos show. Safe to use from several threads."""

    def __init__(
        self, catalogue: Catalogue, encoder: Encoder, index: GalleryIndex, limits: PhotoLimits
    ) -> None:
        self._catalogue = catalogue
        self._encoder = encoder
        self._index = index
        self._limits = limits

    @classmethod
    def open(cls, workspace: Workspace | Path | str | None = None) -> Identifier:
        """Open the identifier of a workspace.

        Raises:
            WorkspaceError: there is no workspace.
            IndexMissing: its gallery has no embedded photo yet.
            EncoderError: the model file is missing or altered.
        """
        if not isinstance(workspace, Workspace):
            workspace = Workspace.open(workspace)
        encoder = Encoder.load(serving_card(workspace.models), threads=cores())
        index = open_index(
            workspace.catalogue, encoder, workspace.index_path, workspace.settings.search
        )
        return cls(workspace.catalogue, encoder, index, workspace.settings.photos.limits())

    @property
    def encoder_id(self) -> str:
        """Which encoder's vectors are searched."""
        return self._encoder.id

    def identify(self, photo: bytes, *, top: int = 5) -> Identification:
        """Identify the item in one photo.

        Raises:
            PhotoError: the photo cannot be used.
        """
        return self.identify_item([photo], top=top)

    def identify_item(self, photos: Sequence[bytes], *, top: int = 5) -> Identification:
        """Identify one item from 1 to `MAX_ITEM_PHOTOS` photos of it.

        Args:
            photos: bytes of each photo's file.
            top: how many candidates to give, at most.

        Raises:
            UsageError: no photos, or too many.
            PhotoError: one of the photos cannot be used.
        """
        if not 1 <= len(photos) <= MAX_ITEM_PHOTOS:
            raise UsageError(
                f"expected 1 to {MAX_ITEM_PHOTOS} photos of one item, got {len(photos)}"
            )
        return self.name(self.look_at(photos), top=top)

    def look_at(self, photos: Sequence[bytes]) -> list[Embedded]:
        """Decode photos, find the object in each, and encode it.

        Raises:
            PhotoError: one of the photos cannot be used.
        """
        return embed(self._encoder, [decode(photo, limits=self._limits) for photo in photos])

    def name(self, seen: Sequence[Embedded], *, top: int = 5) -> Identification:
        """Name the item whose photos were looked at."""
        confidence = self._encoder.card.confidence
        ranked = rank_products(
            self._index,
            np.stack([photo.described for photo in seen]),
            top=top,
            temperature=confidence.temperature,
        )
        products = self._catalogue.products_by_id([found.product for found in ranked])
        candidates = (
            Candidate(rank, product, found.score, found.confidence, found.photo)
            for rank, (found, product) in enumerate(zip(ranked, products, strict=True), start=1)
        )
        return Identification(
            verdict(ranked[0], confidence), tuple(candidates), tuple(photo.box for photo in seen)
        )


def verdict(first: RankedProduct, measured: Confidence) -> Verdict:
    """Say how far the first candidate can be relied on, by the encoder's measured thresholds."""
    if first.score < measured.in_catalogue_at:
        return Verdict.NOT_IN_CATALOGUE
    if first.confidence >= measured.identified_at:
        return Verdict.IDENTIFIED
    return Verdict.UNCERTAIN
