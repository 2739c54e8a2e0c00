from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import update

from conftest import draw
from satchel.catalog.database import writing
from satchel.confidence.outcomes import RankedPair
from satchel.confidence.stored import calibration_path
from satchel.decoding.decoder import IN_PROCESS
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.jobs.worker import Worker
from satchel.market.goods import Goods
from satchel.market.learning.certified import taken_photos
from satchel.market.listings.fields import Grade, ListingFields
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role
from satchel.search.indexing import open_index
from satchel.served import load_embedder
from satchel.workflows import learn
from satchel.workflows.jobs import handlers_of
from satchel.workspace import Workspace
from support.cli import satchel
from support.market import make_account
from support.pictures import rgb

RIGHT = "M0"


def worn(seed: int) -> bytes:
    """A good that looks like no photo of the catalogue: a star, each time turned a little."""
    picture = draw("none", seed)
    for angle in np.deg2rad(np.arange(0, 180, 30) + seed % 7):
        across, down = round(90 * np.cos(angle)), round(90 * np.sin(angle))
        cv2.line(picture, (160 - across, 120 - down), (160 + across, 120 + down), (40, 160, 60), 9)
    return encode_jpeg(rgb(picture), 90)


@dataclass
class Market:
    """A market in a workspace with the catalogue of shapes."""

    workspace: Workspace
    goods: Goods
    photos: ListingPhotos
    seller: Actor
    expert: Actor
    admin: Actor

    @classmethod
    def of(cls, workspace: Workspace) -> Market:
        catalogue, limits = workspace.catalogue, workspace.settings.photos.limits()
        photos = ListingPhotos(catalogue.engine, workspace.market_photos, IN_PROCESS, limits)
        people = [
            Actor(make_account(workspace, f"{role.value}@example.com", role).id, role)
            for role in (Role.SELLER, Role.EXPERT, Role.ADMIN)
        ]
        return cls(workspace, Goods.of(catalogue.engine, catalogue.brands), photos, *people)

    def certified(self, photo: bytes, code: str = RIGHT, *, consent: bool = True) -> Listing:
        """A listing of one photo that an expert certified as this product."""
        listing = self.goods.listings.create(self.seller).public_id
        self.photos.add(listing, "upload-01", photo, self.seller)
        fields = ListingFields(code=code, grade=Grade.A, consent_gallery=consent)
        self.goods.listings.change(listing, fields, self.seller)
        self.goods.listings.step(listing, StepName.SUBMIT, self.seller)
        self.goods.queue.claim(listing, self.expert)
        return self.goods.decisions.certify(listing, code, self.expert, seconds=5)

    def revoke(self, listing: Listing) -> None:
        certificate = self.goods.decisions.certificate_of(listing)
        assert certificate is not None
        self.goods.decisions.revoke(certificate.public_id, self.admin, "forged")


@pytest.fixture
def market(filled: Workspace) -> Market:
    return Market.of(filled)


def first(workspace: Workspace, photo: bytes) -> str:
    """The first candidate of a photo, in the index of now."""
    embedder = load_embedder(workspace, threads=1)
    index = open_index(
        workspace.catalogue, embedder.space, workspace.index_path, workspace.settings.search
    )
    identifier = Identifier.of(workspace, embedder, index)
    return identifier.identify(photo).candidates[0].product.code


def test_what_was_certified_is_found_and_what_was_revoked_no_more(market: Market) -> None:
    """A worn good looks like another product until one like it was certified."""
    workspace, photo = market.workspace, worn(71)
    before = first(workspace, photo)
    right = next(code for code in ("M1", "M2") if code != before)
    listing, other = market.certified(worn(72), right), market.certified(worn(73), right)
    done = learn.learn_photos(workspace)
    assert (done.listings, done.added, done.removed) == (2, 2, 0)
    assert first(workspace, photo) == right
    assert learn.learn_photos(workspace) == learn.Taken(0, 0, 0)
    market.revoke(listing)
    market.revoke(other)
    assert learn.learn_photos(workspace).removed == 2
    assert taken_photos(workspace.catalogue.engine) == []
    assert first(workspace, photo) == before


def test_without_consent_nothing_is_taken(market: Market) -> None:
    market.certified(worn(72), consent=False)
    assert learn.learn_photos(market.workspace) == learn.Taken(0, 0, 0)


def test_a_worker_takes_what_is_certified(market: Market) -> None:
    listing = market.certified(worn(72))
    engine = market.workspace.catalogue.engine
    Worker(engine, handlers_of(market.workspace)).run(Event().is_set, once=True)
    assert [one.listing for one in taken_photos(engine)] == [listing.public_id]


def test_a_worker_prepares_the_photos_of_what_is_offered(market: Market) -> None:
    listing = market.certified(worn(72))
    with writing(market.workspace.catalogue.engine) as connection, connection.begin():
        connection.execute(update(ListingRow).values(price_krw=1_000))
    market.goods.listings.step(listing.public_id, StepName.OFFER, market.seller)
    public = market.workspace.market_folder / "public"
    assert not public.exists()
    engine = market.workspace.catalogue.engine
    Worker(engine, handlers_of(market.workspace)).run(Event().is_set, once=True)
    names = {path.name for path in public.rglob("*.*")}
    assert names == {f"{listing.photos[0].sha256}.{end}" for end in ("jpg", "640.webp")}


def test_a_listing_is_ranked_without_its_own_photos(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gallery took from a listing must not make its own decision look easy."""
    workspace = market.workspace
    monkeypatch.setattr(learn, "FEWEST_QUERIES", 1)
    market.certified(worn(72), "M4")
    ranked: list[int] = []

    def fit(_workspace: object, _space: object, pairs: Sequence[RankedPair], *_: object) -> Any:
        ranked.append(pairs[0].there[0].product)
        return None, None

    monkeypatch.setattr(learn, "fit_calibration", fit)
    learn.calibrate_on_decisions(workspace, "test")
    learn.learn_photos(workspace)
    learn.calibrate_on_decisions(workspace, "test")
    assert ranked[0] == ranked[1]
    assert taken_photos(workspace.catalogue.engine)


def test_too_few_decisions_change_nothing(market: Market) -> None:
    market.certified(worn(72))
    with pytest.raises(UsageError, match=r"certified listings .* got 1"):
        learn.calibrate_on_decisions(market.workspace, "test")
    told = satchel(market.workspace.folder, "learn", "--json")
    answer = json.loads(told.stdout)
    assert answer["photos"] == {"listings": 1, "added": 1, "removed": 0}
    assert "certified listings" in answer["reason"]
    space = load_embedder(market.workspace, threads=1).space
    assert not calibration_path(market.workspace.models, space.id).exists()
