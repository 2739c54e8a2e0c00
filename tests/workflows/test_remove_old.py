"""The daily job that deletes what is over its time, with its files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Event

from sqlalchemy import update

from conftest import draw
from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.images import encode_jpeg
from satchel.jobs.records import JobState
from satchel.jobs.worker import Worker
from satchel.market.goods import Goods
from satchel.market.listings.states import Actor
from satchel.market.listings.tables import ListingRow
from satchel.market.privacy.retention import REMOVE_OLD
from satchel.workflows.jobs import _photos, begin_removing, handlers_of
from satchel.workspace import Workspace
from support.market import make_account, with_market


def test_it_removes_files_and_comes_back_tomorrow(tmp_path: Path) -> None:
    workspace = with_market(Workspace.create(tmp_path / "w"))
    engine = workspace.catalogue.engine
    seller = Actor(make_account(workspace, "mina@example.com").id)
    listings = Goods.of(engine, workspace.catalogue.brands).listings
    listing = listings.create(seller).public_id
    data = encode_jpeg(draw("disc", 3), 90)
    photo = _photos(workspace).add(listing, "front-01", data, seller).photos[0]
    with writing(engine) as connection, connection.begin():
        connection.execute(update(ListingRow).values(changed_at=now() - timedelta(days=181)))
    begin_removing(workspace)
    begin_removing(workspace)  # as the worker does every hour
    Worker(engine, handlers_of(workspace)).run(Event().is_set, once=True)
    assert not workspace.market_photos.path(photo.sha256).exists()
    done, tomorrow = workspace.jobs.jobs(kind=REMOVE_OLD)[::-1]
    assert (done.state, done.result) == (
        JobState.DONE,
        {"drafts": 1, "closed": 0, "photos": 1, "sessions": 0, "tokens": 0, "audit": 0},
    )
    assert tomorrow.state is JobState.WAITING
    assert timedelta(hours=23) < tomorrow.due_at - now() <= timedelta(days=1)
    workspace.catalogue.close()


def test_without_a_market_there_is_nothing_to_remove(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w")
    begin_removing(workspace)
    assert workspace.jobs.jobs() == []
    workspace.catalogue.close()
