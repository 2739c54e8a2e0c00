"""Limit the size of request bodies, by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.photo_header import PhotoLimits
from satchel.web.problems import BUSY, RETRY_AFTER_S, Kind, Refusal, refuse

SMALL_BYTES: Final = 65_536
"""Largest body without photos, and the overhead that a form may add to the photos' bytes."""

MAX_FORM_FILES: Final = 2 * MAX_ITEM_PHOTOS
"""More than allowed, so that the answer can report the number. A file takes up to 1 MB."""
MAX_FORM_FIELDS: Final = 200
"""A decision on look-alikes has one for each of up to 100 codes. A field is held in memory."""

MAX_LENGTH_DIGITS: Final = 20
"""Digits read of a declared length: more than any limit has, and quick to convert."""

RECEIVED_BYTES: Final = 1_000_000_000
"""Bytes of all uploads that are being received or answered, at most, or those of one upload.

Photos of more than a megabyte are in temporary files.
"""

UPLOAD_TOO_LARGE: Final = Kind(413, "upload-too-large", "The photos are too large together")
REQUEST_TOO_LARGE: Final = Kind(413, "request-too-large", "The request is too large")


class BodyLimit:
    """Refuses a request whose body is larger than its path allows, declared or counted.

    A body that declares too much is refused before anything reads it. One that declares nothing
    is refused where it is read; a body that nobody reads costs nothing.

    Args:
        photos: limits on one photo.
        uploads: paths that take the photos of an item. Every other path, one that is added later
            too, takes `SMALL_BYTES`: JSON and forms are parsed whole, and parsing blocks.
    """

    def __init__(self, app: ASGIApp, *, photos: PhotoLimits, uploads: Sequence[str]) -> None:
        self._app = app
        most = MAX_ITEM_PHOTOS * photos.max_bytes + SMALL_BYTES
        self._limits: Mapping[str, _Limit] = dict.fromkeys(uploads, _upload_limit(most))
        self._most_together = max(RECEIVED_BYTES, most)
        self._together = 0

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
            body = _Body(self, receive, limit)
            try:
                await self._app(scope, body, send)
            finally:
                self._together -= body.counted

    def count(self, size: int) -> None:
        """Count bytes of a body in those of all.

        Raises:
            Refusal: they are too many together.
        """
        self._together += size
        if self._together > self._most_together:
            raise Refusal(
                BUSY,
                "expected fewer uploads at once; send this one again in a moment",
                headers={"Retry-After": RETRY_AFTER_S[BUSY.slug]},
            )


@dataclass(frozen=True, slots=True)
class _Limit:
    """Size limit of a body, and the problem that exceeding it gives."""

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


class _Body:
    """`receive` that counts the bytes of one body."""

    def __init__(self, all_bodies: BodyLimit, receive: Receive, limit: _Limit) -> None:
        self._all = all_bodies
        self._receive = receive
        self._limit = limit
        self.counted = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self.counted += size
        self._all.count(size)
        if self.counted > self._limit.max_bytes:
            raise self._limit.refusal(self.counted)
        return message


def _declared_bytes(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value[:MAX_LENGTH_DIGITS]) if value.isdigit() else 0
