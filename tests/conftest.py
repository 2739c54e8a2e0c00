"""Pictures drawn for tests, and small real workspaces made of them."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

# One thread for each process, before numpy and torch are loaded: threads of tests that run in
# parallel wait for each other far longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import hypothesis
import numpy as np
import pytest

from satchel.catalog import database
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.images import encode_jpeg
from satchel.market.accounts import passwords
from satchel.search.indexing import build_index, embed_gallery
from satchel.workspace import Workspace
from support.stub_encoder import serve_stub, stub_encoder

SHARED = Path(__file__).resolve().parents[2] / "shared"
SHAPES = ("disc", "box", "cross", "ring", "bars")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-torch",
        action="store_true",
        help="skip what needs torch, as where it is not installed; its import takes seconds",
    )


class _NoTorch(MetaPathFinder):
    """Finds no torch, as where it is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("no deadline", deadline=None)
    hypothesis.settings.load_profile("no deadline")
    if config.getoption("--without-torch"):
        sys.meta_path.insert(0, _NoTorch())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason=f"needs the shared data, expected at {SHARED}")
    for item in items:
        if item.get_closest_marker("shared") and not (SHARED / "data").is_dir():
            item.add_marker(absent)


def draw(shape: str, seed: int = 0, size_wh: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A coloured shape on a light, slightly noisy ground; `seed` moves and turns it a little."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    picture = np.full((height, width, 3), 235, np.uint8)
    x, y = width // 2 + int(rng.integers(-20, 20)), height // 2 + int(rng.integers(-15, 15))
    r = min(width, height) // 3
    match shape:
        case "disc":
            cv2.circle(picture, (x, y), r, (200, 40, 30), -1)
        case "box":
            cv2.rectangle(picture, (x - r, y - r), (x + r, y + r), (30, 60, 200), -1)
        case "cross":
            cv2.line(picture, (x - r, y - r), (x + r, y + r), (20, 140, 40), r // 3)
            cv2.line(picture, (x - r, y + r), (x + r, y - r), (20, 140, 40), r // 3)
        case "ring":
            cv2.circle(picture, (x, y), r, (230, 180, 20), r // 3)
        case "bars":
            for step in range(-r, r, max(1, r // 3)):
                cv2.line(picture, (x + step, y - r), (x + step, y + r), (90, 20, 120), r // 8)
    noise = rng.integers(-6, 7, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def jpeg(shape: str, seed: int = 0, size_wh: tuple[int, int] = (320, 240)) -> bytes:
    return encode_jpeg(draw(shape, seed, size_wh), 92)


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """No test cuts the power: that what was written is on the disk is not waited for."""
    set_pragmas = database._set_pragmas

    def without_waiting(connection: sqlite3.Connection, record: object) -> None:
        set_pragmas(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(database, "_set_pragmas", without_waiting)
        yield


@pytest.fixture(scope="session", autouse=True)
def _passwords_hash_fast() -> Iterator[None]:
    """No test guesses passwords: argon2id takes as little as it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", passwords.Cost(memory_kib=8, passes=1, lanes=1))
        yield


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The stub encoder, which workspaces of tests are served with."""
    return stub_encoder()


@pytest.fixture(scope="session")
def shipped_encoder() -> Encoder:
    """The built-in encoder."""
    return Encoder.load()


@pytest.fixture(scope="session")
def _empty_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once") / "workspace"
    serve_stub(Workspace.create(folder))
    return folder


@pytest.fixture
def workspace(_empty_once: Path, tmp_path: Path) -> Workspace:
    """An empty workspace, served with the stub encoder."""
    return Workspace.open(shutil.copytree(_empty_once, tmp_path / "workspace"))


@pytest.fixture(scope="session")
def _catalogue_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once") / "catalogue"
    (folder / "photos").mkdir(parents=True)
    path = folder / "catalogue.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "brand", "name", "colour", "view", "material", "photo"))
        for number, shape in enumerate(SHAPES):
            for seed in (1, 2):
                name = f"photos/{shape}-{seed}.jpg"
                (folder / name).write_bytes(jpeg(shape, seed))
                writer.writerow(
                    (f"M{number}", "Atelier", shape.title(), "red", f"view {seed}", "paint", name)
                )
    return path


@pytest.fixture
def catalogue_file(_catalogue_once: Path, tmp_path: Path) -> Path:
    """A CSV of five products with two photos each, beside its photos."""
    return shutil.copytree(_catalogue_once.parent, tmp_path / "catalogue") / _catalogue_once.name


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let child processes handle SIGINT, even if this one ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fill_with_shapes(workspace: Workspace, source: Path, encoder: Encoder) -> None:
    """Import and index five drawn shapes, one picture each."""
    for shape in SHAPES:
        (source / shape).mkdir(parents=True)
        (source / shape / "0.jpg").write_bytes(encode_jpeg(draw(shape), 92))
    fill(workspace, source, encoder)


def put_in(workspace: Workspace, catalogue: Path) -> None:
    """Import a file or folder, as the command line does."""
    import_rows(
        open_rows(catalogue).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=lambda problem: pytest.fail(str(problem)),
    )


def fill(workspace: Workspace, catalogue: Path, encoder: Encoder) -> None:
    """Import, embed and index, as the command line does."""
    put_in(workspace, catalogue)
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        Embedder(encoder),
        on_problem=lambda problem: pytest.fail(str(problem)),
    )
    build_index(
        workspace.catalogue,
        EmbeddingSpace(encoder.card),
        workspace.index_path,
        workspace.settings.search,
    )


@pytest.fixture(scope="session")
def _filled_once(
    _empty_once: Path, _catalogue_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = shutil.copytree(_empty_once, tmp_path_factory.mktemp("once") / "filled")
    workspace = Workspace.open(folder)
    fill(workspace, _catalogue_once, stub_encoder())
    workspace.catalogue.close()
    return folder


@pytest.fixture
def filled(_filled_once: Path, tmp_path: Path) -> Workspace:
    """A workspace with the five products, indexed and served with the stub encoder."""
    return Workspace.open(shutil.copytree(_filled_once, tmp_path / "filled"))
