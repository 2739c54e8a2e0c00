"""Whether a photo that is to be identified is a picture of the catalogue, or a copy of one.

As in curation, embeddings propose and `satchel.curate.geometry` confirms: an embedding alone cannot
separate a copy from a colour variant in the same pose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from satchel.curate.geometry import SIDE_PX, PictureFeatures, compare, describe
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.embed import as_query
from satchel.errors import CatalogueError, PhotoError
from satchel.images import RGB, decode, shrunk
from satchel.records import PhotoEmbedding

MIN_COSINE: Final = 0.9
"""Cosine of two photos, both seen as queries, from which their pixels are compared."""

MOST_COMPARED: Final = 5
"""Catalogue photos that a photo is compared with, at most."""


@dataclass(frozen=True, slots=True)
class OwnPictures:
    """Compares photos with those of the catalogue. Safe to use from several threads.

    Attributes:
        stored: reads the embeddings of stored photos by their SHA-256.
        n_passes: of the encoder.
        read: reads a stored photo's bytes.
        rules: when two photos are copies.
    """

    stored: Callable[[Sequence[str]], Mapping[str, PhotoEmbedding]]
    n_passes: int
    read: Callable[[str], bytes]
    rules: DuplicateThresholds

    def copied(self, photo: PhotoEmbedding, near: Sequence[str]) -> frozenset[str]:
        """Return those catalogue photos of which this one is a copy.

        Args:
            photo: with its `picture`; without one, nothing is a copy.
            near: SHA-256 of the catalogue's photos that may be, nearest first.
        """
        if photo.picture is None:
            return frozenset()
        found = set()
        features = None
        for name in self._proposed(photo, list(dict.fromkeys(near))[:MOST_COMPARED]):
            features = features or describe(photo.picture)
            if not self._is_copy(features, name):
                break  # what is less similar is no copy either
            found.add(name)
        return frozenset(found)

    def _proposed(self, photo: PhotoEmbedding, near: Sequence[str]) -> list[str]:
        """Those whose embedding is like the photo's, most similar first."""
        cosines = {
            name: float(as_query(one, self.n_passes).vector @ photo.vector)
            for name, one in self.stored(near).items()
        }
        return sorted(
            (name for name in near if cosines.get(name, 0.0) >= MIN_COSINE),
            key=lambda name: -cosines[name],
        )

    def _is_copy(self, features: PictureFeatures, name: str) -> bool:
        try:
            pixels = decode(self.read(name), min_side_px=SIDE_PX)
        except (PhotoError, CatalogueError):  # removed since, or damaged: nothing to say of it
            return False
        return bool(compare(describe(pixels), features, self.rules).same(self.rules))


def with_picture(embedding: PhotoEmbedding, pixels: RGB) -> PhotoEmbedding:
    """Add a photo's small copy to its embedding, as `OwnPictures` compares it."""
    return replace(embedding, picture=shrunk(pixels, SIDE_PX))
