"""Errors → RFC 9457 problems. The one place where HTTP status codes meet our errors.

A problem's type is a URN that never changes; its detail is the error's own message. An
unexpected exception becomes a 500 that reveals no internals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from satchel.errors import (
    Abandoned,
    AccountError,
    BadBox,
    Busy,
    CatalogueError,
    CorruptPhoto,
    DatabaseBusy,
    DecoderError,
    DiskFull,
    EditConflict,
    EmptyPhoto,
    EncoderError,
    FaultyPhoto,
    FetchError,
    Forbidden,
    IndexMissing,
    JobConflict,
    LocatorError,
    LogInFailed,
    NoMatch,
    PhotoError,
    PhotoTooLarge,
    StateConflict,
    StorageError,
    UnknownJob,
    UnknownSearch,
    UnknownWebhook,
    UnsupportedFormat,
    UnsupportedJpeg,
    UploadExpired,
    UsageError,
    WorkspaceError,
)
from satchel.files import storage_error
from satchel.web.logs import request_id

URN: Final = "urn:satchel:problem:"
MEDIA_TYPE: Final = "application/problem+json"


class ReadyCheck(BaseModel):
    """One of the things that an answer needs."""

    name: str = Field(description="disk, database, lock, encoder, locator or index.")
    ok: bool
    reason: str | None = Field(None, description="Why not; more is in the server's log.")


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 lays it out."""

    type: str = Field(description="What kind of problem; stable.", examples=[f"{URN}no-index"])
    title: str = Field(description="The kind in words.", examples=["There is no index yet"])
    status: int = Field(description="HTTP status code.", examples=[503])
    detail: str = Field(description="What was expected, what came, and what to do next.")
    instance: str = Field(description="The requested path.")
    photo: int | None = Field(None, description="Which photo is at fault; 1 for the first.")
    reason: str | None = Field(None, description="Why an account cannot be used or changed so.")
    state: str | None = Field(None, description="The state that a listing is in.")
    attribute: str | None = Field(None, description="Which attribute of the filter is at fault.")
    closest: list[str] | None = Field(
        None, description="What the catalogue has in place of it, the most similar first."
    )
    checks: list[ReadyCheck] | None = Field(
        None, description="What was checked, where the server is not ready."
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem."""

    status: int
    slug: str
    title: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, ready to be answered as JSON or shown on a page."""

    kind: Kind
    detail: str
    extras: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(HTTPException):
    """A request that is refused before an endpoint sees it; more exact than its status alone."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        extras: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, headers)
        self.problem = Problem(kind, detail, extras or {}, headers or {})


INTERNAL: Final = Kind(500, "internal", "Something went wrong inside Satchel")
INVALID: Final = Kind(422, "invalid-request", "The request does not fit the API")
UNREADABLE_BODY: Final = (
    "body: expected JSON in UTF-8, nested a few levels deep, or a form; got something that cannot "
    "be read"
)
"""Detail for a body on which the parser fails: too deep, no UTF-8, a number of 5,000 digits."""

BUSY: Final = Kind(503, "busy", "Satchel is busy")

KINDS: Final[Mapping[type[Exception], Kind]] = {
    PhotoTooLarge: Kind(413, "photo-too-large", "A photo is too large"),
    UnsupportedJpeg: Kind(415, "unsupported-jpeg", "A JPEG is of a kind that is not read"),
    UnsupportedFormat: Kind(415, "unsupported-format", "A file is not a photo of a known format"),
    EmptyPhoto: Kind(422, "empty-photo", "A photo is empty"),
    CorruptPhoto: Kind(422, "corrupt-photo", "A photo is damaged"),
    PhotoError: Kind(422, "unusable-photo", "A photo cannot be used"),
    WorkspaceError: Kind(503, "workspace-unusable", "The catalogue cannot be used"),
    StorageError: Kind(503, "storage-unusable", "Satchel cannot use its files"),
    DiskFull: Kind(507, "disk-full", "The server's disk is full"),
    DatabaseBusy: Kind(503, "database-busy", "The catalogue is in use by another program"),
    EncoderError: Kind(503, "model-unusable", "A model cannot be used"),
    LocatorError: Kind(503, "model-unusable", "A model cannot be used"),
    UsageError: Kind(400, "bad-request", "The request is wrong"),
    BadBox: Kind(400, "bad-box", "The box cannot be used"),
    AccountError: Kind(422, "bad-account", "The account cannot be made or changed so"),
    LogInFailed: Kind(401, "log-in-failed", "Log-in failed"),
    Forbidden: Kind(403, "forbidden", "Your account may not do this"),
    StateConflict: Kind(409, "wrong-state", "The listing is in another state"),
    EditConflict: Kind(409, "conflict", "Something else is in the way"),
    JobConflict: Kind(409, "conflict", "Something else is in the way"),
    UnknownJob: Kind(404, "not-found", "There is no such job"),
    UnknownSearch: Kind(404, "not-found", "There is no such saved search"),
    UnknownWebhook: Kind(404, "not-found", "There is no such webhook"),
    FetchError: Kind(422, "address-unusable", "An address cannot be used"),
    UploadExpired: Kind(410, "upload-expired", "A photo is no longer kept"),
    NoMatch: Kind(400, "no-match", "No product passes the filter"),
    CatalogueError: Kind(404, "not-found", "The catalogue does not have it"),
    IndexMissing: Kind(503, "no-index", "There is no index yet"),
    Abandoned: Kind(499, "client-gone", "The client did not wait for the answer"),
    Busy: BUSY,
    DecoderError: BUSY,
}
"""Problem of each exception class; other classes have that of their nearest ancestor."""

RETRY_AFTER_S: Final = {
    "no-index": "60",
    "busy": "5",
    "database-busy": "5",
    "disk-full": "60",
    "storage-unusable": "60",
    "workspace-unusable": "60",
    "model-unusable": "60",
}

OF_THE_SERVER: Final = frozenset(RETRY_AFTER_S) - {"no-index", "busy"}
"""Problems whose reasons name files of the server: only its log has them."""

HTTP_SLUGS: Final = {404: "not-found", 405: "method-not-allowed"}


def problem_of(error: Exception) -> Problem:
    """Return the problem of an error."""
    match error:
        case FaultyPhoto():
            return Problem(_kind(error.reason), str(error), {"photo": error.position})
        case NoMatch():
            extras = {"attribute": error.attribute, "closest": list(error.closest)}
            return Problem(_kind(error), str(error), extras)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _http(error)
        case OSError():
            error = storage_error(error)
    kind = _kind(error)
    if kind is INTERNAL:
        return Problem(kind, f"{in_the_log()}; try again, then tell its operator")
    retry = RETRY_AFTER_S.get(kind.slug)
    detail = f"{kind.title}; {in_the_log()}" if kind.slug in OF_THE_SERVER else str(error)
    extras = {"reason": error.reason} if isinstance(error, AccountError) else {}
    if isinstance(error, StateConflict):
        extras["state"] = error.state
    return Problem(kind, detail, extras, headers={"Retry-After": retry} if retry else {})


def in_the_log() -> str:
    """Where the operator finds the reason, which is not for strangers."""
    where = f"under {request_id.get()}" if request_id.get() else "at this time"
    return f"the reason is in the server's log {where}"


def problem_json(request: Request, problem: Problem) -> JSONResponse:
    """Answer a problem as JSON."""
    content = {
        "type": URN + problem.kind.slug,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "instance": quote(request.scope["path"], safe="/:@+,;="),
        **problem.extras,
    }
    return JSONResponse(
        content, problem.kind.status, headers=dict(problem.headers), media_type=MEDIA_TYPE
    )


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with a problem, from a middleware."""
    request = Request(scope)
    answer = await request.app.state.answer_error(request, refusal)
    await answer(scope, receive, send)


def _kind(error: Exception) -> Kind:
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), INTERNAL)


