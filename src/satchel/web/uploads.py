"""What comes over HTTP: photos, whose names are only labels, and how large a body may be."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from fastapi import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.images import PhotoLimits
from satchel.web.problems import Kind, Refusal, refuse

MAX_NAME_CHARS: Final = 120
SMALL_BYTES: Final = 65_536
"""What a body without photos may have, and what a form may add to the photos' bytes."""

MAX_FORM_FILES: Final = 2 * MAX_ITEM_PHOTOS
"""Who sends a few too many photos is told how many. A file takes up to 1 MB of memory."""
MAX_FORM_FIELDS: Final = 200
"""A decision on look-alikes has one for each of up to 100 codes. A field is held in memory."""

MAX_LENGTH_DIGITS: Final = 20
"""Of a declared length, as many as are read: more than any limit has, and quick to convert."""

UPLOAD_TOO_LARGE: Final = Kind(413, "upload-too-large", "The photos are too large together")
REQUEST_TOO_LARGE: Final = Kind(413, "request-too-large", "The request is too large")


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A photo that was sent; `name` is a label for people and never a path."""

    name: str
    size_bytes: int
    file: BinaryIO

    def read(self) -> bytes:
        """Return its bytes."""
        self.file.seek(0)
        return self.file.read()


def received(uploads: Sequence[UploadFile]) -> list[ReceivedPhoto]:
    """Take over uploaded files; an empty field, as forms send where nothing is chosen, is none."""
    return [
        ReceivedPhoto(label(upload.filename, position), upload.size or 0, upload.file)
        for position, upload in enumerate(uploads, start=1)
        if upload.filename or upload.size
    ]


def label(name: str | None, position: int) -> str:
    """Make a name that may be shown: without folders, printable, composed, short.

    Characters that do not print are replaced: among them are those that turn the direction of
    writing and so make one name look like another.
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    composed = unicodedata.normalize("NFC", last or f"photo {position}")
    shown = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in composed
    )
    return shown if len(shown) <= MAX_NAME_CHARS else shown[: MAX_NAME_CHARS - 1] + "…"


class BodyLimit:
    """Refuses a request whose body is larger than its path allows, declared or counted.

    A body that declares too much is refused before anything reads it. One that declares nothing
    is refused where it is read; a body that nobody reads costs nothing.

    Args:
        photos: what one photo may cost.
        uploads: paths that take the photos of an item. Every other path, one that is added later
            too, takes `SMALL_BYTES`: JSON and forms are parsed whole, and parsing blocks.
    """

    def __init__(self, app: ASGIApp, *, photos: PhotoLimits, uploads: Sequence[str]) -> None:
        self._app = app
        most = MAX_ITEM_PHOTOS * photos.max_bytes + SMALL_BYTES
        self._limits: Mapping[str, _Limit] = dict.fromkeys(uploads, _upload_limit(most))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], SMALL)
        declared = _declared_bytes(scope)
        if declared > limit.max_bytes:
            await refuse(limit.refusal(declared), scope, receive, send)
        else:
            await self._app(scope, _watched(receive, limit), send)


@dataclass(frozen=True, slots=True)
class _Limit:
    """How many bytes a body may have, and what is said of more."""

    max_bytes: int
    kind: Kind
    where: str
    remedy: str

    def refusal(self, size: int) -> Refusal:
        return Refusal(
            self.kind,
            f"expected at most {self.max_bytes:,} bytes {self.where}, got {size:,} or more; "
            f"{self.remedy}",
            headers={"Connection": "close"},
        )


SMALL: Final = _Limit(
    SMALL_BYTES, REQUEST_TOO_LARGE, "in a request to this address", "send less at once"
)


def _upload_limit(max_bytes: int) -> _Limit:
    return _Limit(
        max_bytes, UPLOAD_TOO_LARGE, "for all photos together", "send fewer or smaller photos"
    )


def _watched(receive: Receive, limit: _Limit) -> Receive:
    counted = 0

    async def watched() -> Message:
        nonlocal counted
        message = await receive()
        counted += len(message.get("body", b""))
        if counted > limit.max_bytes:
            raise limit.refusal(counted)
        return message

    return watched


def _declared_bytes(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value[:MAX_LENGTH_DIGITS]) if value.isdigit() else 0
