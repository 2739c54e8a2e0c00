"""Photo in, five likeliest catalogue models out. Read this first.

bytes → decode → locate → crop → encode → search → rank by product → calibrate → Identification

The command line, the web service, evaluation and benchmarks all come through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from satchel.catalog.store import Catalogue
from satchel.encode.calibration import confidence_of
from satchel.encode.card import Confidence
from satchel.encode.embed import Embedded, embed
from satchel.encode.encoder import Encoder
from satchel.encode.serving import serving_card
from satchel.errors import UsageError
from satchel.images import PhotoLimits, decode
from satchel.parallel import cores
from satchel.records import Candidate, Identification, Verdict
from satchel.search.build import open_index
from satchel.search.confidence import weigh
from satchel.search.index import GalleryIndex
from satchel.search.ranking import POOL, RankedProduct, rank_products
from satchel.workspace import Workspace

MAX_ITEM_PHOTOS = 8


class Identifier:
    """Names the catalogue models that photos show. Safe to use from several threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        encoder: Encoder,
        index: GalleryIndex,
        limits: PhotoLimits,
        *,
        confidence: Confidence | None = None,
        absent: float | None = None,
    ) -> None:
        """Wire an identifier.

        Args:
            confidence: how sure answers are; default, what the encoder's card says.
            absent: share of items that are expected not to be in the catalogue; default, the
                share that `confidence` was measured with.
        """
        self._catalogue = catalogue
        self._encoder = encoder
        self._index = index
        self._limits = limits
        self._confidence = confidence or encoder.card.confidence
        self._absent = absent

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
        return cls.of(workspace, encoder, index)

    @classmethod
    def of(cls, workspace: Workspace, encoder: Encoder, index: GalleryIndex) -> Identifier:
        """Wire the identifier of a workspace whose encoder and index are open already.

        Raises:
            EncoderError: the workspace's own calibration is damaged.
        """
        settings = workspace.settings
        return cls(
            workspace.catalogue,
            encoder,
            index,
            settings.photos.limits(),
            confidence=confidence_of(workspace.models, encoder.card),
            absent=settings.identify.absent,
        )

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

    def rank(self, seen: Sequence[Embedded], *, top: int) -> list[RankedProduct]:
        """Rank the products of the gallery for the item whose photos were looked at."""
        described = np.stack([photo.described for photo in seen])
        return rank_products(self._index, described, top=top)

    def name(self, seen: Sequence[Embedded], *, top: int = 5) -> Identification:
        """Name the item whose photos were looked at."""
        ranked = self.rank(seen, top=max(top, POOL))
        sure = weigh(self._confidence, self._index, ranked, absent=self._absent)
        shown = ranked[:top]
        products = self._catalogue.products_by_id([found.product for found in shown])
        candidates = (
            Candidate(
                at + 1,
                product,
                found.score,
                sure.confidences[at],
                found.photo,
                likely=sure.likely is None or at < sure.likely,
            )
            for at, (found, product) in enumerate(zip(shown, products, strict=True))
        )
        return Identification(
            verdict(sure.confidences[0], sure.in_catalogue, self._confidence),
            tuple(candidates),
            tuple(photo.box for photo in seen),
            sure.in_catalogue,
            sure.likely,
            self._confidence.coverage,
        )


def verdict(sure: float, in_catalogue: float, measured: Confidence) -> Verdict:
    """Say how far the first candidate can be relied on, by measured thresholds.

    Args:
        sure: confidence of the first candidate.
        in_catalogue: chance that the item is in the catalogue.
    """
    if in_catalogue < measured.absent_at:
        return Verdict.NOT_IN_CATALOGUE
    if sure >= measured.identified_at:
        return Verdict.IDENTIFIED
    return Verdict.UNCERTAIN
