"""E-mails about goods that are new among a saved search: one an hour for each search, at most.

When a good comes on sale, one job finds the searches that it fits and adds a job for each of them,
which waits until the hour since the last e-mail is over: what comes on sale until then is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import UnknownSearch
from satchel.jobs.queue import enqueue
from satchel.jobs.records import Arguments, GiveUp, Lease
from satchel.market.accounts.letters import GREETING, Letter
from satchel.market.accounts.tables import AccountRow
from satchel.market.listings.changes import read_listing
from satchel.market.sale.searches import SavedSearch, address_of, read_search, search_of
from satchel.market.sale.shelf import NewGood, Shelf
from satchel.market.sale.tables import SavedSearchRow
from satchel.translations import DEFAULT, NAMES, translatable, translations, won

MATCH: Final = "match_searches"
"""Kind of the job that finds the saved searches that a good fits."""

MAIL: Final = "search_mail"
"""Kind of the job that sends the e-mail about one saved search."""

EVERY: Final = timedelta(hours=1)
MOST_NAMED: Final = 20
"""Goods that an e-mail names; the rest is counted."""

SUBJECT: Final = translatable("New on sale: %(search)s")
BODY: Final = translatable("these goods came on sale, which fit your saved search “%(search)s”:")
MORE: Final = translatable("and %(count)s more.")
ALL: Final = translatable("All goods of this search:")
STOP: Final = translatable("To get no more e-mails about this search:")


class SearchMails:
    """Handlers of both jobs.

    Args:
        url: of the server, without a slash at its end.
        send: sends an e-mail, or raises a StorageError.
    """

    def __init__(
        self, engine: Engine, shelf: Shelf, url: str, send: Callable[[Letter], None]
    ) -> None:
        self._engine = engine
        self._shelf = shelf
        self._url = url
        self._send = send

    def match(self, _lease: Lease, arguments: Arguments) -> Arguments:
        """Add a job for each saved search that a good fits."""
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, str(arguments["listing"]))
            found = [
                search
                for search in _with_mails(connection, without=listing.seller)
                if self._shelf.fits(connection, search.wanted, listing.id)
            ]
            for search in found:
                _add_mail(connection, search)
        return {"searches": len(found)}

    def mail(self, _lease: Lease, arguments: Arguments) -> Arguments:
        """Send one e-mail about all goods that are new, unless the last one is too recent.

        The hour begins before the e-mail is sent, and its goods stay new until it was: whatever
        happens in between, none is forgotten, and no second e-mail comes within the hour.

        Raises:
            GiveUp: the search or its account is gone.
            StorageError: it was not taken; the next attempt waits for the end of the hour.
        """
        with writing(self._engine) as connection, connection.begin():
            try:
                search = read_search(connection, int(arguments["search"]))
            except UnknownSearch as error:
                raise GiveUp(str(error)) from None
            if not search.mails:
                return {"goods": 0}
            if _wait(search):
                _add_mail(connection, search)
                return {"goods": 0}
            goods = self._shelf.offered_since(
                connection, search.wanted, search.seen_until, without=search.account
            )
            if not goods:
                return {"goods": 0}
            letter = self._write(connection, search, goods)
            own = update(SavedSearchRow).where(SavedSearchRow.id == search.id)
            connection.execute(own.values(mailed_at=now()))
        self._send(letter)
        with writing(self._engine) as connection, connection.begin():
            connection.execute(own.values(seen_until=goods[0].offered_at))
        return {"goods": len(goods)}

    def _write(
        self, connection: Connection, search: SavedSearch, goods: Sequence[NewGood]
    ) -> Letter:
        chosen = select(AccountRow.__table__).where(AccountRow.id == search.account)
        active = AccountRow.deleted_at.is_(None), AccountRow.disabled_at.is_(None)
        row = connection.execute(chosen.where(*active)).one_or_none()
        if row is None:
            raise GiveUp("the account was deleted or switched off")
        say = translations(row.locale if row.locale in NAMES else DEFAULT).gettext
        named = {"search": search.name}
        stop = f"{self._url}/unsubscribe?token={search.token}"
        parts = [say(GREETING) % {"name": row.name}, say(BODY) % named]
        parts += [
            f"{one.title} · {one.grade} · {won(one.price_krw)}\n{self._url}/goods/{one.public_id}"
            for one in goods[:MOST_NAMED]
        ]
        if len(goods) > MOST_NAMED:
            parts.append(say(MORE) % {"count": len(goods) - MOST_NAMED})
        parts += [f"{say(ALL)}\n{self._url}{address_of(search.wanted)}", f"{say(STOP)}\n{stop}"]
        subject = f"Satchel: {say(SUBJECT) % named}"
        return Letter(row.email, subject, "\n\n".join(parts) + "\n", unsubscribe=stop)


def _with_mails(connection: Connection, *, without: int) -> list[SavedSearch]:
    """All searches with e-mails but those of an account."""
    chosen = select(SavedSearchRow.__table__).where(
        SavedSearchRow.mails, SavedSearchRow.account_id != without
    )
    return [search_of(row) for row in connection.execute(chosen)]


def _add_mail(connection: Connection, search: SavedSearch) -> None:
    """Add the job of a search, once the hour since its last e-mail is over; one waits at a time."""
    key = f"{MAIL}:{search.id}"
    enqueue(connection, MAIL, {"search": search.id}, unique_key=key, delay=_wait(search))


def _wait(search: SavedSearch) -> timedelta:
    """How long no e-mail may be sent about a search."""
    if search.mailed_at is None:
        return timedelta(0)
    return max(search.mailed_at + EVERY - now(), timedelta(0))
