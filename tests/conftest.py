"""Pictures drawn for tests, and small real workspaces made of them."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# One thread for each process, before numpy and torch are loaded: threads of tests that run in
# parallel wait for each other far longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest

from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.images import encode_jpeg
from satchel.search.indexing import build_index, embed_gallery
from satchel.workspace import Workspace
from support.stub_encoder import serve_stub, stub_encoder

SHARED = Path(__file__).resolve().parents[2] / "shared"
SHAPES = ("disc", "box", "cross", "ring", "bars")


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


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The stub encoder, which workspaces of tests are served with."""
    return stub_encoder()


@pytest.fixture(scope="session")
def shipped_encoder() -> Encoder:
    """The built-in encoder."""
    return Encoder.load()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace, served with the stub encoder."""
    return serve_stub(Workspace.create(tmp_path / "workspace"))


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    """A CSV of five products with two photos each, beside its photos."""
    folder = tmp_path / "catalogue"
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


def fill(workspace: Workspace, catalogue_file: Path, encoder: Encoder) -> None:
    """Import, embed and index, as the command line does."""
    problems: list[object] = []
    import_rows(
        open_rows(catalogue_file).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=problems.append,
    )
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        Embedder(encoder),
        on_problem=problems.append,
    )
    assert problems == []
    build_index(
        workspace.catalogue,
        EmbeddingSpace(encoder.card),
        workspace.index_path,
        workspace.settings.search,
    )


@pytest.fixture
def filled(workspace: Workspace, catalogue_file: Path, encoder: Encoder) -> Workspace:
    """A workspace with the five products, indexed."""
    fill(workspace, catalogue_file, encoder)
    return workspace
