"""Photos as they come over HTTP: names that are only labels, sizes held against a cap."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from fastapi import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_NAME_CHARS: Final = 120
FORM_BYTES: Final = 65_536
"""What a form's own words (boundaries, headers) may add to the photos' bytes."""


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
    """Refuses a request whose body is larger than `max_bytes`, declared or counted.

    The refusal is raised where the body is read, so that it becomes an answer like any other
    problem; a body that nobody reads costs nothing.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, its body watched."""
        if scope["type"] == "http":
            receive = self._watched(receive, _declared_bytes(scope))
        await self._app(scope, receive, send)

    def _watched(self, receive: Receive, declared: int) -> Receive:
        counted = 0

        async def watched() -> Message:
            nonlocal counted
            if declared > self._max_bytes:
                raise self._refusal(declared)
            message = await receive()
            counted += len(message.get("body", b""))
            if counted > self._max_bytes:
                raise self._refusal(counted)
            return message

        return watched

    def _refusal(self, size: int) -> HTTPException:
        return HTTPException(
            413,
            f"expected at most {self._max_bytes:,} bytes for all photos together, got {size:,} "
            "or more; send fewer or smaller photos",
            {"Connection": "close"},
        )


def _declared_bytes(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0
