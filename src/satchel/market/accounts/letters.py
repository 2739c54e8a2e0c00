"""The e-mails about accounts, in English and Korean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from satchel.market.accounts.tokens import Purpose
from satchel.translations import DEFAULT, NAMES, translatable, translations

GREETING: Final = translatable("Hello %(name)s,")
CLOSING: Final = translatable("If this was not you, you need not do anything.")


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail of plain text to one address.

    Attributes:
        unsubscribe: address of the page that stops such e-mails; None where none is needed.
    """

    to: str
    subject: str
    text: str
    unsubscribe: str | None = None


class LetterKind(StrEnum):
    """What an e-mail is about."""

    CONFIRM = "confirm"
    TAKEN = "taken"
    RESET = "reset"
    CHANGED = "changed"
    LINK = "link"
    ADDED = "added"
    EMAIL = "email"
    MOVING = "moving"


@dataclass(frozen=True, slots=True)
class Template:
    """An e-mail to be: English texts, to be translated.

    Attributes:
        path: of the page that it asks to open.
        purpose: of the secret that the link carries; None without one.
        unasked: whether somebody else may have caused it.
        to: what it names that is the address to send it to; None: the account's own address.
    """

    subject: str
    body: str
    path: str
    purpose: Purpose | None = None
    unasked: bool = True
    to: str | None = None


TEMPLATES: Final[Mapping[LetterKind, Template]] = {
    LetterKind.CONFIRM: Template(
        translatable("Confirm your e-mail address"),
        translatable(
            "open this link to confirm your e-mail address, then log in. It counts for two days:"
        ),
        "/confirm",
        Purpose.CONFIRM,
    ),
    LetterKind.TAKEN: Template(
        translatable("You have an account already"),
        translatable(
            "somebody, probably you, has registered with your e-mail address, which has an "
            "account already. Log in with it, or choose a new password here:"
        ),
        "/forgotten",
    ),
    LetterKind.RESET: Template(
        translatable("Choose a new password"),
        translatable("open this link to choose a new password. It counts once, for 30 minutes:"),
        "/reset",
        Purpose.RESET,
    ),
    LetterKind.CHANGED: Template(
        translatable("Your password was changed"),
        translatable(
            "your password was changed just now, and other devices were logged out. If this was "
            "not you, choose a new password at once:"
        ),
        "/forgotten",
        unasked=False,
    ),
    LetterKind.LINK: Template(
        translatable("Log in with %(provider)s"),
        translatable(
            "open this link to log in with %(provider)s from now on. It counts once, for 30 "
            "minutes:"
        ),
        "/link",
        Purpose.LINK,
    ),
    LetterKind.ADDED: Template(
        translatable("There is a new way to log in to your account"),
        translatable(
            "a passkey, or the log-in by another service, was added to your account just now. If "
            "this was not you, remove it at once, and change your password:"
        ),
        "/account",
        unasked=False,
    ),
    LetterKind.EMAIL: Template(
        translatable("Confirm your new e-mail address"),
        translatable(
            "open this link to use this e-mail address for your account from now on. It counts "
            "once, for 30 minutes:"
        ),
        "/email",
        Purpose.EMAIL,
        to="email",
    ),
    LetterKind.MOVING: Template(
        translatable("Your e-mail address is to be changed"),
        translatable(
            "somebody who is logged in to your account asked to use %(email)s for it in place of "
            "this address. Until that is confirmed there, this one counts. If this was not you, "
            "choose a new password at once, which stops it:"
        ),
        "/forgotten",
        unasked=False,
    ),
}


def write(
    template: Template, to: str, *, name: str, locale: str, link: str, values: Mapping[str, str]
) -> Letter:
    """Write an e-mail in a person's language.

    Args:
        values: that its texts name.
    """
    say = translations(locale if locale in NAMES else DEFAULT).gettext
    parts = [say(GREETING) % {"name": name}, say(template.body) % values, link]
    if template.unasked:
        parts.append(say(CLOSING))
    return Letter(to, f"Satchel: {say(template.subject) % values}", "\n\n".join(parts) + "\n")
