"""Sessions: who is logged in from which browser, for how long, and how that ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.market.accounts.audit import record
from satchel.market.accounts.records import Account, Session
from satchel.market.accounts.secret import PATTERN, digest, new_secret
from satchel.market.accounts.tables import AccountRow, SessionRow

TOUCHED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use is known: a write for every request would be too many."""

MAX_SESSIONS: Final = 50
"""Sessions of one account, at most; then the one that was used longest ago ends."""

MAX_AGENT_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: without use, and at most."""

    idle: timedelta = timedelta(hours=72)
    absolute: timedelta = timedelta(days=30)


class SessionStore:
    """Begins, finds and ends sessions."""

    def __init__(
        self, engine: Engine, lifetimes: Lifetimes, clock: Callable[[], datetime] = now
    ) -> None:
        self._engine = engine
        self._lifetimes = lifetimes
        self._clock = clock

    def begin(
        self,
        account_id: int,
        *,
        way: str,
        user_agent: str = "",
        address: str = "",
        replaced: str | None = None,
    ) -> str:
        """Begin a session and return its token, always a new one (against session fixation).

        Args:
            way: how the person has shown who they are: password, passkey, kakao, naver.
            replaced: token of the session that the browser had before, which ends.
        """
        token, time = new_secret(), self._clock()
        row = {
            "token_hash": digest(token),
            "account_id": account_id,
            "created_at": time,
            "last_seen_at": time,
            "expires_at": time + self._lifetimes.absolute,
            "user_agent": user_agent[:MAX_AGENT_CHARS],
            "address": address,
        }
        with writing(self._engine) as connection, connection.begin():
            if replaced is not None:
                _end(connection, time, SessionRow.token_hash == digest(replaced))
            connection.execute(insert(SessionRow).values(**row))
            self._end_beyond_most(connection, account_id)
            record(connection, "session.begin", by=account_id, address=address, way=way)
        return token

    def find(self, token: str) -> tuple[Session, Account] | None:
        """Return the session of a token and its account; None where it has ended, or never was."""
        if not PATTERN.fullmatch(token):
            return None
        chosen = self._standing(SessionRow.token_hash == digest(token))
        with self._engine.connect() as connection:
            row = connection.execute(chosen).one_or_none()
            if row is None:
                return None
            account = connection.execute(
                select(AccountRow.__table__).where(
                    AccountRow.id == row.account_id,
                    AccountRow.disabled_at.is_(None),
                    AccountRow.deleted_at.is_(None),
                )
            ).one_or_none()
        if account is None:
            return None
        if self._clock() - row.last_seen_at >= TOUCHED_EVERY:
            self._touch(row.id)
        return _session(row), Account.of(account)

    def of(self, account_id: int) -> list[Session]:
        """Return the sessions of an account that have not ended, the last used one first."""
        chosen = self._standing(SessionRow.account_id == account_id)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(SessionRow.last_seen_at.desc()))
            return [_session(row) for row in rows]

    def end(self, account_id: int, session_id: int, *, address: str = "") -> bool:
        """End one session of an account; whether it had one with this id that stood."""
        with writing(self._engine) as connection, connection.begin():
            ended = _end(
                connection,
                self._clock(),
                (SessionRow.id == session_id) & (SessionRow.account_id == account_id),
            )
            if ended:
                record(
                    connection,
                    "session.end",
                    by=account_id,
                    subject=f"session:{session_id}",
                    address=address,
                )
        return bool(ended)

    def end_others(self, account_id: int, kept: int | None, *, address: str = "") -> int:
        """End all sessions of an account but one; return how many."""
        with writing(self._engine) as connection, connection.begin():
            ended = end_sessions(connection, account_id, but=kept)
            record(connection, "session.end_others", by=account_id, address=address, ended=ended)
        return ended

    def _touch(self, session_id: int) -> None:
        with writing(self._engine) as connection, connection.begin():
            connection.execute(
                update(SessionRow)
                .where(SessionRow.id == session_id)
                .values(last_seen_at=self._clock())
            )

    def _standing(self, where: Any) -> Any:
        time = self._clock()
        return select(SessionRow.__table__).where(
            where,
            SessionRow.ended_at.is_(None),
            SessionRow.expires_at > time,
            SessionRow.last_seen_at > time - self._lifetimes.idle,
        )

    def _end_beyond_most(self, connection: Connection, account_id: int) -> None:
        chosen = select(SessionRow.id).where(
            SessionRow.account_id == account_id, SessionRow.ended_at.is_(None)
        )
        latest = chosen.order_by(SessionRow.last_seen_at.desc(), SessionRow.id.desc())
        beyond = list(connection.scalars(latest.offset(MAX_SESSIONS).limit(MAX_SESSIONS)))
        _end(connection, self._clock(), SessionRow.id.in_(beyond))


def end_sessions(connection: Connection, account_id: int, *, but: int | None = None) -> int:
    """End the sessions of an account, all but one where `but` names it; return how many."""
    return _end(
        connection, now(), (SessionRow.account_id == account_id) & (SessionRow.id != (but or 0))
    )


def _end(connection: Connection, time: datetime, where: Any) -> int:
    done = connection.execute(
        update(SessionRow).where(where, SessionRow.ended_at.is_(None)).values(ended_at=time)
    )
    return done.rowcount


def _session(row: Any) -> Session:
    return Session(
        row.id, row.created_at, row.last_seen_at, row.expires_at, row.user_agent, row.address
    )
