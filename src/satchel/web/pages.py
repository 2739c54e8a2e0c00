"""The pages: what people see. Fragments for htmx and whole pages come from the same templates."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from satchel.catalog.store import Catalogue
from satchel.errors import WorkspaceError
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.lookalikes.differences import differences
from satchel.photo_formats import readable_formats
from satchel.web.api import MAX_OFFSET
from satchel.web.headers import POLICY, SECURITY_HEADERS
from satchel.web.hosts import BAD_HOST, UNKNOWN_HOST
from satchel.web.languages import COOKIE, HERE, NAMES, chosen_language, load_languages
from satchel.web.links import photo_link, product_link, thumbnail_link
from satchel.web.problems import Problem
from satchel.web.reference import operations, schemas
from satchel.web.serving import Served, Serving
from satchel.web.uploads import received

STATIC: Final = HERE / "static"
PAGE_PRODUCTS: Final = 48
YEAR_S: Final = 365 * 24 * 60 * 60
FOR_PROGRAMS: Final = ("/api/", "/photos/", "/thumbnails/", "/healthz", "/openapi.json", "/static/")


class Pages:
    """Renders templates in the reader's language."""

    def __init__(self) -> None:
        self._style = (STATIC / "satchel.css").read_text(encoding="utf-8")
        self._languages = load_languages(
            {
                "languages": NAMES,
                "max_photos": MAX_ITEM_PHOTOS,
                "accepted_files": ",".join(map(_file_type, readable_formats())),
                "photo_link": photo_link,
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
        values |= _waiting(_serving(request))
        return self._answer(request, template, status, headers or {}, values)

    def _answer(
        self,
        request: Request,
        template: str,
        status: int,
        headers: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> HTMLResponse:
        language = self._languages[chosen_language(request)]
        html = language.templates.get_template(template).render(
            language=language.code,
            in_language={code: _in_language(request, code) for code in NAMES},
            path=request.scope["path"],
            **values,
        )
        response = HTMLResponse(html, status, dict(headers))
        response.headers["Content-Language"] = language.code
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers["Vary"] = "Accept-Language, Cookie, HX-Request"
        if request.query_params.get("lang") == language.code:
            response.set_cookie(
                COOKIE, language.code, max_age=YEAR_S, httponly=True, samesite="lax"
            )
        return response

    def problem(self, request: Request, problem: Problem) -> HTMLResponse:
        """Tell a problem in plain words, in place or as a page."""
        if problem.kind in (UNKNOWN_HOST, BAD_HOST):
            return self._host_problem(request, problem)
        template = "_problem.html" if is_fragment(request) else "problem.html"
        limits = _serving(request).workspace.settings.photos
        return self.render(
            request, template, problem.kind.status, problem.headers, problem=problem, limits=limits
        )

    def _host_problem(self, request: Request, problem: Problem) -> HTMLResponse:
        """Tell that the host is wrong, on a page of its own.

        It asks for nothing else, since that would be refused as well, so it holds its stylesheet.
        And it says nothing of the catalogue: another site's page may read it.
        """
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = SECURITY_HEADERS[POLICY].replace(
            "style-src 'self'", f"style-src 'sha256-{digest}'"
        )
        headers = {**problem.headers, POLICY: policy}
        values = {"problem": problem, "style": self._style}
        return self._answer(request, "wrong_host.html", problem.kind.status, headers, values)


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, for a part of a page."""
    return "hx-request" in request.headers


def wants_page(request: Request) -> bool:
    """Whether a person reads the answer, rather than a program."""
    if request.scope["path"].startswith(FOR_PROGRAMS):
        return False
    return is_fragment(request) or "text/html" in request.headers.get("accept", "")


class VersionedFiles(StaticFiles):
    """Static files; an address that carries the file's version may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer one file."""
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v=") and response.status_code in (200, 304):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


# -- addresses ----------------------------------------------------------------------------------

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
def home(request: Request, serving: Served) -> Response:
    """Show where photos are dropped."""
    return pages_of(request).render(request, "index.html", **_home_values(serving), found=None)


@router.post("/identify")
def identify(
    request: Request, serving: Served, photos: Annotated[list[UploadFile], File()]
) -> Response:
    """Answer an identification: the part below the photos, or without JavaScript the page."""
    found = serving.identify(received(photos))
    if is_fragment(request):
        return pages_of(request).render(request, "_result.html", found=found)
    return pages_of(request).render(request, "index.html", **_home_values(serving), found=found)


@router.get("/identify")
def identify_again() -> Response:
    """Lead a reader who reloads an answer back to the start."""
    return RedirectResponse("/", 303)


@router.get("/products")
def products(
    request: Request,
    serving: Served,
    query: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    """Show the catalogue, or the part of it that matches."""
    page = serving.workspace.catalogue.products(query, offset=offset, limit=PAGE_PRODUCTS)
    after = offset + len(page.products)
    template = "products.html"
    if is_fragment(request):
        template = "_more_products.html" if offset else "_products.html"
    return pages_of(request).render(
        request,
        template,
        page=page,
        query=query,
        offset=offset,
        more="/products?" + urlencode({"query": query, "offset": after})
        if after < page.total and page.products
        else None,
    )


@router.get("/products/{code:path}")
def product(request: Request, serving: Served, code: str) -> Response:
    """Show one product with all its photos."""
    if not code:
        return RedirectResponse("/products", 303)
    catalogue = serving.workspace.catalogue
    return pages_of(request).render(
        request,
        "_product.html" if is_fragment(request) else "product.html",
        product=catalogue.product(code),
        photos=catalogue.photos_of(code),
        **_look_alikes(catalogue, code),
    )


@router.get("/docs")
def reference(request: Request) -> Response:
    """Show the API's reference, made from its OpenAPI description."""
    schema = request.app.openapi()
    base = str(request.base_url).rstrip("/")
    return pages_of(request).render(
        request, "docs.html", operations=operations(schema, base), schemas=schemas(schema)
    )


# -- helpers ------------------------------------------------------------------------------------


def pages_of(request: Request) -> Pages:
    """The templates of the application that a request came to."""
    pages = request.app.state.pages
    assert isinstance(pages, Pages)
    return pages


def _serving(request: Request) -> Serving:
    serving = request.app.state.serving
    assert isinstance(serving, Serving)
    return serving


def _look_alikes(catalogue: Catalogue, code: str) -> dict[str, Any]:
    """The confirmed group of a product: all its members, and in what they differ."""
    group = catalogue.look_alikes.confirmed_of(code)
    members = catalogue.products_by_id(group) if group else []
    return {
        "alike": [member.code for member in members],
        "differences": differences(members) if members else (),
    }


def _home_values(serving: Serving) -> dict[str, Any]:
    return {
        "size": serving.workspace.catalogue.size(),
        "indexed": serving.indexed(),
        "limits": serving.workspace.settings.photos,
    }


def _file_type(photo_format: str) -> str:
    """Return what `accept` of a file field says for a format.

    HEIC by suffix too: not every system knows its media type. `image/*` would not do: it counts
    as listing HEIC, and only where HEIC is not listed does Safari on a Mac turn such a photo into
    the first format that is, JPEG. An iPhone's photo library gives JPEG either way.
    """
    if photo_format == "HEIC":
        return "image/heic,image/heif,.heic,.heif"
    return f"image/{photo_format.lower()}"


def _waiting(serving: Serving) -> dict[str, int]:
    """How many decisions wait; none without a database, so that the page that says so is shown."""
    try:
        return {"doubtful": serving.in_doubt(), "proposed": serving.proposed()}
    except WorkspaceError:
        return {"doubtful": 0, "proposed": 0}


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
