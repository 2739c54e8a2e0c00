"""Registry of the served encoder: the built-in one, or one that was promoted.

`models/serving.json` names it, and the one before it, so that a promotion can be rolled back. The
file is replaced atomically: a reader gets the old model or the new one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from satchel.encode.card import BUILTIN, LITE
from satchel.errors import EncoderError, UsageError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

FILE: Final = "serving.json"
CARD: Final = "card.json"
BUILTIN_NAME: Final = ""
"""Name of the built-in encoder where a model's name is expected."""

BUILTINS: Final = {path.stem: path for path in (BUILTIN, LITE)}
"""Cards of the encoders that Satchel carries, by name: the built-in one and the light one."""

_NAME: Final = re.compile(r"[\w-][\w.-]{0,120}")


class Serving(StrictModel):
    """History of the served models; the last is served now."""

    history: tuple[str, ...] = (BUILTIN_NAME,)

    @property
    def name(self) -> str:
        """The model that is served."""
        return self.history[-1]


def read_serving(models: Path) -> Serving:
    """Read what is served; the built-in encoder where nothing was ever promoted.

    Raises:
        EncoderError: the file is damaged or names something that is no model's name.
    """
    path = models / FILE
    try:
        serving = Serving.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Serving()
    except (OSError, ValidationError) as error:
        raise EncoderError(
            f"{path} does not say which model is served: {reason(error)}; delete "
            "it to go back to the built-in one"
        ) from None
    if not serving.history or any(name and not _NAME.fullmatch(name) for name in serving.history):
        raise EncoderError(f"{path} names no model; delete it to go back to the built-in one")
    return serving


def serving_card(models: Path) -> Path:
    """Path of the card of the served encoder."""
    name = read_serving(models).name
    return BUILTINS.get(name or BUILTIN.stem, models / name / CARD)


def serve_model(models: Path, name: str) -> None:
    """Serve with this model from now on."""
    history = (*read_serving(models).history, name)
    _write(models, Serving(history=history[-20:]))


def roll_back(models: Path) -> str:
    """Roll back to the model that was served before; return its name.

    Raises:
        UsageError: there is none before it.
    """
    history = read_serving(models).history
    if len(history) < 2:
        raise UsageError("no model was promoted before this one; there is nothing to go back to")
    _write(models, Serving(history=history[:-1]))
    return history[-2]


def _write(models: Path, serving: Serving) -> None:
    models.mkdir(parents=True, exist_ok=True)
    write_atomically(models / FILE, (serving.model_dump_json() + "\n").encode())
