"""Commands that are killed at random moments and run again, compared with undisturbed ones.

Each round begins with a copy of a workspace, kills the command again and again, and ends when it
completes by itself: the state must then equal that of a run that nobody disturbed.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from satchel.images import encode_jpeg
from satchel.search.index import GalleryIndex
from satchel.workflows.check import check_workspace
from satchel.workspace import Workspace
from support.stub_encoder import serve_stub

PRODUCTS, VIEWS, QUERIES = 16, 4, 2
DECISIONS = 24

START = """
import satchel.catalog.ingest, satchel.curate.copies, satchel.curate.figures
import satchel.search.indexing
satchel.catalog.ingest.BATCH_ROWS = 16
satchel.curate.copies.COMMIT_PAIRS = 4
satchel.curate.figures.COMMIT_PHOTOS = 8
satchel.search.indexing.COMMIT_BATCHES = 1
from satchel.cli.app import main
main()
"""
"""The command line, with many small commits where there are few large ones."""


def draw(product: int, view: int) -> bytes:
    """A photo of a product: coloured blocks of its own; views differ in place and light."""
    rng = np.random.default_rng(product)
    blocks = rng.integers(0, 256, (4, 4, 3), np.uint8)
    shape = cv2.resize(blocks, (90, 90), interpolation=cv2.INTER_NEAREST)
    own = np.random.default_rng(1000 * product + view)
    picture = np.full((120, 160, 3), 225 + 5 * view, np.uint8)
    x, y = own.integers(10, 60), own.integers(5, 25)
    picture[y : y + 90, x : x + 90] = shape
    noise = own.integers(-4, 5, picture.shape)
    return encode_jpeg(np.clip(picture + noise, 0, 255).astype(np.uint8), 90)


def write_source(folder: Path) -> None:
    """Write catalogue.csv and queries.csv with their photos; every second product has a photo
    twice."""
    folder.mkdir()
    for name, views in (("catalogue", range(VIEWS)), ("queries", range(VIEWS, VIEWS + QUERIES))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("code", "photo"))
            for product in range(PRODUCTS):
                for view in views:
                    photo = folder / f"{product}-{view}.jpg"
                    data = draw(product, view)
                    photo.write_bytes(data)
                    rows.writerow((f"M{product}", photo.name))
                if product % 2 == 0 and name == "catalogue":
                    copy = folder / f"{product}-copy.jpg"
                    copy.write_bytes(data[:2] + b"\xff\xfe\x00\x04ab" + data[2:])
                    rows.writerow((f"M{product}", copy.name))


def start(workspace: Path, *arguments: str, stderr: int = subprocess.DEVNULL) -> Any:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-c", START, "--workspace", str(workspace), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


# -- what must be equal ---------------------------------------------------------------------------


def state(folder: Path) -> dict[str, Any]:
    """Everything that a workspace knows, without the times at which it learnt it."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        database.row_factory = sqlite3.Row
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
            timeless = [
                {key: value for key, value in row.items() if not key.endswith("_at")}
                for row in rows
            ]
            found[table] = sorted(map(repr, timeless))
    found.pop("revision")  # counts commits, of which a disturbed run has more
    found["photos on disk"] = sorted(
        (path.stem, path.stat().st_size) for path in (folder / "photos").rglob("*.jpg")
    )
    if (folder / "index" / "gallery.safetensors").exists():
        index = GalleryIndex.load(folder / "index" / "gallery.safetensors")
        found["index"] = (
            index.gallery.vectors.tobytes(),
            index.gallery.products.tobytes(),
            index.gallery.photos.tobytes(),
            index.whitening.matrix.tobytes(),
        )
    for path in sorted((folder / "models" / "calibration").glob("*.json")):
        calibration = json.loads(path.read_text())
        calibration["confidence"].pop("measured_on")  # names the time
        found[path.name] = (calibration["confidence"], calibration["figures"])
    return found


def require_whole(folder: Path) -> None:
    """Assert that `satchel check` finds nothing wrong once the index is built."""
    workspace = Workspace.open(folder)
    try:
        faults = [str(fault) for fault in check_workspace(workspace).faults]
    finally:
        workspace.catalogue.close()
    assert all("is not embedded" in fault for fault in faults), faults


# -- the commands ---------------------------------------------------------------------------------


