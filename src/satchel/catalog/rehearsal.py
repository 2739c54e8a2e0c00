"""A rehearsal of an import: on a copy of the catalogue, with a photo store that stores nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from satchel.catalog.database import open_database
from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import (
    DecisionRow,
    LookAlikeGroupRow,
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
)

COPIED: Final = (
    ProductRow,
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    LookAlikeGroupRow,
    DecisionRow,
)
"""What an import reads and writes: some hundred bytes a photo, without embeddings."""


class ForgetfulStore(PhotoStore):
    """The photos of a store; what is put into it is forgotten."""

    def put(self, data: bytes) -> str:
        """Return the SHA-256 that the bytes would be stored under."""
        return sha256(data)


@contextmanager
def rehearsal(catalogue: Catalogue, photos: Path) -> Iterator[tuple[Catalogue, PhotoStore]]:
    """Yield a catalogue and a store that begin as a workspace's and change nothing in it.

    Args:
        catalogue: of the workspace.
        photos: folder of its photo store.
    """
    with tempfile.TemporaryDirectory(prefix="satchel-") as folder:
        engine = open_database(Path(folder) / "catalogue.db", create=True)
        copy = Catalogue(engine, catalogue.brands)
        try:
            catalogue.copy_to(copy, COPIED)
            yield copy, ForgetfulStore(photos)
        finally:
            copy.close()
