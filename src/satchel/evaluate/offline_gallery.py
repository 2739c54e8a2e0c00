"""An embedded gallery outside a workspace, indexed as a workspace's gallery is."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Sequence

import numpy as np

from satchel.arrays import Floats, Halves, Int8s, Ints
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.fit import NOT_MEASURED, EncoderFit
from satchel.records import WHOLE_PHOTO, PhotoEmbedding, QueryView
from satchel.search.indexing import assemble_index
from satchel.search.rules import SearchRules
from satchel.search.searcher import Searcher


class OfflineGallery:
    """An embedded gallery outside a workspace; see `satchel.search.indexing.EmbeddedGallery`.

    Vectors are rounded to float16 as a catalogue stores them; local features are in a temporary
    file. A photo's name is its position, in the place of a SHA-256 digest.

    Attributes:
        products: shape (n,), int64, of each photo.
        rows: shape (n,), int64: row of each photo in the index.
    """

    def __init__(
        self,
        embedded: Iterable[PhotoEmbedding],
        products: Sequence[int] | Ints,
        *,
        encoder: str = "",
    ) -> None:
        """Collect a gallery.

        Args:
            embedded: its photos, embedded as gallery photos; at least one.
            products: id of the product that each shows; n photos in all.
            encoder: id of the embedding space, for the index.
        """
        self.encoder = encoder
        self.products = np.asarray(products, np.int64)
        self._patches, self._query_patches = _PatchFile(), _PatchFile()
        self._queries: dict[int, list[Halves]] = {}
        columns: list[list[Halves]] = [[], [], []]
        for photo in embedded:
            for column, vector in zip(
                columns, (photo.vector, photo.whole, photo.colours), strict=True
            ):
                column.append(vector.astype(np.float16))
            self._patches.append(photo.patches)
            self._query_patches.append(photo.query.patches if photo.query else None)
            if photo.query:
                own = [one.astype(np.float16) for one in (photo.query.vector, photo.query.colours)]
                self._queries[len(columns[0]) - 1] = own
        self._vectors, self._wholes, self._colours = (np.stack(column) for column in columns)
        if len(self._vectors) != len(self.products):
            raise ValueError(
                f"expected a product for each photo, got {len(self.products)} products and "
                f"{len(self._vectors)} photos"
            )
        self._order = np.argsort(self.products, kind="stable")
        self.rows = np.empty(len(self), np.int64)
        self.rows[self._order] = np.arange(len(self))

    def __len__(self) -> int:
        return len(self.products)

    @property
    def patch_dimension(self) -> int | None:
        """Length of a local feature; None where the encoder gives none."""
        return self._patches.dimension

    def vectors(self) -> GalleryVectors:
        """One row for each photo, ordered by product and then as given."""
        digests = [np.frombuffer(int(at).to_bytes(32, "big"), np.uint8) for at in self._order]
        return GalleryVectors(
            self._vectors[self._order].astype(np.float32),
            self.products[self._order],
            np.stack(digests),
            revision=0,
            colours=self._colours[self._order].astype(np.float32),
        )

    def view_deviations(self, *, at_most: int) -> Floats:
        """Vector of the first view − vector of all views, of `at_most` photos evenly taken."""
        some = slice(None, None, max(1, -(-len(self) // at_most)))
        return self._wholes[some].astype(np.float32) - self._vectors[some].astype(np.float32)

    def patches(self, photos: Sequence[str]) -> Sequence[bytes]:
        """Local features of photos by name."""
        return [self._patches.read(int(name, 16)) for name in photos]

    def searcher(self, rules: SearchRules, fit: EncoderFit = NOT_MEASURED) -> Searcher:
        """Index the gallery under these rules, and the fit of its embedding space."""
        return Searcher(assemble_index(self, rules, fit), self.patches)

    def photo(self, position: int) -> PhotoEmbedding:
        """The embedding of a photo; `as_query` makes it a query."""
        vector, whole, colours = (
            column[position].astype(np.float32)
            for column in (self._vectors, self._wholes, self._colours)
        )
        view = None
        if position in self._queries:
            own, own_colours = (one.astype(np.float32) for one in self._queries[position])
            view = QueryView(own, own_colours, self._query_patches.photo(position))
        patches = self._patches.photo(position)
        return PhotoEmbedding(WHOLE_PHOTO, vector, whole, colours, patches, query=view)


class _PatchFile:
    """Local features of photos by position, in a temporary file."""

    def __init__(self) -> None:
        self.dimension: int | None = None
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._ends = [0]

    def append(self, patches: Int8s | None) -> None:
        data = b"" if patches is None else patches.tobytes()
        if patches is not None:
            self.dimension = patches.shape[1]
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def photo(self, position: int) -> Int8s | None:
        if self.dimension is None:
            return None
        return np.frombuffer(self.read(position), np.int8).reshape(-1, self.dimension)

    def read(self, position: int) -> bytes:
        start, end = self._ends[position : position + 2]
        return os.pread(self._file.fileno(), end - start, start)
