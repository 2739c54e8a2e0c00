"""Answers that the server keeps for a while: for a reload, and for what people say of them."""

from __future__ import annotations

from dataclasses import dataclass

from satchel.catalog.feedback import Feedback
from satchel.errors import FaultyPhoto, UploadExpired
from satchel.records import Identification
from satchel.web.kept import Kept
from satchel.web.uploads import KeptPhoto


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, with all that feedback on it needs.

    Attributes:
        feedback: what is stored once somebody chooses; its `answer` is empty until then.
        names: of the photos that could be used.
        refused: why the others could not.
        photos: tokens of those photos, None where one is not kept; empty if none is.
    """

    feedback: Feedback
    found: Identification
    names: tuple[str, ...]
    refused: tuple[FaultyPhoto, ...]
    photos: tuple[str | None, ...]

    def photos_for(self, session: str, uploads: Kept[KeptPhoto]) -> list[KeptPhoto] | None:
        """Return its photos, if this session sent them and all are kept still."""
        try:
            return [uploads.get(session, token or "") for token in self.photos] or None
        except UploadExpired:
            return None
