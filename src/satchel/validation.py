"""Strict base class of records and settings, and their validation errors as one line."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_SHOWN: Final = 300
"""Characters of a reason, at most: some libraries repeat the whole file."""


class StrictModel(BaseModel):
    """Base of settings and of records in files: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def reason(error: Exception, model: type[BaseModel] | None = None) -> str:
    """Return an error's message as one line; of several validation errors, the first.

    Of an error of the system only what is wrong is returned: messages name the path themselves.

    Args:
        model: what was validated; with it, a key that does not exist is answered with the one most
            like it.
    """
    if isinstance(error, ValidationError):
        text = _first_fault(error, model)
    elif isinstance(error, OSError) and error.strerror:
        text = _lower_first(error.strerror)
    else:
        text = str(error)
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _first_fault(error: ValidationError, model: type[BaseModel] | None) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if not key:  # of several values together
        return first["msg"].removeprefix("Value error, ")
    unknown = first["type"] == "extra_forbidden"
    if unknown:
        fault = f"there is no such setting{_did_you_mean(first['loc'], model)}"
    else:
        fault = _lower_first(first["msg"])
    return f"{key}: {fault.removeprefix('value error, ')} (got {first['input']!r})"


def _did_you_mean(path: Sequence[int | str], model: type[BaseModel] | None) -> str:
    """Name the key most like the last one of a path; nothing, where none is like it."""
    for key in path[:-1]:
        field = model.model_fields.get(str(key)) if model else None
        kind = field.annotation if field else None
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    closest = get_close_matches(str(path[-1]), model.model_fields if model else (), 1)
    return f", did you mean {closest[0]}?" if closest else ""


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
