"""A hundred candidates give the ten useful ones: thumbnails say which."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from conftest import draw
from satchel.collect.hosts import Patience
from satchel.collect.learning import Lessons
from satchel.collect.permissions import Permissions
from satchel.collect.preranking import Thumbnails, prerank
from satchel.collect.records import Found
from satchel.collect.rules import CollectRules
from satchel.collect.sources import SourceContext
from satchel.collect.store import CandidateStore
from satchel.decoding.decoder import IN_PROCESS
from satchel.encode.embedder import Embedder
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules
from satchel.images import encode_jpeg
from satchel.photo_header import PhotoLimits
from satchel.workspace import Workspace
from support.photo_site import PhotoSite, photo_site
from support.stub_encoder import stub_encoder

CANDIDATES, GOOD, MISSING = 100, 30, 10
OWN = range(1_000, 1_004)
"""Seeds of the photos that the product has."""


@pytest.fixture
def site() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


def picture(number: int) -> np.ndarray:
    """A bag at some ranks, another one or a pattern at the others."""
    if number % 10 in (2, 5, 9):
        return draw("ring", number)
    if number % 2:
        return draw("box" if number % 3 else "cross", number)
    cells = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    return cv2.resize(cells, (320, 240), interpolation=cv2.INTER_NEAREST)


def is_good(number: int) -> bool:
    return number % 10 in (2, 5, 9)


def test_the_candidates_that_resemble_the_product_are_fetched_first(
    workspace: Workspace, site: PhotoSite
) -> None:
    embedder = Embedder(stub_encoder())
    own = [one.vector for one in embedder.embed([draw("ring", seed) for seed in OWN], gallery=True)]
    pictures = {number: picture(number) for number in range(CANDIDATES)}
    pictures[0] = draw("ring", OWN[0])  # a copy of what the product has
    for number, pixels in pictures.items():
        small = encode_jpeg(np.asarray(cv2.resize(pixels, (160, 120)), np.uint8), 90)
        site.pages[f"/small/{number}.jpg"] = (small, "image/jpeg")
    found = [
        (
            Found(
                "S1",
                site.photo(str(number)),
                rank=number + 1,
                thumbnail=f"{site.url}/small/{number}.jpg",
            ),
            "127.0.0.1",
        )
        for number in range(CANDIDATES)
    ]
    candidates = CandidateStore(workspace.catalogue.engine)
    candidates.add(found, "site", 2)
    headers = {"User-Agent": "Satchel"}
    with FetchClient(FetchRules(http=True, networks=["127.0.0.1"])) as client:
        rules = CollectRules(delay_s=0)
        context = SourceContext(
            workspace.folder, rules, client, Permissions(client, headers), headers
        )
        thumbnails = Thumbnails(context, IN_PROCESS, PhotoLimits(), embedder, Patience())
        waiting = prerank(
            {"S1": MISSING}, {"S1": np.stack(own)}, candidates, thumbnails, Lessons([], [])
        )
    assert waiting == 15
    chosen = [
        int(one.url.rpartition("/")[2].removesuffix(".jpg"))
        for host in candidates.waiting_hosts()
        for page in candidates.waiting(host)
        for one in page
    ]
    useful = sum(map(is_good, chosen))
    by_rank = sum(map(is_good, range(15)))
    assert (useful, by_rank) == (15, 4)  # of 15 that are fetched; 10 are needed
    assert 0 not in chosen
    assert candidates.counts()[0].waiting == CANDIDATES  # the others are spares
