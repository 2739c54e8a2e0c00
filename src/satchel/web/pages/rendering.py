"""Render pages and htmx fragments from one set of templates, in the reader's language."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from satchel.catalog.cases import CaseState
from satchel.config import Serve
from satchel.curate.report import MEANINGS
from satchel.errors import StorageError, WorkspaceError
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.locate.locator import main_detection
from satchel.market.roles import Role
from satchel.photo_formats import readable_formats
from satchel.records import Identification
from satchel.translations import NAMES
from satchel.web import formats
from satchel.web.formats import good
from satchel.web.languages import COOKIE, HERE, chosen_language, load_languages
from satchel.web.links import case_link, edit_link, photo_link, product_link, thumbnail_link
from satchel.web.middleware.headers import POLICY, SECURITY_HEADERS
from satchel.web.middleware.hosts import BAD_HOST, UNKNOWN_HOST
from satchel.web.problems import Problem
from satchel.web.state import ServerState, state_of
from satchel.web.visitors import Visitor, give_cookie, market_of, nobody, seen_visitor

STATIC: Final = HERE / "static"
YEAR_S: Final = 365 * 24 * 60 * 60
FOR_PROGRAMS: Final = (
    "/api/",
    "/photos/",
    "/uploads/",
    "/thumbnails/",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/static/",
)


class Pages:
    """Renders templates in the reader's language."""

    def __init__(self, settings: Serve) -> None:
        self._style = (STATIC / "satchel.css").read_text(encoding="utf-8")
        self._languages = load_languages(
            {
                "languages": NAMES,
                "shown_value": partial(formats.value, currency=settings.currency),
                "zone": ZoneInfo(settings.time_zone) if settings.time_zone else None,
                "reason_meanings": MEANINGS,
                "max_photos": MAX_ITEM_PHOTOS,
                "accepted_files": ",".join(map(_file_type, readable_formats())),
                "photo_link": photo_link,
                "shown_filter": _shown_filter,
                "other_detections": _other_detections,
                "case_link": case_link,
                "edit_link": edit_link,
                "product_link": product_link,
                "thumbnail_link": thumbnail_link,
                "static": {path.name: _versioned(path.name) for path in STATIC.iterdir()},
            }
        )

    def render(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """Answer a template in the reader's language."""
        badges = _waiting(state_of(request)) if _may_edit(request) else None
        return self._answer(request, template, status, headers or {}, values, badges=badges)

    def _answer(
        self,
        request: Request,
        template: str,
        status: int,
        headers: Mapping[str, str],
        values: Mapping[str, Any],
        *,
        badges: Mapping[str, int] | None = None,
    ) -> HTMLResponse:
        language = self._languages[chosen_language(request)]
        every = {
            "in_language": {code: _in_language(request, code) for code in NAMES},
            "path": request.scope["path"],
            "badges": badges,
            **_of_visitor(request),
        }
        shadowed = values.keys() & (every.keys() | language.templates.globals.keys())
        assert not shadowed, f"{template} would hide from the frame of pages: {shadowed}"
        html = language.templates.get_template(template).render(**every, **values)
        response = HTMLResponse(html, status, dict(headers))
        keep_secret(request, response)
        response.headers["Content-Language"] = language.code
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers["Vary"] = "Accept-Language, Cookie, HX-Request"
        if request.query_params.get("lang") == language.code:
            response.set_cookie(
                COOKIE, language.code, max_age=YEAR_S, httponly=True, samesite="lax"
            )
        return response

    def problem(self, request: Request, problem: Problem) -> HTMLResponse:
        """Show a problem in plain words, in place or as a page."""
        if problem.kind in (UNKNOWN_HOST, BAD_HOST):
            return self._host_problem(request, problem)
        template = "_problem.html" if is_fragment(request) else "problem.html"
        limits = state_of(request).workspace.settings.photos
        return self.render(
            request, template, problem.kind.status, problem.headers, problem=problem, limits=limits
        )

    def _host_problem(self, request: Request, problem: Problem) -> HTMLResponse:
        """Show that the host is wrong, on a self-contained page.

        It loads nothing else, since that would be refused as well, so its stylesheet is inline.
        It shows nothing of the catalogue: another site's page may read it.
        """
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = SECURITY_HEADERS[POLICY].replace(
            "style-src 'self'", f"style-src 'sha256-{digest}'"
        )
        headers = {**problem.headers, POLICY: policy}
        values = {"problem": problem, "style": self._style}
        return self._answer(request, "wrong_host.html", problem.kind.status, headers, values)


def keep_secret(request: Request, response: Response) -> None:
    """Give the browser the secret that the forms on a page need, if it has none."""
    visitor = seen_visitor(request)
    if visitor is not None and visitor.fresh and visitor.shows_form and not visitor.key:
        give_cookie(request, response, visitor.secret)


def is_fragment(request: Request) -> bool:
    """Whether htmx requests a fragment of a page."""
    return "hx-request" in request.headers


def wants_page(request: Request) -> bool:
    """Whether a person reads the answer, rather than a program."""
    if request.scope["path"].startswith(FOR_PROGRAMS):
        return False
    return is_fragment(request) or "text/html" in request.headers.get("accept", "")


def pages_of(request: Request) -> Pages:
    """The templates of the application that a request came to."""
    pages = request.app.state.pages
    assert isinstance(pages, Pages)
    return pages


class VersionedFiles(StaticFiles):
    """Static files; an address that carries the file's version may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer one file."""
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v=") and response.status_code in (200, 304):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _file_type(photo_format: str) -> str:
    """Return the `accept` tokens of a file field for a format.

    HEIC by suffix too: not every system knows its media type. `image/*` would not do: it counts
    as listing HEIC, and only where HEIC is not listed does Safari on a Mac turn such a photo into
    the first format that is, JPEG. An iPhone's photo library gives JPEG either way.
    """
    if photo_format == "HEIC":
        return "image/heic,image/heif,.heic,.heif"
    return f"image/{photo_format.lower()}"


def _of_visitor(request: Request) -> dict[str, Any]:
    """What pages show of who they are for; everybody may edit where there are no accounts.

    `csrf` is a function: calling it puts the token into a form.
    """
    market, visitor = market_of(request), seen_visitor(request) or nobody(request)
    return {
        "market": market is not None,
        "account": visitor.account,
        "may_edit": _may_edit(request),
        "may_administer": market is None or visitor.includes(Role.ADMIN),
        "csrf": partial(_form_token, visitor) if market else Markup,
    }


def _may_edit(request: Request) -> bool:
    visitor = seen_visitor(request)
    return market_of(request) is None or (visitor is not None and visitor.includes(Role.EXPERT))


def _form_token(visitor: Visitor, *, nobody: bool = False) -> Markup:
    """The field of a form that changes something.

    Args:
        nobody: whether it is needed without a session too; then the browser gets a cookie.
    """
    if visitor.session is None and not nobody:
        return Markup()
    return Markup('<input type="hidden" name="csrf" value="{}">').format(visitor.form_token)


def _waiting(server: ServerState) -> dict[str, int]:
    """How many decisions wait; none without a database, so that the page that says so is shown."""
    try:
        return {
            "photos": server.in_doubt(),
            "look_alikes": server.proposed(),
            "cases": server.workspace.catalogue.cases.count(CaseState.OPEN),
        }
    except (StorageError, WorkspaceError):
        return {"photos": 0, "look_alikes": 0, "cases": 0}


def _shown_filter(where: Mapping[str, Sequence[str]], language: str) -> str:
    """The values of a filter, as they are written in a sentence."""
    return " · ".join(
        "/".join((good(value, language) or "") if name == "category" else value for value in values)
        for name, values in where.items()
    )


def _other_detections(found: Identification, language: str) -> list[list[dict[str, Any]] | None]:
    """What was found in each photo but its main object: boxes with names, to be taken instead."""
    return [
        None
        if detections is None
        else [
            {"box": one.box.xyxy, "name": good(one.category, language)}
            for one in detections
            if one is not main_detection(detections)
        ]
        for detections in found.detections
    ]


def _versioned(name: str) -> str:
    version = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={version}"


def _in_language(request: Request, code: str) -> str:
    """Return the address of this page in another language."""
    if request.method != "GET":
        return f"/?lang={code}"
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in query if name != "lang"]
    path = "/" + quote(request.scope["path"]).lstrip("/")  # never //host, which leads elsewhere
    return f"{path}?{urlencode([*kept, ('lang', code)])}"
