"""Strict base class of records and settings, and their validation errors as one line."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_SHOWN: Final = 300
"""Characters of a reason, at most: some libraries repeat the whole file."""


class StrictModel(BaseModel):
    """Base of settings and of records in files: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def reason(error: Exception) -> str:
    """Return an error's message as one line; of several validation errors, the first."""
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        text = f"{key}: {first['msg']} (got {first['input']!r})" if key else first["msg"]
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
