"""Registry of the served encoder: the built-in one, or one that was promoted.

`models/serving.json` names it, and the promotions before it, so that they can be rolled back: of
locators too, which `[locate]` in satchel.toml names. The file is replaced atomically: a reader gets
the old model or the new one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from satchel.encode.card import BUILTIN, LITE
from satchel.errors import EncoderError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

FILE: Final = "serving.json"
CARD: Final = "card.json"
BUILTIN_NAME: Final = ""
"""Name of the built-in encoder where a model's name is expected."""

BUILTINS: Final = {path.stem: path for path in (BUILTIN, LITE)}
"""Cards of the encoders that Satchel carries, by name: the built-in one and the light one."""

NAME_PATTERN: Final = re.compile(r"[\w-][\w.-]{0,120}")
"""Of the names of models, each that of its folder."""


MAX_HISTORY: Final = 20


class LocatorSwitch(StrictModel):
    """Promotion of a locator: `model` under [locate], then and before."""

    locator: str
    before: str


class Serving(StrictModel):
    """History of promotions: names of encoders, and switches of the locator."""

    history: tuple[str | LocatorSwitch, ...] = (BUILTIN_NAME,)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders; the last is served now."""
        return tuple(one for one in self.history if isinstance(one, str))

    @property
    def name(self) -> str:
        """The encoder that is served."""
        return self.encoders[-1]

    def with_change(self, change: str | LocatorSwitch) -> Serving:
        """The history, one change longer; the oldest are forgotten, the served encoder never."""
        history = (*self.history, change)
        cut, kept = history[:-MAX_HISTORY], history[-MAX_HISTORY:]
        if not isinstance(kept[0], str):
            base = next((one for one in reversed(cut) if isinstance(one, str)), None)
            kept = kept if base is None else (base, *kept)
        return Serving(history=kept)

    def standing(self, locator: str) -> Serving:
        """The history without its last switches where another locator is in use than they chose.

        Somebody has changed the settings since; these switches are undone already.
        """
        history = self.history
        while isinstance(history[-1], LocatorSwitch) and history[-1].locator != locator:
            history = history[:-1]
        return Serving(history=history)


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
    names = serving.encoders
    if not names or any(name and not NAME_PATTERN.fullmatch(name) for name in names):
        raise EncoderError(f"{path} names no model; delete it to go back to the built-in one")
    return serving


def serving_card(models: Path) -> Path:
    """Path of the card of the served encoder."""
    return encoder_card(models, read_serving(models).name)


def encoder_card(models: Path, name: str) -> Path:
    """Path of an encoder's card."""
    return BUILTINS.get(name or BUILTIN.stem, models / name / CARD)


def serve_model(models: Path, name: str) -> None:
    """Serve with this model from now on."""
    write_serving(models, read_serving(models).with_change(name))


def write_serving(models: Path, serving: Serving) -> None:
    """Replace the history, in one step."""
    models.mkdir(parents=True, exist_ok=True)
    write_atomically(models / FILE, (serving.model_dump_json() + "\n").encode())
