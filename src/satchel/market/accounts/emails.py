"""E-mail addresses: checked and written one way."""

from __future__ import annotations

import re
from typing import Final

from satchel.errors import AccountError

MAX_CHARS: Final = 254
LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def normal_email(text: str) -> str:
    """Return an address in lower case, its domain in ASCII.

    One that differs in case alone is taken for the same person's: so it is everywhere but in theory
    (RFC 5321, section 2.4), and look-alike addresses help nobody but impostors.

    Raises:
        AccountError: it is none.
    """
    local, _, domain = text.strip().lower().rpartition("@")
    try:
        name = domain.encode("idna").decode()
    except UnicodeError:
        name = ""
    address = f"{local}@{name}"
    if not (LOCAL.fullmatch(local) and DOMAIN.fullmatch(name)) or len(address) > MAX_CHARS:
        raise AccountError(
            f"expected an e-mail address such as name@example.com, got {text[:80]!r}", "email"
        )
    return address
