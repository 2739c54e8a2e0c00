"""Saved searches: what accounts look for among the goods on sale, and are sent e-mails about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import Connection, Engine, delete, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import UnknownSearch, UsageError
from satchel.market.accounts.secret import derived, new_secret, same
from satchel.market.sale.shelf import Wanted
from satchel.market.sale.tables import SavedSearchRow
from satchel.translations import won

MAX_SEARCHES: Final = 50
"""Saved searches of one account, at most."""

MAX_NAME_CHARS: Final = 80
MAX_TOKEN_CHARS: Final = 90
UNSUBSCRIBE: Final = "unsubscribe"
"""Purpose of the signature in a link that stops e-mails."""

MOST_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that an account saved. Times are UTC, without a time zone.

    Attributes:
        mails: whether e-mails are sent.
        token: of the link that stops them: the id, signed.
        seen_until: goods that were offered later are new.
        mailed_at: when the last e-mail was sent.
    """

    id: int
    account: int
    name: str
    wanted: Wanted
    mails: bool
    token: str
    seen_until: datetime
    mailed_at: datetime | None
    created_at: datetime


class SavedSearches:
    """Saves, lists, renames and deletes searches. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, account: int, wanted: Wanted, name: str = "") -> SavedSearch:
        """Save a search; goods that come on sale from now on are new. Saved twice, it is one.

        Args:
            name: default, what is looked for.

        Raises:
            UsageError: there are too many, the name is too long, or it is for sold goods.
        """
        if wanted.sold:
            raise UsageError("expected a search of goods on sale; sold goods are not announced")
        called = checked_name(name) if name.strip() else title_of(wanted)
        with writing(self._engine) as connection, connection.begin():
            mine = searches_of(connection, account)
            for one in mine:
                if one.wanted == wanted:
                    return one
            if len(mine) >= MAX_SEARCHES:
                raise UsageError(
                    f"expected at most {MAX_SEARCHES} saved searches; delete one first"
                )
            row = {
                "account_id": account,
                "name": called,
                "wanted": asdict(wanted),
                "secret": new_secret(),
                "seen_until": now(),
            }
            number = inserted_id(connection, insert(SavedSearchRow).values(**row))
            return read_search(connection, number)

    def of(self, account: int) -> list[SavedSearch]:
        """Return the searches of an account, the last saved first."""
        with self._engine.connect() as connection:
            return searches_of(connection, account)

    def get(self, account: int, number: int) -> SavedSearch:
        """Return a search of an account.

        Raises:
            UnknownSearch: the account has no such search.
        """
        with self._engine.connect() as connection:
            found = read_search(connection, number)
        if found.account != account:
            raise _unknown(number)
        return found

    def rename(self, account: int, number: int, name: str) -> SavedSearch:
        """Give a search another name.

        Raises:
            UnknownSearch: the account has no such search.
            UsageError: the name is empty or too long.
        """
        return self._change(account, number, {"name": checked_name(name)})

    def set_mails(self, account: int, number: int, *, on: bool) -> SavedSearch:
        """Switch the e-mails of a search on or off; what came on sale meanwhile is not new.

        Raises:
            UnknownSearch: the account has no such search.
        """
        return self._change(account, number, {"mails": on, "seen_until": now()})

    def remove(self, account: int, number: int) -> None:
        """Delete a search.

        Raises:
            UnknownSearch: the account has no such search.
        """
        gone = delete(SavedSearchRow).where(*_own(account, number))
        with writing(self._engine) as connection, connection.begin():
            if not connection.execute(gone).rowcount:
                raise _unknown(number)

    def by_token(self, token: str) -> SavedSearch:
        """Return the search whose e-mails a link stops.

        Raises:
            UnknownSearch: the link was altered, or the search deleted.
        """
        with self._engine.connect() as connection:
            return _signed(connection, token)

    def unsubscribe(self, token: str) -> SavedSearch:
        """Stop the e-mails of a search by the link in one of them; the search stays.

        Raises:
            UnknownSearch: the link was altered, or the search deleted.
        """
        with writing(self._engine) as connection, connection.begin():
            found = _signed(connection, token)
            chosen = update(SavedSearchRow).where(SavedSearchRow.id == found.id)
            connection.execute(chosen.values(mails=False))
            return replace(found, mails=False)

    def _change(self, account: int, number: int, values: Mapping[str, Any]) -> SavedSearch:
        changed = update(SavedSearchRow).where(*_own(account, number)).values(**values)
        with writing(self._engine) as connection, connection.begin():
            if not connection.execute(changed).rowcount:
                raise _unknown(number)
            return read_search(connection, number)


def checked_name(name: str) -> str:
    """Return the name of a search without white space around it.

    Raises:
        UsageError: it is empty, too long or not to be printed.
    """
    text = name.strip()
    if not (0 < len(text) <= MAX_NAME_CHARS and text.isprintable()):
        raise UsageError(f"expected a name of 1 to {MAX_NAME_CHARS} printable characters")
    return text


def title_of(wanted: Wanted) -> str:
    """Name a search by what is looked for: `디올 · black · S · ≤ ₩2,000,000`; `*` for all goods."""
    parts = [wanted.text, *wanted.brand, *wanted.category, *wanted.colour, *wanted.grade]
    parts += wanted.codes
    if wanted.from_krw is not None:
        parts.append(f"≥ {won(wanted.from_krw)}")
    if wanted.to_krw is not None:
        parts.append(f"≤ {won(wanted.to_krw)}")
    return " · ".join(filter(None, parts))[:MAX_NAME_CHARS] or "*"


def address_of(wanted: Wanted) -> str:
    """Return the path of the page that shows what is looked for."""
    pairs: list[tuple[str, object]] = [("q", wanted.text)] if wanted.text else []
    for name in ("brand", "category", "grade", "colour"):
        pairs += [(name, value) for value in getattr(wanted, name)]
    pairs += [("code", code) for code in wanted.codes]
    for name in ("from_krw", "to_krw"):
        value = getattr(wanted, name)
        pairs += [] if value is None else [(name, value)]
    return f"/goods?{urlencode(pairs)}" if pairs else "/goods"


def read_search(connection: Connection, number: int) -> SavedSearch:
    """Return a search.

    Raises:
        UnknownSearch: there is none.
    """
    chosen = select(SavedSearchRow.__table__).where(SavedSearchRow.id == number)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise _unknown(number)
    return search_of(row)


def searches_of(connection: Connection, account: int) -> list[SavedSearch]:
    """Return the searches of an account, the last saved first."""
    chosen = (
        select(SavedSearchRow.__table__)
        .where(SavedSearchRow.account_id == account)
        .order_by(SavedSearchRow.id.desc())
    )
    return [search_of(row) for row in connection.execute(chosen)]


def search_of(row: Any) -> SavedSearch:
    """Convert a row of all columns."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.wanted.items()
    }
    return SavedSearch(
        id=row.id,
        account=row.account_id,
        name=row.name,
        wanted=Wanted(**given),
        mails=row.mails,
        token=f"{row.id}-{derived(row.secret, UNSUBSCRIBE)}",
        seen_until=row.seen_until,
        mailed_at=row.mailed_at,
        created_at=row.created_at,
    )


def _signed(connection: Connection, token: str) -> SavedSearch:
    number, _, _ = token.partition("-")
    if number.isascii() and number.isdecimal() and int(number) <= MOST_ID:
        found = read_search(connection, int(number))
        if same(token, found.token):
            return found
    raise UnknownSearch(
        "expected the whole link of an e-mail about a saved search, got another one; switch the "
        "e-mails off on the page of your account"
    )


def _own(account: int, number: int) -> tuple[Any, Any]:
    return SavedSearchRow.id == number, SavedSearchRow.account_id == account


def _unknown(number: int) -> UnknownSearch:
    return UnknownSearch(f"you have no saved search {number}; it may have been deleted")
