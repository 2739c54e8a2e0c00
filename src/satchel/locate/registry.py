"""Which locator the settings name, and its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from satchel.errors import LocatorError
from satchel.locate.card import LocatorCard
from satchel.locate.darknet import convert_darknet
from satchel.locate.onnx import OnnxLocator, read_locator_card, read_locator_model
from satchel.locate.rules import BUILTIN, SALIENCY, LocateRules
from satchel.validation import reason

BUILTIN_CARD: Final = Path(__file__).parent / "models" / "satchel-locator.json"


@dataclass(frozen=True, slots=True)
class LocatorFile:
    """A detector on disk, with the settings that it is used with.

    Attributes:
        card: of the detector, after the settings.
        pad: see `satchel.locate.locator.Locator`.
        read: reads and verifies its ONNX model.
    """

    card: LocatorCard
    pad: float
    read: Callable[[], bytes]

    @property
    def id(self) -> str:
        """That of the locator, known without loading it."""
        return self.card.fingerprint(self.pad)

    def load(self, *, threads: int = 1) -> OnnxLocator:
        """Open it.

        Args:
            threads: for one forward pass, as an encoder's.

        Raises:
            LocatorError: its files are missing, altered or inconsistent.
        """
        return OnnxLocator(self.card, self.read(), pad=self.pad, threads=threads)


def configured_locator(rules: LocateRules, folder: Path) -> LocatorFile | None:
    """The detector that the settings name; None where saliency locates.

    Args:
        folder: that paths in the settings begin from.

    Raises:
        LocatorError: its files are missing or invalid, or do not fit the settings.
    """
    if rules.model == SALIENCY:
        return None
    path = BUILTIN_CARD if rules.model == BUILTIN else folder / rules.model
    if rules.model == BUILTIN and not path.exists():
        raise LocatorError(
            f'this version of Satchel carries no detector: set model = "{SALIENCY}" under [locate] '
            "in satchel.toml, or name a detector of your own"
        )
    if path.suffix == ".cfg":
        names = folder / rules.names if rules.names else None
        card, model = convert_darknet(path, names=names)
        return LocatorFile(_with_settings(card, rules), rules.pad, lambda: model)
    if path.suffix != ".json":
        raise LocatorError(
            f'expected model under [locate] to be "{SALIENCY}", "{BUILTIN}", or the path of an '
            f"ONNX detector's card (.json) or of a Darknet .cfg, got {rules.model!r}"
        )
    card = read_locator_card(path)
    read = partial(read_locator_model, card, path.parent)
    return LocatorFile(_with_settings(card, rules), rules.pad, read)


def _with_settings(card: LocatorCard, rules: LocateRules) -> LocatorCard:
    changes: dict[str, Any] = {}
    if rules.score:
        changes["score"] = rules.score
    if rules.classes:
        changes["categories"] = rules.classes
    try:
        return LocatorCard.model_validate(card.model_dump() | changes)
    except ValidationError as error:
        raise LocatorError(
            f"[locate] in satchel.toml does not fit the detector {card.name}: {reason(error)}"
        ) from None
