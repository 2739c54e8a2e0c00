"""Secrets that the server gives out: 256 random bits each, stored as SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

BYTES: Final = 32
PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""What `new_secret` makes."""


def new_secret() -> str:
    """Make a secret, as 43 characters that URLs and cookies take."""
    return secrets.token_urlsafe(BYTES)


def digest(secret: str) -> str:
    """Return what the database keeps of a secret: its SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def derived(secret: str, purpose: str) -> str:
    """Return a token that only who has the secret can make, and that does not reveal it."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(), expected.encode())
