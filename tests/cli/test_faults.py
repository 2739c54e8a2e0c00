"""Disks, rights, locks and damaged files: one sentence, an exit code, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.workspace import Workspace
from support.cli import Done, satchel

NOBODY = 65534
COMMANDS = ("identify", "import", "index", "curate", "facets", "calibrate")


@pytest.fixture
def shop(filled: Workspace) -> Iterator[Path]:
    """A workspace with an index, in a folder that other users may come to."""
    filled.catalogue.close()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copytree(filled.folder, Path(folder) / "shop"))


@pytest.fixture
def run(shop: Path, catalogue_file: Path, tmp_path: Path) -> Callable[[str], Done]:
    """A function that runs a command on the shop that reads or writes its files."""
    photo = tmp_path / "query.jpg"
    photo.write_bytes(jpeg("disc", 50))
    more = catalogue_file.with_name("more.csv")
    more.write_text("code,photo\nM9,photos/disc-1.jpg\n")
    for path in (tmp_path, *tmp_path.parents):  # readable by nobody, too
        with contextlib.suppress(PermissionError):
            path.chmod(path.stat().st_mode | 0o055)
    arguments = {"identify": [photo], "import": [more], "calibrate": [catalogue_file]}

    def satchel_on_shop(command: str) -> Done:
        return satchel(shop, command, *map(str, arguments.get(command, [])))

    return satchel_on_shop


def one_sentence(done: Done, code: int, words: str) -> None:
    """Assert that a command ended in words."""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("satchel: "), done.stderr
    assert words in last
    assert "Traceback" not in done.stderr
    assert done.returncode == code


DAMAGE: dict[str, Callable[[Path], object]] = {
    "found a damaged file": lambda shop: (shop / "satchel.db").write_bytes(b"x" * 9000),
    "found none": lambda shop: (shop / "satchel.db").unlink(),
    "is not valid TOML": lambda shop: (shop / "satchel.toml").write_bytes(b"\xff\xfe\x00"),
    "there is no such setting": lambda shop: (shop / "satchel.toml").write_text("[photos]\na=1\n"),
    "of another program": lambda shop: foreign(shop / "satchel.db"),
}


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE notes (text TEXT)")


@pytest.mark.parametrize("words", DAMAGE)
def test_damaged_files_end_every_command_in_words(
    shop: Path, run: Callable[[str], Done], words: str
) -> None:
    DAMAGE[words](shop)
    for command in COMMANDS:
        one_sentence(run(command), 2, words)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may do anything: permissions count for others."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())


@pytest.mark.parametrize("command", ["import", "index", "curate"])
def test_a_read_only_workspace_is_reported(
    shop: Path, run: Callable[[str], Done], command: str
) -> None:
    for path in (shop, *shop.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    with as_nobody():
        done = run(command)
    assert done.stderr.splitlines()[-1].startswith("satchel: ")
    assert "make sure that Satchel may" in done.stderr
    assert done.returncode in (2, 3)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("command", ["import", "index", "curate"])
def test_a_lock_that_is_held_too_long_is_reported(
    shop: Path, run: Callable[[str], Done], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satchel.catalog.database.BUSY_TIMEOUT_MS", 50)
    with closing(sqlite3.connect(shop / "satchel.db", isolation_level=None)) as other:
        other.execute("DELETE FROM vectors")  # so that there is something to index
        other.execute("BEGIN IMMEDIATE")
        one_sentence(run(command), 3, "another program is writing to it: try again")
        assert run("identify").returncode in (0, 1, 2)  # readers are not held up
    assert run(command).returncode == 0


@pytest.mark.parametrize("command", ["import", "curate", "index"])
def test_a_full_disk_is_reported_and_the_command_completes_later(
    shop: Path, run: Callable[[str], Done], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space runs out when bytes are brought to the disk: every atomic write does that."""

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("satchel.files.sync", full)
        if command == "import":
            next((shop / "photos").rglob("*.jpg")).unlink()
            shutil.rmtree(shop / "photos")
        one_sentence(run(command), 3, "no space left on device; free some disk space")
    assert not list(shop.rglob("*.tmp"))
    assert run(command).returncode == 0


@pytest.mark.flow
@pytest.mark.parametrize("kilobytes", [4, 200])
def test_a_real_limit_on_files_gives_no_traceback(
    shop: Path, catalogue_file: Path, kilobytes: int
) -> None:
    """Every file is cut off at some size: the database, its log, photos, the index, reports."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    def process(command: str, limited: bool) -> subprocess.CompletedProcess[str]:
        arguments = [str(catalogue_file), "--update"] if command == "import" else []
        return subprocess.run(
            [sys.executable, "-m", "satchel", "--workspace", shop, command, *arguments],
            preexec_fn=limit if limited else None,
            capture_output=True,
            text=True,
            check=False,
        )

    with closing(sqlite3.connect(shop / "satchel.db")) as database, database:
        database.execute("DELETE FROM products")
        database.execute("DELETE FROM vectors")
    shutil.rmtree(shop / "photos")
    for command in ("import", "curate"):
        done = process(command, limited=True)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1, 3), done.stderr
    for command in ("import", "curate", "index"):
        done = process(command, limited=False)
        assert done.returncode == 0, done.stderr
    assert len(list((shop / "photos").rglob("*.jpg"))) == 10


def test_identification_continues_on_a_full_disk(
    shop: Path, run: Callable[[str], Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "index" / "gallery.safetensors").unlink()

    def full(_: Path) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("satchel.files.sync", full)
    done = run("identify")
    assert done.returncode == 0
    assert "M0" in done.stdout


# -- stopped ---------------------------------------------------------------------------------------


PHOTOS, BATCH = 400, 16
SMALL_BATCHES = f"""
import satchel.catalog.ingest
satchel.catalog.ingest.BATCH_ROWS = {BATCH}
from satchel.cli.app import main
main()
"""


@pytest.mark.flow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_what_is_kept_and_it_is(
    workspace: Workspace, tmp_path: Path, sent: signal.Signals
) -> None:
    workspace.catalogue.close()
    rows = [f"C{number},{number}.jpg" for number in range(PHOTOS)]
    data = jpeg("disc")
    for number in range(PHOTOS):  # each other bytes, so that each is cleaned
        (tmp_path / f"{number}.jpg").write_bytes(data + number.to_bytes(4))
    table = tmp_path / "many.csv"
    table.write_text("\n".join(["code,photo", *rows]))
    arguments = ["--workspace", str(workspace.folder), "import", str(table)]
    command = [sys.executable, "-c", SMALL_BATCHES, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with closing(sqlite3.connect(workspace.folder / "satchel.db")) as database:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if database.execute("SELECT count(*) FROM products").fetchone()[0]:
                break
            time.sleep(0.01)
        process.send_signal(sent)
        said = process.communicate()[1]
        kept = database.execute("SELECT count(*) FROM products").fetchone()[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    told = re.search(r"stopped; import: (\d+) of 400 are kept", said)
    assert told is not None
    assert kept - BATCH <= int(told[1]) <= kept < PHOTOS  # a commit may be stored and not counted
