"""Backup and restore: what a workspace held at one moment comes back, whatever happened since."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.backup.snapshots import BackupFolder, Snapshot
from satchel.catalog.snapshot import copy_database
from satchel.errors import CatalogueError, DiskFull, UsageError, WorkspaceError
from satchel.progress import Progress
from satchel.workflows.backup import back_up
from satchel.workflows.check import check_workspace
from satchel.workflows.restore import restore, verify
from satchel.workspace import Workspace
from support.cli import satchel
from support.stub_encoder import stub_card

State = dict[str, object]


def state(folder: Path) -> State:
    """Everything that a workspace holds: rows of all tables, photos, files."""
    found: State = {}
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            found[table] = sorted(map(repr, database.execute(f"SELECT * FROM {table}")))
        names = {name for (name,) in database.execute("SELECT sha256 FROM photos")}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(("index/", "replaced-", "satchel.db")) or not path.is_file():
            continue
        if not name.startswith("photos/") or path.stem in names:
            found[name] = path.read_bytes()
    return found


def add(workspace: Workspace, number: int) -> None:
    """Add a product with a photo of its own, as an import does: the file, then the row."""
    data = jpeg("disc", number, (64, 48))
    name = workspace.photos.put(data)
    with workspace.catalogue.writing() as writer:
        product = writer.add_product(f"N{number}", {})
        photo = writer.add_photo(name, 64, 48, len(data))
        writer.link(product, photo, {}, {})


@pytest.fixture
def backup(filled: Workspace, tmp_path: Path) -> Path:
    """A backup folder with one snapshot of the workspace."""
    back_up(filled, tmp_path / "backup")
    return tmp_path / "backup"


# -- round trips ----------------------------------------------------------------------------------


def lose_everything(folder: Path) -> None:
    shutil.rmtree(folder)


def lose_the_database(folder: Path) -> None:
    for path in folder.glob("satchel.db*"):
        path.unlink()


def damage_the_database(folder: Path) -> None:
    (folder / "satchel.db").write_bytes(b"x" * 20_000)


def lose_photos(folder: Path) -> None:
    lose_the_database(folder)
    shutil.rmtree(folder / "photos")


def damage_all(folder: Path) -> None:
    for path in [*folder.rglob("*")]:
        if path.is_file():
            path.write_bytes(b"damaged")


@pytest.mark.parametrize(
    "destroy",
    [lose_everything, lose_the_database, damage_the_database, lose_photos, damage_all],
)
def test_a_destroyed_workspace_comes_back(
    filled: Workspace, backup: Path, destroy: Callable[[Path], None]
) -> None:
    before = state(filled.folder)
    filled.catalogue.close()
    destroy(filled.folder)
    done = restore(backup, filled.folder)
    assert done.problems == ()
    assert state(filled.folder) == before
    again = Workspace.open(filled.folder)
    assert check_workspace(again).faults == []
    again.catalogue.close()


def test_restoring_elsewhere_makes_the_same_workspace(
    filled: Workspace, backup: Path, tmp_path: Path
) -> None:
    restore(backup, tmp_path / "elsewhere")
    assert state(tmp_path / "elsewhere") == state(filled.folder)


def test_what_a_restore_replaces_is_kept(filled: Workspace, backup: Path) -> None:
    before = state(filled.folder)
    add(filled, 1)
    (filled.folder / "satchel.toml").write_text("[identify]\ntop = 3\n")
    (filled.folder / "models" / "mine.txt").write_text("a note")
    after = state(filled.folder)
    with pytest.raises(UsageError, match="--replace"):
        restore(backup, filled.folder)
    assert state(filled.folder) == after
    filled.catalogue.close()
    done = restore(backup, filled.folder, replace=True)
    assert state(filled.folder) == before
    assert done.replaced is not None
    assert (done.replaced / "satchel.toml").read_text() == "[identify]\ntop = 3\n"
    assert (done.replaced / "models" / "mine.txt").read_text() == "a note"
    with closing(sqlite3.connect(done.replaced / "satchel.db")) as old:
        assert old.execute("SELECT count(*) FROM products").fetchone() == (6,)


@pytest.mark.parametrize("stage", ["photos", "files", "database"])
def test_a_restore_that_is_killed_completes_when_run_again(
    filled: Workspace, backup: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    before = state(filled.folder)
    filled.catalogue.close()
    shutil.rmtree(filled.folder)
    target = {
        "photos": "satchel.workflows.restore.PhotoStore.put",
        "files": "satchel.workflows.restore._copy",
        "database": "satchel.workflows.restore.database_files",
    }[stage]

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(target, killed)
        with pytest.raises(KeyboardInterrupt):
            restore(backup, filled.folder)
    restore(backup, filled.folder)
    assert state(filled.folder) == before


# -- under load -----------------------------------------------------------------------------------


def test_a_snapshot_taken_while_others_write_is_of_one_moment(
    filled: Workspace, tmp_path: Path
) -> None:
    """A writer adds products, photos and revisions all the time, in one transaction each.

    What is restored must be a prefix of the writer's history: N1 … Nk, each with its photo.
    """
    stop = threading.Event()
    written: list[None] = []

    def write() -> None:
        other = Workspace.open(filled.folder)
        while not stop.is_set():
            add(other, len(written) + 1)
            written.append(None)
        other.catalogue.close()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    try:
        for number in range(4):
            before = len(written)
            result = back_up(filled, tmp_path / "backup")
            assert result.problems == ()
            counts.append((before, result.snapshot.products - 5, len(written)))
            assert number < 3 or len(written) > 4, "the writer was held up"
    finally:
        stop.set()
        writer.join()
    filled.catalogue.close()
    shutil.rmtree(filled.folder)
    backup = BackupFolder.open(tmp_path / "backup")
    assert verify(backup) == []
    for name, (before, taken, after) in zip(backup.names(), counts, strict=True):
        assert before <= taken <= after + 1
        folder = tmp_path / name
        assert restore(tmp_path / "backup", folder, name=name).problems == ()
        with closing(sqlite3.connect(folder / "satchel.db")) as database:
            codes = {c for (c,) in database.execute("SELECT code FROM products")}
            photos = [s for (s,) in database.execute("SELECT sha256 FROM photos")]
            links = database.execute("SELECT count(*) FROM product_photos").fetchone()[0]
        assert codes == {f"M{n}" for n in range(5)} | {f"N{n + 1}" for n in range(taken)}
        assert links == len(photos) == 10 + taken
        restored = Workspace.open(folder)
        assert all(restored.photos.path(one).exists() for one in photos)
        restored.catalogue.close()


def test_a_photo_deleted_meanwhile_is_in_no_snapshot(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []

    def copy_then_delete(source: Path, target: Path, *, progress: Progress) -> None:
        copy_database(source, target, progress=progress)
        if not calls:
            path = filled.folder / "satchel.db"
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("PRAGMA foreign_keys=ON")
                (name,) = database.execute("SELECT sha256 FROM photos WHERE id = 1").fetchone()
                database.execute("DELETE FROM photos WHERE id = 1")
            filled.photos.path(name).unlink()
        calls.append(None)

    monkeypatch.setattr("satchel.workflows.backup.copy_database", copy_then_delete)
    result = back_up(filled, tmp_path / "backup")
    assert (len(calls), result.snapshot.photos, result.problems) == (2, 9, ())


# -- incremental ----------------------------------------------------------------------------------


def test_only_what_is_new_is_copied(filled: Workspace, backup: Path) -> None:
    objects = set(BackupFolder.open(backup).objects.names())
    result = back_up(filled, backup)
    assert result.new == 0
    add(filled, 1)
    (filled.folder / "splits").mkdir()
    (filled.folder / "splits" / "a.json").write_text("{}")
    result = back_up(filled, backup)
    assert result.new == 2  # the photo and the split
    assert set(BackupFolder.open(backup).objects.names()) > objects


def test_snapshots_of_one_second_are_in_their_order(filled: Workspace, tmp_path: Path) -> None:
    made = [back_up(filled, tmp_path / "backup", keep=3).snapshot.name for _ in range(12)]
    assert BackupFolder.open(tmp_path / "backup").names() == made[-3:]


def test_older_snapshots_go_and_what_others_need_stays(
    filled: Workspace, backup: Path, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        add(filled, number)
        (filled.folder / "note.txt").write_text(f"state {number}")
        result = back_up(filled, backup, keep=2)
    assert len(result.removed) == 1
    found = BackupFolder.open(backup)
    assert len(found.names()) == 2
    assert verify(found) == []
    restore(backup, tmp_path / "old", name=found.names()[0])
    assert (tmp_path / "old" / "note.txt").read_text() == "state 2"
    back_up(filled, backup, keep=1)
    named = 1 + 13 + len(found.read().files)  # database, photos, files
    assert len(set(found.objects.names())) == named
    assert verify(found) == []


def test_what_can_be_made_again_and_what_is_half_written_is_left_out(filled: Workspace) -> None:
    from satchel.backup.workspace_files import workspace_files

    folder = filled.folder
    (folder / "runs" / "one").mkdir()
    for name in ("runs/one/lock", "runs/one/.run.json.abc.tmp", "runs/one/run.json"):
        (folder / name).write_text("x")
    (folder / "replaced-20260101-000000").mkdir()
    (folder / "replaced-20260101-000000" / "satchel.db").write_text("x")
    (folder / "loop").symlink_to(folder)
    names = {name for name, _ in workspace_files(folder) if not name.startswith("loop/")}
    assert names == {
        "satchel.toml",
        "models/serving.json",
        f"models/fits/{stub_card().sha256}.json",
        "models/stub/card.json",
        "models/stub/model.onnx",
        "runs/one/run.json",
    }


# -- damage and refusals --------------------------------------------------------------------------


def objects_of(backup: Path) -> tuple[Snapshot, BackupFolder]:
    found = BackupFolder.open(backup)
    return found.read(), found


def test_every_damaged_object_is_found_and_the_rest_is_restored(
    filled: Workspace, backup: Path, tmp_path: Path
) -> None:
    snapshot, found = objects_of(backup)
    for name in sorted(found.objects.names()):
        path = found.objects.path(name)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        problems = verify(found)
        assert len(problems) == 1
        assert "damaged" in problems[0].reason
        target = tmp_path / name
        if name == snapshot.database.sha256:
            with pytest.raises(CatalogueError, match="damaged"):
                restore(backup, target)
            assert not target.exists()
        else:
            done = restore(backup, target)
            assert any("damaged" in problem.reason for problem in done.problems)
            assert done.copied == len(snapshot.files) + snapshot.photos - 1
        path.write_bytes(whole)
    assert verify(found) == []


def test_a_photo_that_the_workspace_lost_is_named(filled: Workspace, tmp_path: Path) -> None:
    photos = sorted((filled.folder / "photos").rglob("*.jpg"))
    photos[0].unlink()
    photos[1].write_bytes(b"damaged")
    done = satchel(filled.folder, "backup", str(tmp_path / "backup"))
    assert done.returncode == 1
    assert "gone from the photo store" in done.stderr
    assert "is damaged" in done.stderr
    assert "2 photos or files are not in it" in done.stderr
    assert BackupFolder.open(tmp_path / "backup").read().photos == 10


def test_a_damaged_database_pushes_no_good_snapshot_out(filled: Workspace, backup: Path) -> None:
    filled.catalogue.close()
    path = filled.folder / "satchel.db"
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 3 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(WorkspaceError, match="damaged"):
        back_up(filled, backup, keep=1)
    found = BackupFolder.open(backup)
    assert len(found.names()) == 1
    assert verify(found) == []


def test_a_full_disk_leaves_earlier_snapshots(
    filled: Workspace, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    add(filled, 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("satchel.backup.objects.os.fsync", full)
        with pytest.raises(DiskFull, match="back up to"):
            back_up(filled, backup)
    found = BackupFolder.open(backup)
    assert len(found.names()) == 1
    assert verify(found) == []
    assert back_up(filled, backup).problems == ()
    assert not list(backup.rglob("*.tmp"))


def test_folders_that_are_no_backups_are_refused(filled: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "holiday.jpg").write_bytes(b"x")
    for folder in (other, filled.folder / "backup", filled.folder, filled.folder.parent):
        with pytest.raises(UsageError, match="expected a"):
            back_up(filled, folder)
    with pytest.raises(UsageError, match="found none"):
        restore(tmp_path / "nothing", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not (filled.folder / "backup").exists()


def test_a_manifest_cannot_lead_out_of_the_workspace(backup: Path, tmp_path: Path) -> None:
    (manifest,) = (backup / "snapshots").glob("*.json")
    text = manifest.read_text()
    for path in ("../../out", "/etc/out", "models/../../out", "", "a\\\\b"):
        manifest.write_text(text.replace('"satchel.toml"', f'"{path}"'))
        with pytest.raises(UsageError, match="cannot be read"):
            restore(backup, tmp_path / "target")
    assert not (tmp_path / "target").exists()


# -- command line ---------------------------------------------------------------------------------


def test_the_commands(filled: Workspace, tmp_path: Path) -> None:
    backup, shop = tmp_path / "backup", filled.folder
    done = satchel(shop, "backup", str(backup))
    assert done.returncode == 0
    assert "5 products, 10 photos" in done.stderr
    filled.catalogue.close()
    listed = satchel(shop, "restore", str(backup), "--list")
    assert BackupFolder.open(backup).names()[0] in listed.stdout
    verified = satchel(shop, "backup", str(backup), "--verify")
    assert (verified.returncode, "0 faults" in verified.stderr) == (0, True)
    refused = satchel(shop, "restore", str(backup))
    assert (refused.returncode, "--replace" in refused.stderr) == (2, True)
    shutil.rmtree(shop)
    done = satchel(shop, "restore", str(backup))
    assert done.returncode == 0
    assert "5 products, 10 photos" in done.stderr
    assert satchel(shop, "check").returncode == 0
    unknown = satchel(shop, "restore", str(backup), "--snapshot", "19990101T000000Z")
    assert (unknown.returncode, "found 2" in unknown.stderr) == (2, True)
