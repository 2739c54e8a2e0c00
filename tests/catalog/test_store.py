from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from satchel.catalog.curation import _colours
from satchel.catalog.database import SCHEMA, open_database
from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import Base
from satchel.errors import CatalogueError, WorkspaceError
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.workspace import Workspace


def test_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "a.db", create=True)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_databases_are_held_against() -> None:
    config = Config()
    config.set_main_option("script_location", "satchel.catalog:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


def test_a_database_of_a_newer_satchel_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = open_database(path, create=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match="newer Satchel"):
        open_database(path)
    assert path.read_bytes() == before


def test_connections_are_set_for_safety(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "a.db", create=True)
    with engine.connect() as connection:

        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("foreign_keys") == 1
    engine.dispose()


def test_a_transaction_that_fails_leaves_nothing(workspace: Workspace) -> None:
    catalogue = workspace.catalogue

    def write_and_fail() -> None:
        with catalogue.writing() as writer:
            product = writer.add_product("M1", {"brand": "Atelier"})
            writer.link(product, writer.add_photo("0" * 64, 1, 1, 1), {}, {})
            raise RuntimeError

    before = catalogue.revision()
    with pytest.raises(RuntimeError):
        write_and_fail()
    assert catalogue.size().products == 0
    assert catalogue.revision() == before


def test_search_wants_every_word_anywhere_and_takes_no_wildcards(filled: Workspace) -> None:
    def codes(query: str, **page: int) -> list[str]:
        found = filled.catalogue.products(query, **page)
        return [product.code for product, _ in found.products]

    assert codes("") == ["M0", "M1", "M2", "M3", "M4"]
    assert codes("atelier RING") == ["M3"]
    assert codes("m2") == ["M2"]
    assert codes("%") == codes("_") == codes("nothing") == []
    assert codes("", offset=3, limit=1) == ["M3"]
    assert filled.catalogue.products("", limit=2).total == 5


def test_unknown_code(workspace: Workspace) -> None:
    with pytest.raises(CatalogueError, match="no product has the code 'X'"):
        workspace.catalogue.product("X")


def test_vectors_come_back_by_product_and_only_of_their_encoder(filled: Workspace) -> None:
    catalogue = filled.catalogue
    rng = np.random.default_rng(0)
    expected = {}
    for photo_id, digest in catalogue.vectors.missing("other", page=3):
        vector = rng.normal(size=8).astype(np.float32)
        expected[digest] = vector / np.linalg.norm(vector)
        vector = expected[digest]
        photo = PhotoEmbedding(WHOLE_PHOTO, vector, vector, vector[:3])
        catalogue.vectors.put("other", [(photo_id, photo)])
    gallery = catalogue.vectors.gallery("other", 8)
    assert len(gallery.vectors) == len(expected) == 10
    assert (np.diff(gallery.products) >= 0).all()
    for row, digest in zip(gallery.vectors, gallery.photos, strict=True):
        assert np.abs(row - expected[digest.tobytes().hex()]).max() < 1e-3  # float16
    assert gallery.colours is not None
    assert np.allclose(gallery.colours, gallery.vectors[:, :3])
    assert len(catalogue.vectors.gallery("third", 8).vectors) == 0
    assert catalogue.vectors.count_missing("other") == 0
    assert catalogue.vectors.count_missing("third") == 10


def test_reopening_does_not_migrate_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalogue.open(tmp_path / "a.db", create=True).close()

    def fail(_: object) -> None:
        raise AssertionError("migrated an up-to-date database")

    monkeypatch.setattr("satchel.catalog.database._migrate", fail)
    Catalogue.open(tmp_path / "a.db").close()


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


def test_colours_that_are_not_known_are_nought() -> None:
    known = np.array([0.25, 0.5, 0.0], "<f2").tobytes()
    assert np.array_equal(_colours([known, b"", known[:2]]), [[0.25, 0.5, 0], [0] * 3, [0] * 3])
    assert _colours([]).shape == (0, 0)
    assert _colours([b"", b""]).shape == (2, 0)


def test_patches_are_read_by_photo_and_searched_for_not_gone_through(workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    kept = rng.integers(-127, 128, (3, 4, 2), np.int8)
    names = [f"{number:064x}" for number in range(4)]
    vector = np.ones(3, np.float32)
    with workspace.catalogue.writing() as writer:
        ids = [writer.add_photo(name, 1, 1, 1) for name in names]
    for encoder, patches in (("one", [*kept, None]), ("other", [None] * 4)):
        rows = zip(ids, patches, strict=True)
        workspace.catalogue.vectors.put(
            encoder,
            (
                (number, PhotoEmbedding(WHOLE_PHOTO, vector, vector, vector, values))
                for number, values in rows
            ),
        )
    plans: list[str] = []
    engine = workspace.catalogue._engine

    @event.listens_for(engine, "before_cursor_execute")
    def explain(_: object, cursor: Any, statement: str, parameters: Any, *__: object) -> None:
        if statement.startswith("SELECT"):
            told = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[-1] for row in told)

    asked = [names[2], "f" * 64, names[0], names[3], names[2]]
    expected = [kept[2].tobytes(), b"", kept[0].tobytes(), b"", kept[2].tobytes()]
    assert workspace.catalogue.vectors.patches("one", asked) == expected
    assert workspace.catalogue.vectors.patches("other", asked) == [b""] * 5
    assert any("encoder=? AND photo_id=?" in plan for plan in plans)
    assert not any("SCAN" in plan or plan.endswith("(encoder=?)") for plan in plans), plans
    assert workspace.catalogue.vectors.patches("one", []) == []
