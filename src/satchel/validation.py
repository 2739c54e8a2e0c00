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
    """Return an error's message as one line; of several validation errors, the first.

    Of an error of the system only what is wrong is returned: messages name the path themselves.
    """
    if isinstance(error, ValidationError):
        text = _first_fault(error)
    elif isinstance(error, OSError) and error.strerror:
        text = _lower_first(error.strerror)
    else:
        text = str(error)
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if not key:  # of several values together
        return first["msg"].removeprefix("Value error, ")
    unknown = first["type"] == "extra_forbidden"
    fault = "there is no such setting" if unknown else _lower_first(first["msg"])
    return f"{key}: {fault.removeprefix('value error, ')} (got {first['input']!r})"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
