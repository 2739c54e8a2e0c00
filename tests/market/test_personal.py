from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from market.goods import Market
from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import CatalogueError, StateConflict
from satchel.market.accounts.tables import AccountRow, SessionRow
from satchel.market.listings.states import State, StepName
from satchel.market.privacy.personal import OF_ACCOUNT, delete_account, export_data
from satchel.market.sale.shelf import Wanted


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market.make(tmp_path)


def exported(market: Market, who: str) -> zipfile.ZipFile:
    out = BytesIO()
    account = market.actors[who].account
    assert account is not None
    export_data(market.goods.queue._engine, market.photos.store, account, out)
    return zipfile.ZipFile(out)


def deleted(market: Market, who: str) -> list[str]:
    account = market.actors[who].account
    assert account is not None
    outbox = market.goods.listings.outbox
    return delete_account(market.goods.queue._engine, account, outbox=outbox)


def session(market: Market) -> None:
    with writing(market.goods.queue._engine) as connection, connection.begin():
        times = dict.fromkeys(("created_at", "last_seen_at", "expires_at"), now())
        row = {"token_hash": "secret", "account_id": 1, "user_agent": "a", "address": "b"}
        connection.execute(insert(SessionRow).values(**row, **times))


def test_an_archive_has_all_that_is_theirs_and_no_secret(market: Market) -> None:
    session(market)
    listing = market.on_sale()
    archive = exported(market, "seller")
    data = json.loads(archive.read("data.json"))
    assert set(data) == {*OF_ACCOUNT, "readings"}
    assert data["account"][0]["email"] == "seller@example.com"
    assert data["listings"][0]["text"] == "가죽 상태 좋음"
    assert "secret" not in archive.read("data.json").decode()
    sha256 = listing.photos[0].sha256
    assert archive.read(f"photos/{listing.public_id}/{sha256}.jpg") == market.photos.read(sha256)
    other = json.loads(exported(market, "buyer").read("data.json"))
    assert other["listings"] == []
    assert len(json.loads(exported(market, "expert").read("data.json"))["opinions"]) == 1


def test_a_deletion_leaves_an_anonymous_record(market: Market) -> None:
    session(market)
    sold, draft = market.on_sale(), market.draft(seed=3)
    removed = deleted(market, "seller")
    assert removed == [photo.sha256 for photo in draft.photos]
    engine = market.goods.queue._engine
    with engine.connect() as connection:
        row = connection.execute(select(AccountRow).where(AccountRow.id == 1)).one()
        assert connection.execute(select(SessionRow)).all() == []
    assert (row.name, row.password_hash, row.email) == ("", None, "deleted-1@deleted.invalid")
    kept = market.goods.listings.get(sold.public_id)
    assert (kept.state, kept.text, kept.code) == (State.WITHDRAWN, "", "M1")
    assert kept.photos == sold.photos
    emptied = market.goods.listings.get(draft.public_id)
    assert (emptied.photos, emptied.text) == ((), "")
    assert market.goods.shelf.find(Wanted()).total == 0
    certificate = market.goods.decisions.certificate_of(kept)
    assert certificate is not None
    assert certificate.holds


def test_nobody_is_left_waiting(market: Market) -> None:
    listing = market.submitted()
    with pytest.raises(StateConflict, match="is submitted"):
        deleted(market, "seller")
    market.step(listing, StepName.WITHDRAW, "seller")
    other = market.on_sale()
    market.goods.reservations.reserve(other.public_id, market.actors["buyer"])
    for who in ("seller", "buyer"):
        with pytest.raises(StateConflict, match="reserved"):
            deleted(market, who)
    with pytest.raises(StateConflict, match="only admin"):
        deleted(market, "admin")


def test_a_lost_file_does_not_cost_the_archive(market: Market) -> None:
    listing = market.draft()
    market.photos.store.remove(listing.photos[0].sha256)
    assert exported(market, "seller").namelist() == ["data.json"]
    with pytest.raises(CatalogueError):
        market.photos.read(listing.photos[0].sha256)
