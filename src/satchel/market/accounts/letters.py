"""The e-mails about accounts, in English and Korean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from satchel.translations import DEFAULT, NAMES, translatable, translations

GREETING: Final = translatable("Hello %(name)s,")
CLOSING: Final = translatable("If this was not you, you need not do anything.")


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail of plain text to one address."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """An e-mail to be: English texts, to be translated.

    Attributes:
        unasked: whether somebody else may have caused it.
    """

    subject: str
    body: str
    unasked: bool = True


CONFIRM: Final = Template(
    translatable("Confirm your e-mail address"),
    translatable(
        "open this link to confirm your e-mail address, then log in. It counts for two days:"
    ),
)
TAKEN: Final = Template(
    translatable("You have an account already"),
    translatable(
        "somebody, probably you, has registered with your e-mail address, which has an account "
        "already. Log in with it, or choose a new password here:"
    ),
)
RESET: Final = Template(
    translatable("Choose a new password"),
    translatable("open this link to choose a new password. It counts once, for 30 minutes:"),
)
CHANGED: Final = Template(
    translatable("Your password was changed"),
    translatable(
        "your password was changed just now, and other devices were logged out. If this was not "
        "you, choose a new password at once:"
    ),
    unasked=False,
)
LINK: Final = Template(
    translatable("Log in with %(provider)s"),
    translatable(
        "open this link to log in with %(provider)s from now on. It counts once, for 30 minutes:"
    ),
)


def write(
    template: Template, to: str, *, name: str, locale: str, link: str, **values: str
) -> Letter:
    """Write an e-mail in a person's language.

    Args:
        link: what it asks to open.
        values: that its texts name.
    """
    say = translations(locale if locale in NAMES else DEFAULT).gettext
    parts = [say(GREETING) % {"name": name}, say(template.body) % values, link]
    if template.unasked:
        parts.append(say(CLOSING))
    return Letter(to, f"Satchel: {say(template.subject) % values}", "\n\n".join(parts) + "\n")
