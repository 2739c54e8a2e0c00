"""From codes to answers: collect, curate, refill, curate, the best ten, index, identify."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from conftest import SHAPES, draw
from satchel.catalog.tables import ProductPhotoRow, ProductRow
from satchel.collect import sources
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.workspace import Workspace
from support.cli import satchel
from support.photo_site import photo_site
from support.search_site import Listed, SearchSite
from support.stub_encoder import by_saliency

PRODUCTS = SHAPES[:3]
GOOD, GARBAGE = 9, 4
"""Photos of each product at the source: 30 % of what a query finds is garbage."""
FIRST, WANTED = 6, 6
"""Hits of a query, and photos that a product should have."""


def code_of(shape: str) -> str:
    return f"S{sum(shape.encode()):04d}"


def clutter(seed: int) -> np.ndarray:
    """A picture of nothing: coloured patches from edge to edge."""
    cells = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return cv2.resize(cells, (320, 240), interpolation=cv2.INTER_NEAREST)


def listed() -> list[Listed]:
    """Photos of each product and of something else, mixed as a search engine mixes them."""
    found = []
    for number, shape in enumerate(PRODUCTS):
        words = frozenset((code_of(shape).casefold(), shape))
        pictures = [(draw(shape, seed), f"{shape} bag front", False) for seed in range(GOOD)]
        pictures += [
            (clutter(100 * number + seed), f"{shape} keychain manual", True)
            for seed in range(GARBAGE)
        ]
        order = np.random.default_rng(number).permutation(len(pictures))
        for place, at in enumerate(order):
            picture, title, garbage = pictures[at]
            photo = encode_jpeg(picture, 90)
            small = encode_jpeg(cv2.resize(picture, (96, 72)), 80)
            found.append(Listed(f"{shape}{place}", title, words, photo, small, garbage))
    return found


@pytest.fixture
def search_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchSite]:
    with photo_site() as site:
        running = SearchSite(site, listed(), FIRST)
        monkeypatch.setitem(sources.SOURCES, "site", running.opener)
        yield running


def set_up(workspace: Workspace) -> Path:
    text = '[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\nper_host = 4\nmin_free_mb = 0\n'
    text += 'queries = ["{name} {code}"]\nlanguages = ["en"]\n[fetch]\nnetworks = ["127.0.0.1"]\n'
    (workspace.folder / "satchel.toml").write_text(text)
    return by_saliency(Workspace.open(workspace.folder)).folder


def names_of(folder: Path, *states: str) -> dict[str, set[str]]:
    """Code → names of the photos at the source that have one of these states."""
    chosen = (
        select(ProductRow.code, ProductPhotoRow.source)
        .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
        .where(ProductPhotoRow.state.in_(states))
    )
    found: dict[str, set[str]] = {}
    with Workspace.open(folder).catalogue.engine.connect() as connection:
        for code, source in connection.execute(chosen):
            found.setdefault(code, set()).add(str(source).rpartition("/")[2])
    return found


def purity(site: SearchSite, folder: Path) -> float:
    """Share of the kept photos that show their product."""
    garbage = {one.name for one in site.listed if one.garbage}
    kept = [name for names in names_of(folder, "kept").values() for name in names]
    return sum(name not in garbage for name in kept) / len(kept)


def accuracy(folder: Path) -> float:
    """Share of new photos of the products that are named right at the first place."""
    identifier = Identifier.open(Workspace.open(folder))
    right = [
        identifier.identify(encode_jpeg(draw(shape, seed), 90)).candidates[0].product.code
        == code_of(shape)
        for shape in PRODUCTS
        for seed in (1_001, 1_002)
    ]
    return sum(right) / len(right)


@pytest.mark.flow
def test_the_path_of_the_seed(
    workspace: Workspace, search_site: SearchSite, tmp_path: Path
) -> None:
    folder = set_up(workspace)
    codes = tmp_path / "codes.csv"
    codes.write_text("code,name\n" + "".join(f"{code_of(one)},{one}\n" for one in PRODUCTS))

    first = satchel(folder, "collect", "--source", "site", "--codes", str(codes))
    assert first.returncode == 0, first.stderr
    collected = purity(search_site, folder)
    assert collected < 0.9
    assert satchel(folder, "index").returncode == 0
    right = [accuracy(folder)]

    assert satchel(folder, "curate").returncode == 0
    cleaned = purity(search_site, folder)
    assert cleaned > collected
    right.append(accuracy(folder))
    short = {code: len(names) for code, names in names_of(folder, "kept").items()}
    assert min(short.values()) < WANTED

    refilled = satchel(folder, "collect", "--refill", str(WANTED), "--json")
    assert refilled.stdout, refilled.stderr
    shown = json.loads(refilled.stdout)
    assert [one["number"] for one in shown["passes"]][:2] == [1, 2]
    assert any(" -keychain -manual" in query for query in search_site.asked)
    kept = {code: len(names) for code, names in names_of(folder, "kept").items()}
    assert sum(kept.values()) > sum(short.values())
    assert purity(search_site, folder) >= cleaned
    assert set(search_site.fetched.values()) == {1}

    assert satchel(folder, "curate", "--best", str(WANTED)).returncode == 0
    assert max(len(names) for names in names_of(folder, "kept").values()) <= WANTED
    assert satchel(folder, "index").returncode == 0
    right.append(accuracy(folder))
    assert right == sorted(right)  # after the first pass, after cleaning, after the refill
    assert right[-1] == 1