class Commands:
    """A source of photos, and the workspace before and after each command, undisturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = folder / "source"
        write_source(source)
        self.arguments = {
            "import": (str(source / "catalogue.csv"),),
            "index": (),
            "curate": (),
            "calibrate": (str(source / "queries.csv"),),
        }
        self.seconds: dict[str, float] = {}
        before = folder / "empty"
        serve_stub(Workspace.create(before)).catalogue.close()
        self.before: dict[str, Path] = {}
        self.after: dict[str, dict[str, Any]] = {}
        for command in self.arguments:
            self.before[command] = before
            after = Path(shutil.copytree(before, folder / command))
            began = time.monotonic()
            code = start(after, command, *self.arguments[command]).wait()
            assert code == 0, f"satchel {command} ended with {code}"
            self.seconds[command] = time.monotonic() - began
            self.after[command] = state(after)
            before = after
        self.before["serve"] = before

    def trial(self, command: str, kills: int, rng: random.Random) -> int:
        """Kill a command so often, in as many rounds as that takes; return the rounds."""
        killed, rounds = 0, 0
        while killed < kills:
            folder = Path(shutil.copytree(self.before[command], self.folder / "trial"))
            rounds += 1
            while True:
                process = start(folder, command, *self.arguments[command])
                if killed < kills and _kill_after(
                    process, rng.uniform(0.25, 1) * self.seconds[command]
                ):
                    killed += 1
                    continue
                assert process.wait() == 0
                break
            assert state(folder) == self.after[command], f"after kills of {command}"
            require_whole(folder)
            shutil.rmtree(folder)
        return rounds


def _kill_after(process: Any, seconds: float) -> bool:
    """Kill a process that has not ended by then; return whether it was killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    assert process.returncode == 0
    return False


# -- a server -------------------------------------------------------------------------------------


def decisions(folder: Path) -> list[tuple[int, str]]:
    """Decisions that people make, photo by photo: what is dropped is kept, and so on."""
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        links = database.execute("SELECT id, state FROM product_photos ORDER BY id").fetchall()
    chosen = random.Random(1).sample(links, DECISIONS)
    return [(link, "drop" if before == "kept" else "keep") for link, before in chosen]


@contextmanager
def served(folder: Path) -> Iterator[tuple[Any, str]]:
    """A running server; its process, which may be killed, and its address."""
    process = start(folder, "serve", "--port", "0", stderr=subprocess.PIPE)
    try:
        line = process.stderr.readline()
        yield process, next((word for word in line.split() if word.startswith("http://")), "")
    finally:
        if process.poll() is None:
            process.terminate()
        process.stderr.close()
        process.wait(60)


def decide(client: httpx.Client, link: int, choice: str) -> None:
    """Send one decision, as the review page does."""
    form = {"link_id": link, "choice": choice, "state": "doubtful", "who": "Kim"}
    answer = client.post("/review/decide", data=form)
    assert answer.status_code == HTTPStatus.SEE_OTHER, answer.text


def states_and_people(folder: Path) -> dict[str, Any]:
    """States of all photos, and the last decision on each."""
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        states = database.execute("SELECT id, state FROM product_photos ORDER BY id").fetchall()
    return {"states": states, "photos": state(folder)["photos on disk"]}


def serve_trial(commands: Commands, kills: int, rng: random.Random) -> None:
    """Kill servers while people decide; what was acknowledged is kept, the rest is sent again."""
    before = commands.before["serve"]
    undisturbed = Path(shutil.copytree(before, commands.folder / "served"))
    todo = decisions(undisturbed)
    with served(undisturbed) as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        for link, choice in todo:
            decide(client, link, choice)
    killed = 0
    while killed < kills:
        folder = Path(shutil.copytree(before, commands.folder / "trial"))
        sent = 0
        while sent < len(todo):
            with served(folder) as (process, url):
                killer = _killer(process, rng.uniform(0, 0.5)) if killed < kills else None
                sent += _acknowledged(url, todo[sent:])
                if killer is not None:
                    killer()
                    killed += 1
            _require_decided(folder, todo[:sent])
        with served(folder) as (process, url):
            httpx.get(f"{url}/healthz/ready", timeout=60).raise_for_status()
        assert states_and_people(folder) == states_and_people(undisturbed)
        require_whole(folder)
        shutil.rmtree(folder)
    shutil.rmtree(undisturbed)


def _acknowledged(url: str, todo: list[tuple[int, str]]) -> int:
    """Send decisions until the server is gone; return how many it acknowledged."""
    count = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        for link, choice in todo:
            try:
                decide(client, link, choice)
            except httpx.TransportError:
                break
            count += 1
    return count


def _killer(process: Any, seconds: float) -> Callable[[], None]:
    """Kill a process after some seconds, in a thread; call the result to wait for it."""
    import threading

    thread = threading.Timer(seconds, process.kill)
    thread.start()
    return thread.join


def _require_decided(folder: Path, done: list[tuple[int, str]]) -> None:
    """Assert that everything that was acknowledged is in the database."""
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        states = dict(database.execute("SELECT id, state FROM product_photos").fetchall())
        decided = database.execute("SELECT count(*) FROM decisions").fetchone()[0]
    assert decided >= len(done)
    for link, choice in done:
        assert states[link] == {"keep": "kept", "drop": "dropped"}[choice]
