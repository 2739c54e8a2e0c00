"""Strict records of files and settings, and what is wrong with one, in one line."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_SHOWN: Final = 300
"""Characters of a reason, at most: some libraries repeat the whole file."""


class StrictModel(BaseModel):
    """Base of settings and of records in files: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def reason(error: Exception) -> str:
    """Say what an error says, in one line; of the faults that validation finds, the first."""
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        text = f"{key}: {first['msg']} (got {first['input']!r})" if key else first["msg"]
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
