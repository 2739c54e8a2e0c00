from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, select

import satchel.collect.tables
import satchel.jobs.tables
import satchel.market.accounts.tables
import satchel.market.desk.tables
import satchel.market.listings.tables
import satchel.market.sale.tables
import satchel.market.webhooks.tables  # noqa: F401 - tables that the migrations lead to
from satchel.catalog.database import SCHEMA, _set_pragmas, open_database
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import Base, PhotoFiguresRow, PhotoRow, ProductPhotoRow, ProductRow
from satchel.errors import WorkspaceError


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


def test_connections_are_set_for_safety(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own, see conftest.py, is put in its place after this module is imported.
    monkeypatch.setattr("satchel.catalog.database._set_pragmas", _set_pragmas)
    engine = open_database(tmp_path / "a.db", create=True)
    with engine.connect() as connection:

        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("foreign_keys") == 1
    engine.dispose()


def test_reopening_does_not_migrate_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalogue.open(tmp_path / "a.db", create=True).close()

    def fail(_: object) -> None:
        raise AssertionError("migrated an up-to-date database")

    monkeypatch.setattr("satchel.catalog.database._migrate", fail)
    Catalogue.open(tmp_path / "a.db").close()


def test_a_database_of_the_first_release_is_migrated_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "satchel.catalog:migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            insert(PhotoRow).values(sha256="a" * 64, width=1, height=2, size_bytes=3)
        )
        connection.execute(insert(ProductRow).values(code="M1"))
        connection.execute(insert(ProductPhotoRow).values(product_id=1, photo_id=1))
        connection.commit()
    engine.dispose()
    catalogue = Catalogue.open(path)
    assert catalogue.has_photo("a" * 64)
    assert catalogue.edits.history() == []
    assert catalogue.annotations.count() == 0
    catalogue.close()


def test_collages_of_an_older_rule_are_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "satchel.catalog:migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        for number, panels in enumerate((1, 2, 4), start=1):
            name = f"{number:064x}"
            connection.execute(
                insert(PhotoRow).values(sha256=name, width=1, height=2, size_bytes=3)
            )
            figures = {"pixel_digest": b"", "hash": b"", "informative": True, "content": {}}
            connection.execute(
                insert(PhotoFiguresRow).values(
                    photo_id=number, figures={"panels": panels}, **figures
                )
            )
        connection.commit()
    engine.dispose()
    catalogue = Catalogue.open(path)
    with catalogue._engine.connect() as connection:
        assert connection.scalars(select(PhotoFiguresRow.photo_id)).all() == [1]
    catalogue.close()
