"""Searching again ends where the caps and the sites say, and says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from satchel.collect import sources
from satchel.collect.hosts import Patience
from satchel.collect.queries import Query
from satchel.collect.sources import Hit, SourceContext
from satchel.encode.embedder import Embedder
from satchel.images import encode_jpeg
from satchel.records import Product
from satchel.workflows.refill import Refilled, refill
from satchel.workspace import Workspace
from support.cli import satchel
from support.photo_site import PhotoSite, photo_site
from support.stub_encoder import stub_encoder

QUICK = Patience(attempts=2, first_wait_s=0.01)


@pytest.fixture
def site() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


class Fixed:
    """Names the same photos for every query."""

    pause_s = 0.0

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        return [Hit(url) for url in self.urls]

    def save_answer(self, folder: Path) -> Sequence[Path]:
        return []


def refilled(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, urls: Sequence[str], settings: str = ""
) -> Refilled:
    text = f'[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\nmin_free_mb = 0\n{settings}'
    (workspace.folder / "satchel.toml").write_text(f'{text}\n[fetch]\nnetworks = ["127.0.0.1"]\n')

    @contextmanager
    def opened(_context: SourceContext) -> Iterator[Fixed]:
        yield Fixed(urls)

    monkeypatch.setitem(sources.SOURCES, "fixed", opened)
    workspace = Workspace.open(workspace.folder)
    with workspace.catalogue.writing() as writer:
        writer.add_product("S1", {})
    embedder = Embedder(stub_encoder())
    products = [Product("S1")]
    return refill(workspace, 2, products, sources=["fixed"], embedder=embedder, patience=QUICK)


def test_the_cap_on_bytes_is_of_all_rounds(
    workspace: Workspace, site: PhotoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), np.uint8)
    photo = encode_jpeg(noise, 90)
    assert 200_000 < len(photo) < 330_000  # three of a round are below the cap, six are beyond it
    paths = [f"/copies/{number}.jpg" for number in range(12)]
    site.pages |= dict.fromkeys(paths, (photo, "image/jpeg"))
    done = refilled(workspace, monkeypatch, [site.url + path for path in paths], "max_mb = 1")
    assert (done.rounds, done.new) == (2, 1)  # the others are copies of it
    assert "[collect] max_mb" in done.ended
    assert list(done.short) == ["S1"]


def test_hosts_that_were_left_are_named(
    workspace: Workspace, site: PhotoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = refilled(workspace, monkeypatch, [f"{site.url}/busy/{n}.jpg" for n in range(3)])
    assert done.ended == "the hosts of what was found were left"
    (why,) = done.stopped.values()
    assert "asks to wait for 7,200 seconds" in why


def test_nothing_new_is_said_where_that_is_so(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = refilled(workspace, monkeypatch, ["http://10.0.0.1/a.jpg"])  # found, but not public
    assert (done.ended, done.new) == ("nothing new was found", 0)


@pytest.mark.parametrize(
    "options", [["--retry"], ["--encoding", "utf-8"], ["--column", "code=mpn"], ["--again"]]
)
def test_what_a_refill_cannot_heed_is_refused(workspace: Workspace, options: list[str]) -> None:
    refused = satchel(workspace.folder, "collect", "--refill", "3", *options)
    assert refused.returncode == 2
    assert "expected only --source" in refused.stderr
