"""A hundred candidates give the ten useful ones: thumbnails say which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from conftest import draw
from satchel.collect.deciding import CandidateReview
from satchel.collect.hosts import Patience
from satchel.collect.learning import Lessons
from satchel.collect.permissions import Permissions
from satchel.collect.preranking import SCORES_AT_ONCE, Thumbnails, prerank
from satchel.collect.records import Found, State
from satchel.collect.rules import CollectRules
from satchel.collect.sources import SourceContext
from satchel.collect.store import PAGE, CandidateStore
from satchel.collect.tables import CandidateRow
from satchel.decoding.decoder import IN_PROCESS, Decoder, InProcess
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


EMBEDDER = Embedder(stub_encoder())


def add(
    workspace: Workspace, site: PhotoSite, numbers: Iterable[int] = range(CANDIDATES)
) -> CandidateStore:
    """Candidates of S1 with thumbnails; the one of rank 1 is a copy of what the product has."""
    found = []
    for number in numbers:
        pixels = picture(number) if number else draw("ring", OWN[0])
        small = encode_jpeg(np.asarray(cv2.resize(pixels, (160, 120)), np.uint8), 90)
        site.pages[f"/small/{number}.jpg"] = (small, "image/jpeg")
        thumbnail = f"{site.url}/small/{number}.jpg"
        photo = site.photo(str(number))
        found.append((Found("S1", photo, rank=number + 1, thumbnail=thumbnail), "127.0.0.1"))
    candidates = CandidateStore(workspace.catalogue.engine)
    candidates.add(found, "site", 2)
    return candidates


@contextmanager
def thumbnails(
    workspace: Workspace, decoder: Decoder = IN_PROCESS, most_bytes: int = 1_000_000
) -> Iterator[Thumbnails]:
    headers = {"User-Agent": "Satchel"}
    with FetchClient(FetchRules(http=True, networks=["127.0.0.1"])) as client:
        rules, permissions = CollectRules(delay_s=0), Permissions(client, headers)
        context = SourceContext(workspace.folder, rules, client, permissions, headers)
        yield Thumbnails(context, decoder, PhotoLimits(), EMBEDDER, Patience(), most_bytes)


def rank(candidates: CandidateStore, thumbnails: Thumbnails) -> int:
    rings = [draw("ring", seed) for seed in OWN]
    own = np.stack([one.vector for one in EMBEDDER.embed(rings, gallery=True)])
    return prerank({"S1": MISSING}, {"S1": own}, candidates, thumbnails, Lessons([], []))


def test_the_candidates_that_resemble_the_product_are_fetched_first(
    workspace: Workspace, site: PhotoSite
) -> None:
    candidates = add(workspace, site)
    with thumbnails(workspace) as small:
        waiting = rank(candidates, small)
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


class Killed(InProcess):
    """Decodes so many pictures, then is killed."""

    def __init__(self, after: int) -> None:
        self.left = after

    def decode(self, *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().decode(*args, **options)


def test_scores_outlast_a_kill(workspace: Workspace, site: PhotoSite) -> None:
    candidates = add(workspace, site, range(2 * SCORES_AT_ONCE + 5))
    with (
        thumbnails(workspace, Killed(2 * SCORES_AT_ONCE)) as small,
        pytest.raises(KeyboardInterrupt),
    ):
        rank(candidates, small)
    with thumbnails(workspace) as small:
        rank(candidates, small)
    requests = sorted(count for path, count in site.requests.items() if path.startswith("/small/"))
    assert requests == [1] * (2 * SCORES_AT_ONCE + 4) + [2]


def test_thumbnails_count_as_bytes(workspace: Workspace, site: PhotoSite) -> None:
    candidates = add(workspace, site, range(20))
    sizes = [len(site.pages[f"/small/{number}.jpg"][0]) for number in range(20)]
    with thumbnails(workspace, most_bytes=sum(sizes[:3])) as small:
        assert rank(candidates, small) == 15
    assert small.received_bytes == sum(sizes[:3])
    assert sum(path.startswith("/small/") for path in site.requests) == 3


def test_what_people_accept_meanwhile_does_not_become_spare(
    workspace: Workspace, site: PhotoSite
) -> None:
    candidates = add(workspace, site, range(3))
    read = candidates.spares("S1")
    accepted, rejected, spare = (one.id for one in read)
    review = CandidateReview(workspace.catalogue)
    review.decide("accept", [accepted])
    review.decide("reject", [rejected])
    candidates.choose(read, {rejected})
    with workspace.catalogue.engine.connect() as connection:
        states = dict(connection.execute(select(CandidateRow.id, CandidateRow.state)).all())
    assert states == {accepted: State.WAITING, rejected: State.REJECTED, spare: State.SPARE}


def test_what_people_choose_while_others_are_fetched_comes_next(
    workspace: Workspace, site: PhotoSite
) -> None:
    candidates = add(workspace, site, range(2 * PAGE + 10))
    ids = [one.id for one in candidates.spares("S1")]
    review = CandidateReview(workspace.catalogue)
    review.decide("accept", [ids[-1]])
    pages = candidates.waiting("127.0.0.1")
    assert [one.id for one in next(pages)] == [ids[-1]]
    assert [one.id for one in next(pages)] == ids[:PAGE]
    review.decide("accept", [ids[0], ids[-2]])
    assert [one.id for one in next(pages)] == [ids[-2]]  # the first one is being fetched
    assert [one.id for page in pages for one in page] == ids[PAGE:-2]
