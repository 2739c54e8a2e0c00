from __future__ import annotations

from pathlib import Path

import pytest

from satchel.catalog.photos import PhotoStore, sha256
from satchel.errors import CatalogueError


def test_photo_store_is_content_addressed(tmp_path: Path) -> None:
    store = PhotoStore(tmp_path)
    name = store.put(b"some bytes")
    assert name == sha256(b"some bytes") == store.put(b"some bytes")
    assert store.read(name) == b"some bytes"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{name}.jpg"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "0" * 63, "", "0" * 63 + "/"])
def test_photo_store_makes_no_path_of_what_is_no_hash(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogueError, match="expected a SHA-256"):
        PhotoStore(tmp_path).read(name)


def test_photo_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="restore photos/"):
        PhotoStore(tmp_path).read("0" * 64)
