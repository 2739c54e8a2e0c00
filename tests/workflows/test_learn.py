from __future__ import annotations

import json
from collections.abc import Sequence
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import update

from conftest import SHAPES, draw, jpeg
from satchel.catalog.database import writing
from satchel.confidence.outcomes import NOT_THERE, RankedPair
from satchel.confidence.stored import calibration_path
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.jobs.worker import Worker
from satchel.market.desk.records import Reason
from satchel.market.learning.decided import absent_listings, taken_photos
from satchel.market.listings.states import StepName
from satchel.market.listings.tables import ListingRow
from satchel.progress import SILENT
from satchel.search.indexing import open_index
from satchel.served import load_embedder
from satchel.train.dealing import SplitOptions, make_split
from satchel.train.splits import PARTS, Split
from satchel.workflows import learn
from satchel.workflows import split as split_workflow
from satchel.workflows.calibrate import fit_calibration
from satchel.workflows.jobs import handlers_of
from satchel.workflows.split_ranking import SplitPart, rank_part
from satchel.workspace import Workspace
from support.cli import satchel
from support.decided import Market
from support.pictures import rgb


def worn(seed: int) -> bytes:
    """A good that looks like no photo of the catalogue: a star, each time turned a little."""
    picture = draw("none", seed)
    for angle in np.deg2rad(np.arange(0, 180, 30) + seed % 7):
        across, down = round(90 * np.cos(angle)), round(90 * np.sin(angle))
        cv2.line(picture, (160 - across, 120 - down), (160 + across, 120 + down), (40, 160, 60), 9)
    return encode_jpeg(rgb(picture), 90)


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
    ends = ("jpg", "640.webp", "preview.jpg")
    assert names == {f"{listing.photos[0].sha256}.{end}" for end in ends}


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


def test_only_goods_that_the_catalogue_lacks_are_unknown(market: Market) -> None:
    """Not those rejected for another reason, without consent, or once certified and revoked."""
    absent = market.rejected(worn(72), Reason.NOT_IN_CATALOGUE)
    market.rejected(worn(73), Reason.COUNTERFEIT)
    market.rejected(worn(74), Reason.NOT_IN_CATALOGUE, consent=False)
    market.revoke(market.certified(worn(75)))
    engine = market.workspace.catalogue.engine
    assert [one.public_id for one in absent_listings(engine)] == [absent.public_id]
    market.goods.listings.step(absent.public_id, StepName.REVISE, market.seller)
    assert absent_listings(engine) == []


def test_confidences_are_fitted_on_decisions_with_unknown_goods(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks of 20 certified and 5 unknown goods go into the fit, and the command stores it."""
    workspace = market.workspace
    for seed in range(20):
        market.certified(worn(seed), f"M{seed % 5}")
    for seed in range(20, 25):
        market.rejected(worn(seed), Reason.NOT_IN_CATALOGUE)
    market.certified(worn(30), consent=False)
    fitted: list[int] = []
    real = fit_calibration

    def fit(where: Workspace, space: Any, pairs: Sequence[RankedPair], *rest: Any) -> Any:
        fitted.extend(pair.right for pair in pairs)
        return real(where, space, pairs, *rest)

    monkeypatch.setattr(learn, "fit_calibration", fit)
    told = satchel(workspace.folder, "calibrate", "--from-decisions", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["measured"]["queries"] == 20
    assert (len(fitted), fitted.count(NOT_THERE)) == (25, 5)
    space = load_embedder(workspace, threads=1).space
    assert calibration_path(workspace.models, space.id).exists()
    refused = satchel(workspace.folder, "calibrate", "--from-decisions", "--feedback")
    assert refused.returncode == 2


def test_a_split_of_decisions_needs_certified_products_and_freezes_them(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = market.workspace
    for number, shape in enumerate(SHAPES):
        market.certified(jpeg(shape, 7), f"M{number}")
    unknown = market.rejected(worn(20), Reason.NOT_IN_CATALOGUE)
    learn.learn_photos(workspace)
    refused = satchel(workspace.folder, "split", "real", "--from-decisions")
    assert refused.returncode == 2
    assert "expected 20 or more products" in refused.stderr
    monkeypatch.setattr(split_workflow, "FEWEST_CERTIFIED", 4)
    market.certified(worn(40), "M0")  # not taken yet
    made = satchel(workspace.folder, "split", "real", "--from-decisions", "--val", "0.2", "--json")
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert (answer["queries"], answer["unknown"]) == (4, 1)
    assert "2 photos of certified listings that the gallery has not taken" in made.stderr
    split = Split.load(workspace.split_path("real"))
    taken = {(one.code, one.sha256) for one in taken_photos(workspace.catalogue.engine)}
    assert set(split.queries) < taken  # curation keeps four of five
    assert split.unknown == (unknown.photos[0].sha256,)
    assert [len(split.answerable(part)) for part in PARTS] == [2, 1, 1]
    assert not set(split.queries) & set(split.searched("test"))


def test_real_queries_of_a_split_are_ranked_among_the_catalogues_photos(market: Market) -> None:
    """Their certified photos are in the gallery by then, and are passed over."""
    workspace = market.workspace
    for number, shape in enumerate(SHAPES):
        market.certified(jpeg(shape, 7), f"M{number}")
    learn.learn_photos(workspace)
    photos = split_workflow.labelled(
        workspace, split_workflow.workspace_photos(workspace), column=None
    )
    taken = [(one.code, one.sha256) for one in taken_photos(workspace.catalogue.engine)]
    options = SplitOptions(protocol="open", val=0.2, test=0.2)
    split = make_split(photos, options, queries=taken)
    part = SplitPart(workspace, split, split_workflow.workspace_photos(workspace), "test")
    assert set(part.queries) <= set(taken)
    assert not set(part.gallery) & set(taken)
    assert part.own is None
    ranked = rank_part(part, load_embedder(workspace, threads=1), progress=SILENT)
    assert len(ranked.ranks) == 1
    assert ranked.ranks[0] >= 1
