"""Limit the size of request bodies, by path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.photo_header import PhotoLimits
from satchel.web.problems import BUSY, RETRY_AFTER_S, Kind, Refusal, refuse

SMALL_BYTES: Final = 65_536
"""Largest body without photos, and the overhead that a form may add to the photos' bytes."""

LIST_CHARS: Final = 150_000
"""Most characters of a list of addresses, the end of a line as one: 500 of 300 each."""

LIST_BYTES: Final = 9 * LIST_CHARS + SMALL_BYTES
"""Largest body with a list: a form writes a Korean letter as three bytes of three characters each,
and the end of a line as two characters."""

MAX_FORM_FILES: Final = 2 * MAX_ITEM_PHOTOS
"""More than allowed, so that the answer can report the number. A file takes up to 1 MB."""
MAX_FORM_FIELDS: Final = 200
"""A decision on look-alikes has one for each of up to 100 codes. A field is held in memory."""

MAX_LENGTH_DIGITS: Final = 20
"""Digits read of a declared length: more than any limit has, and quick to convert."""

RECEIVED_BYTES: Final = 256_000_000
"""Bytes of all uploads that are being received or answered, at most, or those of one upload.

Photos of more than a megabyte are in temporary files, the others in memory.
"""

ONE_PHOTO: Final = re.compile(r"(/api/v1)?/listings/[\w-]{1,32}/photos")
"""Paths under which one photo of a listing is sent."""

UPLOAD_TOO_LARGE: Final = Kind(413, "upload-too-large", "The photos are too large together")
REQUEST_TOO_LARGE: Final = Kind(413, "request-too-large", "The request is too large")


class BodyLimit:
    """Refuses a request whose body is larger than its path allows, declared or counted.

    A body that declares too much is refused before anything reads it. One that declares nothing
    is refused where it is read; a body that nobody reads costs nothing.

    Where uploads are too many bytes together, the one that has been arriving longest is refused:
    whoever sends slowly, however much, locks nobody out.

    Args:
        photos: limits on one photo.
        uploads: paths that take the photos of an item; those of `ONE_PHOTO` take one.
        lists: paths that take a list of addresses, of `LIST_BYTES`. Every other path, one that is
            added later too, takes `SMALL_BYTES`: JSON and forms are parsed whole, and parsing
            blocks.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        photos: PhotoLimits,
        uploads: Sequence[str],
        lists: Sequence[str] = (),
    ) -> None:
        self._app = app
        most = MAX_ITEM_PHOTOS * photos.max_bytes + SMALL_BYTES
        self._limits: Mapping[str, _Limit] = {
            **dict.fromkeys(lists, _small_limit(LIST_BYTES)),
            **dict.fromkeys(uploads, _upload_limit(most)),
        }
        self._one_photo = _upload_limit(photos.max_bytes + SMALL_BYTES)
        self._most_together = max(RECEIVED_BYTES, most)
        self._together = 0
        self._arriving: dict[_Body, None] = {}  # in the order in which they began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], SMALL)
        if ONE_PHOTO.fullmatch(scope["path"]):
            limit = self._one_photo
        declared = _declared_bytes(scope)
        if declared > limit.max_bytes:
            await refuse(limit.refusal(declared), scope, receive, send)
        else:
            body = _Body(self, receive, limit)
            try:
                await self._app(scope, body, send)
            finally:
                self.forget(body)

    def count(self, body: _Body, size: int) -> None:
        """Count bytes of a body in those of all, and make room for them.

        Raises:
            Refusal: all others have arrived and are being answered.
        """
        self._arriving.setdefault(body)
        self._together += size
        while self._together > self._most_together:
            longest = next((one for one in self._arriving if one is not body), None)
            if longest is None:
                raise _too_many()
            self.forget(longest)
            longest.give_way()

    def arrived(self, body: _Body) -> None:
        """Let a body stay, which is whole now, until it is answered."""
        self._arriving.pop(body, None)

    def forget(self, body: _Body) -> None:
        """Count a body no longer."""
        self.arrived(body)
        self._together -= body.counted
        body.counted = 0


def _too_many() -> Refusal:
    return Refusal(
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


def _small_limit(max_bytes: int) -> _Limit:
    return _Limit(max_bytes, REQUEST_TOO_LARGE, "in a request to this address", "send less at once")


SMALL: Final = _small_limit(SMALL_BYTES)


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
        self._whole = False
        self._gives_way = asyncio.Event()
        self.counted = 0

    def give_way(self) -> None:
        """Refuse this body in favour of others, at once, though its client sends nothing."""
        self._gives_way.set()

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        message = await self._next()
        size = len(message.get("body", b""))
        self.counted += size
        self._all.count(self, size)
        if self.counted > self._limit.max_bytes:
            raise self._limit.refusal(self.counted)
        if not message.get("more_body"):
            self._whole = True
            self._all.arrived(self)
        return message

    async def _next(self) -> Message:
        """Receive; refuse as soon as this body has to give way."""
        receiving = asyncio.ensure_future(self._receive())
        giving_way = asyncio.create_task(self._gives_way.wait())
        try:
            await asyncio.wait((receiving, giving_way), return_when=asyncio.FIRST_COMPLETED)
            if self._gives_way.is_set():
                raise _too_many()
            return receiving.result()
        finally:
            receiving.cancel()
            giving_way.cancel()


def _declared_bytes(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value[:MAX_LENGTH_DIGITS]) if value.isdigit() else 0
