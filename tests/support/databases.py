"""New databases without a migration each, which takes longer than most tests of the catalogue."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from satchel.catalog.store import Catalogue


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "satchel.db"
        Catalogue.open(path, create=True).close()
        return path.read_bytes()


def new_catalogue(path: Path) -> Catalogue:
    """Make an empty database at `path` and open it."""
    path.write_bytes(_migrated())
    return Catalogue.open(path)
