"""A request to identify an item, and its answer; shared by the page and the HTTP API.

Photos are uploads, or tokens of photos that were uploaded before and are kept for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, File, Form, UploadFile
from pydantic import Field

from satchel.catalog.feedback import Feedback, FeedbackCandidate, FeedbackPhoto
from satchel.catalog.filters import Where
from satchel.catalog.photos import sha256
from satchel.errors import FaultyPhoto
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.locate.given import MAX_CHARS, GivenBox, parse_box
from satchel.photo_formats import readable_formats
from satchel.records import Identification
from satchel.web.answers import KeptAnswer
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.state import Identified, ServerState
from satchel.web.uploads import KeptPhoto, ReceivedPhoto, received

ANSWER_BYTES: Final = 24_000
"""Memory of an answer that is kept, without its embeddings: an upper estimate."""

MOST: Final = 2 * MAX_ITEM_PHOTOS
"""Photos, tokens and boxes that are read: more than allowed, so that the answer can say so."""


def _describe_photos(schema: dict[str, Any]) -> None:
    """Complete the OpenAPI description of the photos: which formats there are needs extras."""
    *formats, last = readable_formats()
    schema.update(
        description=f"1 to {MAX_ITEM_PHOTOS} photos, all of one item: "
        f"{', '.join(formats)} or {last}.",
        maxItems=MAX_ITEM_PHOTOS,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """The photos of a request.

    Attributes:
        uploads: photos that come with it; they follow the kept ones.
        kept: tokens of photos that the server has.
        boxes: one for each photo, None where it is to be located; None for no boxes at all.
    """

    uploads: Sequence[UploadFile]
    kept: Sequence[str]
    boxes: Sequence[GivenBox | None] | None

    def photos(self, server: ServerState, session: str) -> list[ReceivedPhoto]:
        """All photos.

        Raises:
            UploadExpired: a kept photo is no longer there.
        """
        found = [server.uploads.get(session, token).received() for token in self.kept]
        return found + received(self.uploads)


async def asked(
    photos: Annotated[Sequence[UploadFile], File(json_schema_extra=_describe_photos)] = (),
    box: Annotated[
        Sequence[Annotated[str, Field(max_length=MAX_CHARS)]],
        Field(max_length=MOST),
        Form(
            description="Where the item is, one for each photo in their order, empty where it is "
            "to be located: `x0,y0,x1,y1` from the top left of the upright photo, as fractions of "
            "its width and height, or in pixels with `px` at the end. What reaches beyond the "
            "photo is cut off."
        ),
    ] = (),
    kept: Annotated[
        Sequence[Annotated[str, Field(max_length=MAX_TOKEN_CHARS)]],
        Field(max_length=MOST),
        Form(
            description="Photos that were sent before, in place of `photos` or before them: tokens "
            "from an answer's `kept`, with the cookie of that answer."
        ),
    ] = (),
) -> Asked:
    """Read the photos of a form.

    Raises:
        BadBox: a box is malformed.
    """
    boxes = [parse_box(text) if text.strip() else None for text in box]
    return Asked(photos, kept, boxes or None)


AskedPhotos = Annotated[Asked, Depends(asked)]
"""Dependency type: the photos of the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what it is about.

    Attributes:
        names: of the photos that could be used.
        refused: why the others could not.
        token: of this answer, for feedback on it.
        kept: token of each of them, None where it is not kept; empty if none was to be kept.
    """

    found: Identification
    names: tuple[str, ...]
    refused: tuple[FaultyPhoto, ...]
    token: str | None
    kept: tuple[str | None, ...] = ()


def answer(
    server: ServerState,
    session: str,
    item: Asked,
    *,
    where: Where,
    top: int | None = None,
    keep: bool,
    gone: Callable[[], bool],
) -> Answer:
    """Identify an item.

    Args:
        session: of the browser, see `satchel.web.sessions`.
        keep: keep the photos that came with the request.
        gone: whether the client no longer waits.

    Raises:
        UploadExpired: a kept photo is no longer there.
        SatchelError: see `ServerState.identify`.
    """
    photos = item.photos(server, session)
    identified = server.identify(photos, boxes=item.boxes, top=top, where=where, gone=gone)
    used = [photos[place] for place in identified.used]
    boxes = [item.boxes[place] if item.boxes else None for place in identified.used]
    kept = [
        item.kept[place] if place < len(item.kept) else _keep(server, session, photos[place])
        for place in (identified.used if keep else ())
    ]
    token = _keep_answer(server, identified, used, boxes, kept)
    names = tuple(photo.name for photo in used)
    return Answer(identified.found, names, identified.refused, token, tuple(kept))


def _keep_answer(
    server: ServerState,
    identified: Identified,
    photos: Sequence[ReceivedPhoto],
    boxes: Sequence[GivenBox | None],
    tokens: Sequence[str | None],
) -> str | None:
    """Keep an answer, with what feedback on it needs; return its token.

    It belongs to no session: whoever was given the token was given the answer.
    """
    found = identified.found
    packed = tuple(
        FeedbackPhoto.of(sha256(photo.read()), embedding, by_hand=box is not None)
        for photo, embedding, box in zip(photos, identified.embedded, boxes, strict=True)
    )
    feedback = Feedback(
        answer="",
        code=None,
        encoder=identified.space,
        verdict=found.verdict,
        in_catalogue=found.in_catalogue,
        candidates=tuple(
            FeedbackCandidate(one.product.code, one.score, one.confidence)
            for one in found.candidates
        ),
        photos=packed,
        where=found.where,
    )
    size = sum(len(p.vector) + len(p.colours) + len(p.patches or b"") for p in packed)
    names = tuple(photo.name for photo in photos)
    kept = KeptAnswer(feedback, found, names, identified.refused, tuple(tokens))
    return server.answers.put("", kept, size + ANSWER_BYTES)


def _keep(server: ServerState, session: str, photo: ReceivedPhoto) -> str | None:
    if photo.size_bytes > server.uploads.max_bytes:
        return None
    return server.uploads.put(session, KeptPhoto(photo.name, photo.read()), photo.size_bytes)
