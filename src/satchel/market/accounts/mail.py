"""Sending e-mails: by SMTP, or to the console while trying out."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from typing import Final, Protocol

from satchel.errors import StorageError
from satchel.market.accounts.letters import Letter
from satchel.market_settings import Mail

PASSWORD: Final = "SATCHEL_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
TIMEOUT_S: Final = 30
UNFOLDED: Final = SMTP.clone(max_line_length=998, cte_type="7bit")
"""Headers in one line, up to the limit of RFC 5322: a long link that is folded becomes encoded
words, which mail programs do not take for a link."""

log = logging.getLogger(__name__)


class Mailer(Protocol):
    """Sends an e-mail, or raises a StorageError."""

    def __call__(self, letter: Letter) -> None:
        """Send one e-mail."""


class ConsoleMailer:
    """Prints e-mails on stderr."""

    def __call__(self, letter: Letter) -> None:
        """Print one e-mail."""
        print(f"\nTo: {letter.to}\nSubject: {letter.subject}\n\n{letter.text}", file=sys.stderr)


class SmtpMailer:
    """Sends e-mails by SMTP. The server's certificate is checked."""

    def __init__(self, settings: Mail) -> None:
        self._settings = settings

    def __call__(self, letter: Letter) -> None:
        """Send one e-mail.

        Raises:
            StorageError: the server cannot be reached, or refuses.
        """
        import aiosmtplib  # noqa: PLC0415 - of the extra market

        settings = self._settings
        sending = aiosmtplib.send(
            message(letter, settings.sender).as_bytes(),
            sender=parseaddr(settings.sender)[1],
            recipients=[letter.to],
            hostname=settings.host,
            port=settings.port,
            username=settings.user or None,
            password=os.environ.get(PASSWORD) if settings.user else None,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            timeout=TIMEOUT_S,
        )
        try:
            asyncio.run(sending)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise StorageError(
                f"the mail server {settings.host}:{settings.port} did not take an e-mail: {error}; "
                "check [market.mail] in satchel.toml"
            ) from None


def message(letter: Letter, sender: str) -> EmailMessage:
    """Return an e-mail as it is sent; line breaks in its headers are refused (`EmailMessage`)."""
    made = EmailMessage(policy=UNFOLDED)
    made["From"] = sender
    made["To"] = letter.to
    made["Subject"] = letter.subject
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid(domain=letter.to.rpartition("@")[2])
    made["Auto-Submitted"] = "auto-generated"  # no out-of-office replies (RFC 3834)
    if letter.unsubscribe is not None:
        made["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        if letter.unsubscribe.startswith("https:"):  # RFC 8058 allows no other
            made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(letter.text)
    return made


def mailer_of(settings: Mail) -> Mailer:
    """Return what sends e-mails by these settings."""
    return SmtpMailer(settings) if settings.by == "smtp" else ConsoleMailer()


class Postbox:
    """Sends e-mails in a thread of its own: no answer waits for that."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")

    def __call__(self, letter: Letter) -> None:
        """Send an e-mail soon."""
        self._thread.submit(self._send, letter)

    def close(self) -> None:
        """Send what waits, then stop."""
        self._thread.shutdown()

    def _send(self, letter: Letter) -> None:
        try:
            self._mailer(letter)
        except StorageError as error:
            log.error("%s", error)