def _invalid(error: RequestValidationError) -> Problem:
    """Name each field at fault. What was sent is not repeated: it may be a whole photo."""
    errors = [
        {"field": ".".join(map(str, one["loc"])), "reason": _reason(str(one["msg"]))}
        for one in error.errors()
    ]
    detail = "; ".join(f"{one['field']}: {one['reason']}" for one in errors)
    return Problem(INVALID, detail, {"errors": errors})


def _reason(message: str) -> str:
    """A validation error's message in words of the API, without names of classes."""
    text = message.removeprefix("Value error, ")
    return "expected a file, got text" if text.startswith("Expected UploadFile") else text


def _http(error: HTTPException) -> Problem:
    if isinstance(error, Refusal):
        return error.problem
    if isinstance(error.__cause__, OSError):  # a large upload is parsed into a temporary file
        return problem_of(error.__cause__)
    if isinstance(error.__cause__, RecursionError | ValueError):
        return Problem(INVALID, UNREADABLE_BODY)  # FastAPI answers these with 400
    phrase = HTTPStatus(error.status_code).phrase
    slug = HTTP_SLUGS.get(error.status_code, phrase.lower().replace(" ", "-"))
    return Problem(Kind(error.status_code, slug, phrase), error.detail, headers=error.headers or {})
