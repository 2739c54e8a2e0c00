"""Purging: bytes and embeddings are gone from every file of the workspace, and stay out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from satchel.catalog.decisions import Choice
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.catalog.rows import RowProblem
from satchel.catalog.tables import now
from satchel.encode.embedder import EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.errors import CatalogueError
from satchel.identify import Identifier
from satchel.workflows.edit import purge_deleted, purge_photos
from satchel.workspace import Workspace


def embedding(workspace: Workspace, encoder: Encoder, photo: str) -> bytes:
    space = EmbeddingSpace(encoder.card).id
    found = workspace.catalogue.vectors.embeddings(space, [photo], None)[photo]
    return bytes(found.vector.astype("<f2").tobytes())


def files_with(folder: Path, data: bytes) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and data in path.read_bytes():
            yield path.name


def imported(workspace: Workspace, catalogue_file: Path) -> list[RowProblem]:
    """Import a file; return the rows that were refused."""
    problems: list[RowProblem] = []
    import_rows(
        open_rows(catalogue_file).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=problems.append,
    )
    return problems


def test_a_purged_photo_leaves_no_byte_and_no_embedding(
    filled: Workspace, encoder: Encoder, catalogue_file: Path
) -> None:
    photo = filled.catalogue.photos_of("M0")[0].sha256
    data, vector = filled.photos.read(photo), embedding(filled, encoder, photo)
    (filled.reports / "curate-20260101-000000.json").write_text(f'["{photo}"]')
    (filled.reports / "curate-20260101-000000.html").write_text("a picture of it")
    (filled.reports / "curate-20260102-000000.json").write_text("[]")
    assert list(files_with(filled.folder, data))
    assert "satchel.db" in "".join(files_with(filled.folder, vector))
    done = purge_photos(filled, [photo], by="Jin", why="licence withdrawn")
    assert (done.purge.photos, done.files, len(done.reports)) == ((photo,), 1, 1)
    assert done.journal_emptied
    assert not list(files_with(filled.folder, data))
    assert not list(files_with(filled.folder, vector))
    assert [path.name for path in filled.reports.glob("curate-*")] == [
        "curate-20260102-000000.json"
    ]
    assert len(filled.catalogue.photos_of("M0")) == 1
    # An import of the same file leaves it out, and says why.
    (problem,) = imported(filled, catalogue_file)
    assert "was purged from the catalogue by decision" in str(problem)
    assert not list(files_with(filled.folder, data))
    # Until somebody takes the purge back.
    filled.catalogue.edits.undo(filled.catalogue.edits.history()[0].id)
    assert imported(filled, catalogue_file) == []
    assert photo in [one.sha256 for one in filled.catalogue.photos_of("M0")]
    assert purge_deleted(filled, now()).files == 0


def test_what_was_deleted_is_purged_after_its_time_and_not_before(filled: Workspace) -> None:
    photos = [photo.sha256 for photo in filled.catalogue.photos_of("M1")]
    deleted = filled.catalogue.edits.delete_product("M1")
    assert purge_deleted(filled, now() - timedelta(days=1)).purge.photos == ()
    assert all(filled.photos.path(photo).exists() for photo in photos)
    done = purge_deleted(filled, now())
    assert set(done.purge.photos) == set(photos)
    assert done.purge.decisions == (deleted.id,)
    assert not any(filled.photos.path(photo).exists() for photo in photos)
    undone = filled.catalogue.edits.undo(deleted.id)
    assert undone.not_restored > 0
    with pytest.raises(CatalogueError):
        filled.catalogue.product("M1")


def test_a_photo_that_another_product_shows_stays(filled: Workspace) -> None:
    catalogue = filled.catalogue
    moved = catalogue.photos_of("M0")[0]
    catalogue.review.decide(Choice.MOVE, [moved.link_id], code="M1")
    catalogue.edits.delete_product("M0")
    done = purge_deleted(filled, now())
    assert moved.sha256 not in done.purge.photos
    assert filled.photos.path(moved.sha256).exists()


def test_a_photo_that_another_deletion_could_bring_back_stays(filled: Workspace) -> None:
    catalogue = filled.catalogue
    photo = catalogue.photos_of("M0")[0]
    catalogue.review.decide(Choice.MOVE, [photo.link_id], code="M1")
    catalogue.edits.delete_photos("M0", [photo.sha256])
    middle = now()
    later = catalogue.edits.delete_photos("M1", [photo.sha256])
    assert purge_deleted(filled, middle).purge.photos == ()
    catalogue.edits.undo(later.id)
    assert photo.sha256 in [one.sha256 for one in catalogue.photos_of("M1")]


def test_a_file_that_a_killed_purge_left_is_deleted_by_the_next(filled: Workspace) -> None:
    photo = filled.catalogue.photos_of("M0")[0].sha256
    data = filled.photos.read(photo)
    purge_photos(filled, [photo])
    filled.photos.put(data)
    assert purge_deleted(filled, now()).files == 1
    assert not filled.photos.path(photo).exists()


def test_an_unknown_photo_erases_nothing(filled: Workspace) -> None:
    photo = filled.catalogue.photos_of("M0")[0].sha256
    with pytest.raises(CatalogueError, match="64 digits"):
        purge_photos(filled, [photo, photo[:12]])
    assert filled.catalogue.has_photo(photo)


def test_the_last_photo_takes_the_index_with_it(filled: Workspace, encoder: Encoder) -> None:
    codes = list(filled.catalogue.ids_of_codes())
    purge_photos(filled, [p.sha256 for code in codes for p in filled.catalogue.photos_of(code)])
    assert not filled.index_path.exists()


def test_a_served_index_does_not_name_a_deleted_product(
    filled: Workspace, encoder: Encoder
) -> None:
    """The index of a running server is rebuilt a moment after an edit."""
    identifier = Identifier.open(filled)
    photo = filled.photos.read(filled.catalogue.photos_of("M0")[0].sha256)
    assert identifier.identify(photo).candidates[0].product.code == "M0"
    filled.catalogue.edits.delete_product("M0")
    assert "M0" not in [one.product.code for one in identifier.identify(photo).candidates]
