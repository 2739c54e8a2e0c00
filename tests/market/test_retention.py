"""What is over its time is deleted; what a certificate names stays."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DatabaseError

from market.goods import Market
from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.market.accounts.audit import record
from satchel.market.accounts.tables import AccountTokenRow, AuditRow, SessionRow
from satchel.market.desk.records import Reason
from satchel.market.listings.fields import ListingFields
from satchel.market.listings.states import State, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.privacy.retention import Removed, remove_old
from satchel.market_settings import Keep

KEEP = Keep(draft_days=10, closed_days=20, log_in_days=30, audit_days=40)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market.make(tmp_path)


def after(market: Market, days: float) -> Removed:
    """What is deleted on the day that comes then."""
    engine, outbox = market.goods.queue._engine, market.goods.listings.outbox
    return remove_old(engine, KEEP, now() + timedelta(days=days), outbox=outbox)


def test_a_draft_is_emptied_once_its_time_is_over(market: Market) -> None:
    draft, submitted = market.draft(), market.submitted()
    assert after(market, 9.9).drafts == 0
    removed = after(market, 10.1)
    assert (removed.drafts, list(removed.photos)) == (1, [draft.photos[0].sha256])
    gone = market.goods.listings.get(draft.public_id)
    assert (gone.state, gone.text, gone.photos) == (State.WITHDRAWN, "", ())
    assert market.goods.listings.get(submitted.public_id) == submitted
    assert after(market, 10.1).drafts == 0


def test_a_change_lets_a_draft_s_time_begin_anew(market: Market) -> None:
    draft = market.draft()
    with writing(market.goods.queue._engine) as connection, connection.begin():
        old = now() - timedelta(days=11)
        connection.execute(update(ListingRow).values(changed_at=old))
    market.goods.listings.change(draft.public_id, ListingFields(size="30"), market.actors["seller"])
    assert after(market, 1).drafts == 0


def test_what_was_rejected_or_withdrawn_loses_photos_and_texts(market: Market) -> None:
    rejected, withdrawn = market.submitted(), market.draft(seed=3)
    expert = market.actors["expert"]
    market.goods.queue.claim(rejected.public_id, expert)
    market.goods.decisions.reject(rejected.public_id, Reason.COUNTERFEIT, expert, seconds=1)
    market.step(withdrawn, StepName.WITHDRAW, "seller")
    assert after(market, 19.9).closed == 0
    assert after(market, 20.1).closed == 2
    for listing, state in ((rejected, State.REJECTED), (withdrawn, State.WITHDRAWN)):
        kept = market.goods.listings.get(listing.public_id)
        assert (kept.state, kept.text, kept.photos) == (state, "", ())
    assert after(market, 20.1).closed == 0


def test_what_was_certified_keeps_what_its_certificate_names(market: Market) -> None:
    certified = market.certified()
    market.step(certified, StepName.WITHDRAW, "seller")
    before = market.goods.listings.get(certified.public_id)
    assert before.text
    removed = after(market, 20.1)
    assert (removed.closed, list(removed.photos)) == (1, [])
    kept = market.goods.listings.get(certified.public_id)
    assert (kept.photos, kept.code, kept.grade) == (before.photos, before.code, before.grade)
    assert (kept.text, kept.defects) == ("", before.defects)
    assert after(market, 1_000).closed == 0


def test_old_log_ins_and_secrets_go_and_others_stay(market: Market) -> None:
    engine, time = market.goods.queue._engine, now()
    with writing(engine) as connection, connection.begin():
        for name, ended, expires in (
            ("ended", time, time + timedelta(days=365)),
            ("expired", None, time),
            ("stands", None, time + timedelta(days=365)),
        ):
            row = {"token_hash": name, "account_id": 1, "user_agent": "", "address": ""}
            times = {"created_at": time, "last_seen_at": time, "expires_at": expires}
            connection.execute(insert(SessionRow).values(**row, **times, ended_at=ended))
            secret = {"token_hash": name, "account_id": 1, "purpose": "reset", "details": {}}
            connection.execute(
                insert(AccountTokenRow).values(**secret, expires_at=expires, used_at=ended)
            )
    assert after(market, 29.9).sessions == 0
    removed = after(market, 30.1)
    assert (removed.sessions, removed.tokens) == (2, 2)
    with engine.connect() as connection:
        assert list(connection.scalars(select(SessionRow.token_hash))) == ["stands"]
        assert list(connection.scalars(select(AccountTokenRow.token_hash))) == ["stands"]


def test_the_audit_log_says_what_was_deleted_of_it_and_stays_closed(market: Market) -> None:
    engine = market.goods.queue._engine
    with writing(engine) as connection, connection.begin():
        for number in range(3):
            record(connection, f"test.{number}")
    assert after(market, 39.9).audit == 0
    assert after(market, 40.1).audit == 3
    with engine.connect() as connection:
        rows = connection.execute(select(AuditRow.action, AuditRow.details)).all()
    assert [tuple(row) for row in rows] == [("audit.expire", {"deleted": 3})]
    with (
        writing(engine) as connection,
        pytest.raises(DatabaseError, match="append-only"),
        connection.begin(),
    ):
        connection.execute(delete(AuditRow))


def test_a_deletion_that_fails_leaves_the_audit_log_closed(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = market.goods.queue._engine
    with writing(engine) as connection, connection.begin():
        record(connection, "test")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr("satchel.market.privacy.retention.record", fail)
    with pytest.raises(RuntimeError):
        after(market, 41)
    monkeypatch.undo()
    with (
        writing(engine) as connection,
        pytest.raises(DatabaseError, match="append-only"),
        connection.begin(),
    ):
        connection.execute(delete(AuditRow))
    with engine.connect() as connection:
        assert len(connection.execute(select(AuditRow.id)).all()) == 1
