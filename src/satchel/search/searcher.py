"""Embedded photos of one item → ranked products, both in serving and in evaluation.

`satchel.identify` and `satchel.evaluate.offline` both rank through `Searcher.rank`: what is
evaluated is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satchel.arrays import Ints
from satchel.parallel import small_products
from satchel.records import PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import PatchMatcher, PatchReader
from satchel.search.ranking import RankedProduct, rank_products


@dataclass(frozen=True, slots=True)
class Searcher:
    """Ranks the products of a gallery. Safe to use from several threads.

    Attributes:
        index: of the gallery.
        read_patches: reads the local features of gallery photos.
    """

    index: GalleryIndex
    read_patches: PatchReader

    def rank(
        self,
        item: Sequence[PhotoEmbedding],
        *,
        top: int,
        without: int | None = None,
        without_rows: Sequence[int] = (),
        only: Ints | None = None,
    ) -> list[RankedProduct]:
        """Rank the products of the gallery for one item, best first.

        Args:
            item: embedded photos of it, at least one.
            top: how many products to return, at most.
            without, without_rows: what to leave out; see `rank_products`.
            only: ids of the products that may be returned, ascending; None for all.
        """
        patches = [photo.patches for photo in item if photo.patches is not None]
        with small_products():
            return rank_products(
                self.index,
                np.stack([photo.descriptor for photo in item]),
                top=top,
                matcher=PatchMatcher(patches, self.read_patches)
                if len(patches) == len(item)
                else None,
                without=without,
                without_rows=without_rows,
                only=only,
            )
