"""Ordering e-mails, in the transaction of what they are about.

A secret is made only as its e-mail is written: neither the table of jobs nor a log ever holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sqlalchemy import Connection, Engine, select

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.jobs.queue import enqueue
from satchel.jobs.records import Arguments, GiveUp, Lease
from satchel.market.accounts.letters import TEMPLATES, Letter, LetterKind, write
from satchel.market.accounts.tables import AccountRow
from satchel.market.accounts.tokens import issue

JOB: Final = "mail"
"""Kind of the jobs that send e-mails."""


class Outbox(Protocol):
    """Takes orders of e-mails."""

    def __call__(self, connection: Connection, kind: LetterKind, account: int, **kept: str) -> None:
        """Have an e-mail sent to an account.

        Args:
            connection: with a transaction that writes.
            kept: what the text names; of one with a secret, kept with that, too.
        """


class Jobs:
    """Leaves e-mails to `satchel worker`."""

    def __call__(self, connection: Connection, kind: LetterKind, account: int, **kept: str) -> None:
        """Have an e-mail sent to an account; see `Outbox`."""
        enqueue(connection, JOB, {"letter": kind.value, "account": account, "kept": kept})


class Direct:
    """Writes e-mails at once and hands them over.

    Args:
        url: of the server, without a slash at its end.
        send: must not wait.
    """

    def __init__(self, url: str, send: Callable[[Letter], None]) -> None:
        self._url = url
        self._send = send

    def __call__(self, connection: Connection, kind: LetterKind, account: int, **kept: str) -> None:
        """Have an e-mail sent to an account; see `Outbox`."""
        self._send(compose(connection, kind, account, url=self._url, kept=kept))


class MailHandler:
    """Handler of the jobs that `Jobs` adds."""

    def __init__(self, engine: Engine, url: str, send: Callable[[Letter], None]) -> None:
        self._engine = engine
        self._url = url
        self._send = send

    def run(self, _lease: Lease, arguments: Arguments) -> None:
        """Write an e-mail and send it; what an attempt before has sent counts no more.

        Raises:
            StorageError: it was not taken; it is to be sent again.
            GiveUp: the account is gone.
        """
        kind, account = LetterKind(arguments["letter"]), int(arguments["account"])
        with writing(self._engine) as connection, connection.begin():
            letter = compose(connection, kind, account, url=self._url, kept=arguments["kept"])
        self._send(letter)


def compose(
    connection: Connection, kind: LetterKind, account: int, *, url: str, kept: Mapping[str, str]
) -> Letter:
    """Write an e-mail to an account, with a secret of its own if its link needs one.

    Raises:
        GiveUp: the account is gone.
    """
    chosen = select(AccountRow.__table__).where(AccountRow.id == account)
    row = connection.execute(chosen.where(AccountRow.deleted_at.is_(None))).one_or_none()
    if row is None:
        raise GiveUp("the account was deleted")
    template, link = TEMPLATES[kind], f"{url}{TEMPLATES[kind].path}"
    if template.purpose is not None:
        link += f"?token={issue(connection, account, template.purpose, now(), **kept)}"
    to = row.email if template.to is None else kept[template.to]
    return write(template, to, name=row.name, locale=row.locale, link=link, values=kept)
