"""`satchel encoder list | show | remove`: encoders of a workspace, and those Satchel carries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from satchel.convert.gate import Exported, Kind
from satchel.convert.sources import Provenance
from satchel.encode.card import EncoderCard, read_card
from satchel.encode.registry import BUILTINS, CARD, NAME_PATTERN, encoder_card, read_serving
from satchel.errors import EncoderError, UsageError
from satchel.locate.card import LocatorCard
from satchel.onnx_model import load_card
from satchel.validation import StrictModel, reason
from satchel.workspace import Workspace

PROVENANCE: Final = "provenance.json"


class Figures(StrictModel):
    """How a file of one kind compared; see `satchel.convert.gate.Exported`."""

    kind: Kind
    bytes: int
    cosine: float
    overlap: float
    ms_per_photo: float
    agrees: bool

    @classmethod
    def of(cls, one: Exported) -> Figures:
        """The figures of an export."""
        return cls(
            kind=one.kind,
            bytes=len(one.model),
            cosine=one.cosine,
            overlap=one.overlap,
            ms_per_photo=one.ms_per_photo,
            agrees=one.agrees,
        )


class AddedEncoder(StrictModel):
    """What is kept next to an added encoder's card.

    Attributes:
        origin: its source, pinned.
        exports: every kind that was made, and how it compared.
        spec: what the checkpoint was read as.
        projected: with the projection to the space that images share with texts, if it has one.
    """

    origin: Provenance
    exports: tuple[Figures, ...]
    spec: dict[str, Any]
    projected: bool = True


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """An encoder of a workspace, or one that Satchel carries.

    Attributes:
        card: None where it is damaged, with `fault`.
        bytes: of its files.
        served: whether it is served now.
        added: where it comes from; None for those that Satchel carries or trained.
    """

    name: str
    card: EncoderCard | None
    bytes: int
    served: bool
    added: AddedEncoder | None = None
    fault: str | None = None


def _names(workspace: Workspace) -> list[str]:
    """Names of every encoder: those of folders with a card, which locators have as well."""
    cards = sorted(workspace.models.glob(f"*/{CARD}"))
    folders = [path.parent.name for path in cards if not _is_locator(path)]
    return [*BUILTINS, *(name for name in folders if NAME_PATTERN.fullmatch(name))]


def _is_locator(card: Path) -> bool:
    try:
        load_card(card, LocatorCard)
    except EncoderError:
        return False
    return True


def is_added(workspace: Workspace, name: str) -> bool:
    """Whether `satchel encoder add` added an encoder of this name."""
    return name in _names(workspace) and (workspace.models / name / PROVENANCE).exists()


def known_encoders(workspace: Workspace) -> list[KnownEncoder]:
    """Every encoder: those that Satchel carries, then those of the workspace, by name."""
    return [known_encoder(workspace, name) for name in _names(workspace)]


def known_encoder(workspace: Workspace, name: str) -> KnownEncoder:
    """One encoder by its name.

    Raises:
        UsageError: there is none of this name.
    """
    names = _names(workspace)
    if name not in names:
        raise UsageError(f"there is no encoder {name}; there are {', '.join(names)}")
    path = encoder_card(workspace.models, name)
    served = encoder_card(workspace.models, read_serving(workspace.models).name) == path
    try:
        card = read_card(path)
        added = read_added(path.parent) if name not in BUILTINS else None
    except EncoderError as error:
        return KnownEncoder(name, None, 0, served, fault=str(error))
    files = [path.parent / one for one in (card.file, *card.parts)]
    size = sum(one.stat().st_size for one in files if one.exists())
    return KnownEncoder(name, card, size, served, added)


def read_added(folder: Path) -> AddedEncoder | None:
    """Where an encoder in a folder comes from; None for one that was trained here.

    Raises:
        EncoderError: the file is damaged.
    """
    try:
        return AddedEncoder.model_validate_json((folder / PROVENANCE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise EncoderError(
            f"{folder / PROVENANCE} is not readable: {reason(error)}; restore it from a backup, or "
            "remove the encoder and add it again"
        ) from None


def removable_encoder(workspace: Workspace, name: str) -> KnownEncoder:
    """An encoder that may be removed.

    Raises:
        UsageError: there is none, Satchel carries it, or it is served now.
    """
    found = known_encoder(workspace, name)
    if name in BUILTINS:
        raise UsageError(f"{name} is a part of Satchel, and is not removed")
    if found.served:
        raise UsageError(f"{name} is served now: promote another encoder first")
    return found


def remove_encoder(workspace: Workspace, name: str) -> None:
    """Remove an encoder's folder; embeddings that were made with it stay.

    Raises:
        UsageError: see `removable_encoder`.
    """
    removable_encoder(workspace, name)
    folder = workspace.models / name
    (folder / CARD).unlink(missing_ok=True)  # so that what a killed process leaves is no encoder
    shutil.rmtree(folder)


def needed_for_rollback(workspace: Workspace, name: str) -> bool:
    """Whether a promotion could no longer be taken back without this encoder."""
    return name in read_serving(workspace.models).encoders[:-1]
