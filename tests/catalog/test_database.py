"""One workspace, one database: made by `init` alone, and never taken for an empty one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, text

from satchel.catalog.brands import Brands
from satchel.catalog.database import CONNECTIONS, open_database
from satchel.catalog.store import Catalogue
from satchel.errors import DatabaseBusy, DiskFull, StorageError, WorkspaceError
from satchel.workspace import Workspace

NOBODY = 65534

NAMES = (
    "My Shop",
    "My%20Shop",
    "a?1",
    "a?2",
    "a#1",
    "a#2",
    "100%",
    "중고 명품",
    'it\'s "mine"',
    "a;b&mode=memory",
    ":memory:",
    "file:x",
    "back\\slash",
    "new\nline",
    os.fsdecode(b"not utf-8 \xff"),
)


def add_product(catalogue: Catalogue, code: str) -> None:
    with catalogue.writing() as writer:
        writer.add_product(code, {})


def codes(catalogue: Catalogue) -> list[str]:
    return [product.code for product, _ in catalogue.products().products]


def test_every_workspace_has_its_own_database_whatever_its_name(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        workspace = Workspace.create(tmp_path / name)
        add_product(workspace.catalogue, f"M{number}")
        workspace.catalogue.close()
    for number, name in enumerate(NAMES):
        workspace = Workspace.open(tmp_path / name)
        assert codes(workspace.catalogue) == [f"M{number}"]
        workspace.catalogue.close()
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)
    databases = {path for path in tmp_path.rglob("*") if path.suffix == ".db"}
    assert databases == {tmp_path / name / "satchel.db" for name in NAMES}


def test_a_relative_path_stays_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Workspace.create(Path("a?1")).catalogue.close()
    workspace = Workspace.open("a?1")
    monkeypatch.chdir("/")
    assert codes(workspace.catalogue) == []
    workspace.catalogue.close()


# -- a database that is lost or damaged -----------------------------------------------------------


def another_program_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("CREATE TABLE notes (text TEXT)")


def without_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
    assert path.stat().st_size


def of_an_unknown_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


LOSSES: dict[str, Callable[[Path], object]] = {
    "found none": Path.unlink,
    "found an empty one": lambda path: path.write_bytes(b""),
    "found an empty one;": without_tables,
    "found the database of another program": another_program_s,
    "found a damaged file .file is not a database.": lambda path: path.write_text("hello " * 99),
    "found a damaged file .database disk image": lambda path: os.truncate(path, 8192),
    "found one of an unknown schema": of_an_unknown_schema,
    "found a damaged file": lambda path: path.write_bytes(bytes(8192)),
    "unable to open database file; make sure that Satchel may": a_folder,
}


@pytest.mark.parametrize("message", LOSSES)
def test_a_lost_database_is_no_empty_shop(tmp_path: Path, message: str) -> None:
    folder = tmp_path / "shop"
    workspace = Workspace.create(folder)
    workspace.photos.put(b"a photo")
    workspace.catalogue.close()
    path = folder / "satchel.db"
    LOSSES[message](path)
    before = path.read_bytes() if path.is_file() else None
    for begin in (Workspace.open, Workspace.create):
        with pytest.raises(WorkspaceError, match=message) as raised:
            begin(folder).catalogue.size()
        assert "restore" in str(raised.value) or "make sure" in str(raised.value)
        assert "\n" not in str(raised.value)
        assert (path.read_bytes() if path.is_file() else None) == before


def test_changes_that_wait_in_the_wal_are_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "satchel.db"
    catalogue = Catalogue.open(path, create=True)
    add_product(catalogue, "M1")
    wal = path.with_name("satchel.db-wal")
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in (path, wal):  # as after a power cut: nothing was brought over from the -wal
        shutil.copy(file, kept)
    catalogue.close()
    database, changes = kept / path.name, (kept / wal.name).read_bytes()
    aside = database.rename(kept / "aside")
    for content in (None, b""):
        if content is not None:
            database.write_bytes(content)
        with pytest.raises(WorkspaceError, match=r"found only satchel\.db-wal"):
            Catalogue.open(database, create=True)
        assert (kept / wal.name).read_bytes() == changes
    aside.replace(database)
    again = Catalogue.open(database)
    assert codes(again) == ["M1"]
    again.close()


def test_any_flipped_bit_of_the_first_page_is_harmless_or_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Catalogue.open(path, create=True).close()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    bits = [*range(0, 800, 3), *rng.choice(range(800, 8 * 4096), 60, replace=False)]
    refused = 0
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            catalogue = Catalogue.open(path)
            assert codes(catalogue) == []
            catalogue.close()
        except WorkspaceError:
            refused += 1
        for beside in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
    assert 0 < refused < len(bits)


def test_later_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Catalogue.open(path, create=True).close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))  # the list of tables is whole
    with pytest.raises(WorkspaceError, match=r"damaged file .database disk image is malformed"):
        Catalogue.open(path).size()


def test_readers_wait_for_no_connection(tmp_path: Path) -> None:
    """However many threads hold one, such as those that wait for the write lock."""
    engine = open_database(tmp_path / "satchel.db", create=True)
    with ExitStack() as held:
        connections = [held.enter_context(engine.connect()) for _ in range(3 * CONNECTIONS)]
        assert [one.scalar(text("SELECT 1")) for one in connections] == [1] * len(connections)
    engine.dispose()


def test_a_database_that_is_deleted_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Catalogue.open(path, create=True).close()
    catalogue = Catalogue.open(path)
    assert catalogue.size().products == 0  # by a connection that stays open
    path.unlink()
    for use in (catalogue.size, catalogue.writing):
        with pytest.raises(WorkspaceError, match="found none; restore"):
            use()
    assert not path.exists()


def test_a_database_that_is_restored_meanwhile_is_used(tmp_path: Path) -> None:
    path, backup = tmp_path / "a.db", tmp_path / "backup.db"
    Catalogue.open(path, create=True).close()
    backup.write_bytes(path.read_bytes())
    catalogue = Catalogue.open(path)
    with catalogue.writing() as writer:
        writer.add_product("M1", {})
    assert catalogue.size().products == 1
    for old in tmp_path.glob("a.db*"):
        old.unlink()
    backup.rename(path)
    assert catalogue.size().products == 0


# -- init -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "an empty file", "no tables"])
def test_an_init_that_was_killed_is_finished_by_the_next(tmp_path: Path, left: str) -> None:
    path = tmp_path / "satchel.db"
    if left == "an empty file":
        path.touch()
    if left == "no tables":
        path.touch()
        without_tables(path)
    with pytest.raises(WorkspaceError, match="satchel init"):
        Workspace.open(tmp_path)
    workspace = Workspace.create(tmp_path)
    assert workspace.catalogue.size().products == 0
    workspace.catalogue.close()


def test_settings_alone_are_enough_to_begin_with(tmp_path: Path) -> None:
    (tmp_path / "satchel.toml").write_text("[identify]\ntop = 2\n")
    workspace = Workspace.create(tmp_path)
    assert workspace.settings.identify.top == 2
    assert workspace.catalogue.size().products == 0
    workspace.catalogue.close()


# -- what the system refuses ----------------------------------------------------------------------


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users may come to; pytest's own are of its user alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def unprivileged() -> Iterator[Callable[[], None]]:
    """A function from which on permissions count; root is asked for none."""
    yield lambda: os.seteuid(NOBODY) if os.geteuid() == 0 else None
    os.seteuid(os.getuid())


@pytest.mark.parametrize("closed", ["satchel.db", "satchel.toml", "."])
def test_missing_permissions_are_reported(
    shared_folder: Path, unprivileged: Callable[[], None], closed: str
) -> None:
    folder = shared_folder / "shop"
    Workspace.create(folder).catalogue.close()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    (folder / closed).chmod(0)
    unprivileged()
    try:
        with pytest.raises(WorkspaceError, match=r"shop"):
            Workspace.open(folder).catalogue.size()
        with pytest.raises(WorkspaceError, match=r"shop"):
            Workspace.create(folder)
    finally:
        os.seteuid(os.getuid())
        (folder / closed).chmod(0o755)


def test_a_database_that_is_read_only_says_so(
    shared_folder: Path, unprivileged: Callable[[], None]
) -> None:
    folder = shared_folder / "shop"
    Workspace.create(folder).catalogue.close()
    (folder / "satchel.db").chmod(0o444)
    folder.chmod(0o777)
    unprivileged()
    workspace = Workspace.open(folder)
    with pytest.raises(StorageError, match="readonly database; make sure that Satchel may"):
        add_product(workspace.catalogue, "M1")


def test_a_full_disk_is_reported_and_data_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Catalogue.open(path, create=True).close()
    engine = open_database(path)
    pages = path.stat().st_size // 4096

    @event.listens_for(engine, "connect")
    def fill_up(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    catalogue = Catalogue(engine, Brands())
    with pytest.raises(DiskFull, match="full; free some disk space"):
        add_product(catalogue, "M" * 4096 * pages)
    assert catalogue.size().products == 0
    catalogue.close()


def test_a_locked_database_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satchel.catalog.database.BUSY_TIMEOUT_MS", 10)
    path = tmp_path / "a.db"
    Catalogue.open(path, create=True).close()
    one, other = Catalogue.open(path), Catalogue.open(path)
    with one.writing() as writer:
        writer.add_product("M1", {})
        with pytest.raises(DatabaseBusy, match="locked; another program is writing"):
            add_product(other, "M2")
    one.close()
    other.close()
