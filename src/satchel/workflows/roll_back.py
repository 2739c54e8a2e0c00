"""`satchel promote --rollback`: take the last promotion back, of an encoder or a locator."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from satchel.config import FILE_NAME
from satchel.encode.card import BUILTIN, EncoderCard, read_card
from satchel.encode.embedder import EmbeddingSpace
from satchel.encode.registry import (
    LocatorSwitch,
    Serving,
    encoder_card,
    read_serving,
    write_serving,
)
from satchel.errors import EncoderError, IndexMissing, UsageError
from satchel.files import write_atomically
from satchel.search.indexing import build_index
from satchel.served import served_space, space_of
from satchel.workflows.promote_locator import changed_settings, with_locator
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Result of a rollback.

    Attributes:
        name: of the encoder or the locator that is in use again.
        locator: whether it is a locator.
        missing: photos that were added since, and have no embedding of then.
    """

    name: str
    locator: bool
    missing: int


def roll_back(workspace: Workspace) -> RolledBack:
    """Use the encoder or the locator from before the last promotion again.

    The gallery's embeddings of then are used; no model is loaded. What the earlier encoder or
    locator needs is checked before anything is written.

    Raises:
        UsageError: nothing was promoted, or the settings cannot be changed.
        EncoderError, LocatorError: the earlier one's files are gone.
    """
    serving = read_serving(workspace.models).standing(workspace.settings.locate.model)
    last, before = serving.history[-1], serving.history[:-1]
    if not before:
        raise UsageError("no model was promoted before this one; there is nothing to go back to")
    earlier = Serving(history=before)
    if isinstance(last, LocatorSwitch):
        space = _locate_as_before(workspace, last)
        name = last.before
    else:
        name = earlier.name or BUILTIN.stem
        space = space_of(workspace, _earlier_card(workspace, name))
    write_serving(workspace.models, earlier)
    with contextlib.suppress(IndexMissing):  # nothing is embedded: there is nothing to search yet
        build_index(workspace.catalogue, space, workspace.index_path, workspace.settings.search)
    missing = workspace.catalogue.vectors.count_missing(space.id)
    return RolledBack(name, isinstance(last, LocatorSwitch), missing)


def _earlier_card(workspace: Workspace, name: str) -> EncoderCard:
    try:
        return read_card(encoder_card(workspace.models, name))
    except EncoderError as error:
        raise EncoderError(
            f"{name} was served before and cannot be again: {error}; restore its folder, or "
            f"`satchel promote` another encoder, such as {BUILTIN.stem}"
        ) from None


def _locate_as_before(workspace: Workspace, switch: LocatorSwitch) -> EmbeddingSpace:
    """Name the earlier locator in the settings; return the space of its embeddings."""
    earlier = with_locator(workspace, switch.before)
    space, text = served_space(earlier), changed_settings(earlier)
    write_atomically(workspace.folder / FILE_NAME, text.encode())
    return space
