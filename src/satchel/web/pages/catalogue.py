"""`/catalogue`: edit a product and its photos, see what was edited, undo it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.headers import column_name
from satchel.catalog.rows import tidy
from satchel.market.roles import Role
from satchel.records import PRODUCT_FIELDS, Product, ProductPhoto
from satchel.web.access import allow
from satchel.web.links import edit_link
from satchel.web.pages.rendering import pages_of
from satchel.web.pages.review import MOST_ID, WHO_CHARS, reviewer, signed, suggested_codes
from satchel.web.signatures import Sign
from satchel.web.state import Server, ServerState

PATH: Final = "/catalogue"
MOST_COLUMNS: Final = 300
EDITS_SHOWN: Final = 50
OF_PRODUCT_SHOWN: Final = 10

Code = Annotated[str, Field(max_length=200)]


class _Form(BaseModel):
    """An edit of one product, and who makes it."""

    code: Code
    who: str = Field("", max_length=WHO_CHARS)


class ColumnsForm(_Form):
    """Columns with their values, in pairs; of a photo, where one is named."""

    photo: str = Field("", max_length=64)
    column: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=MOST_COLUMNS
    )
    value: list[Annotated[str, Field(max_length=4_000)]] = Field(
        default_factory=list, max_length=MOST_COLUMNS
    )


class OtherCodeForm(_Form):
    """A product and another code."""

    other: Code


class DeletionForm(_Form):
    """A product to delete, or one of its photos."""

    photo: str = Field("", max_length=64)


class UndoEditForm(BaseModel):
    """Which edit to undo, and the product whose page it was undone on."""

    decision: int = Field(ge=0, le=MOST_ID)
    who: str = Field("", max_length=WHO_CHARS)
    back: Literal["edits", "product"] = "edits"
    code: str = Field("", max_length=200)


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("/edit")
def edit_product(
    request: Request, server: Server, code: Annotated[str, Query(max_length=200)]
) -> Response:
    """Show the columns of a product and of its photos, to be edited."""
    catalogue = server.workspace.catalogue
    product, photos = catalogue.product(code), catalogue.photos_of(code)
    return pages_of(request).render(
        request,
        "edit.html",
        product=product,
        columns=_product_columns(product),
        photos=[(photo, _photo_columns(photo, product)) for photo in photos],
        found=any(photo.state in ("kept", "doubtful") for photo in photos),
        edits=catalogue.edits.history(code=code, limit=OF_PRODUCT_SHOWN),
        who=reviewer(request),
    )


@router.get("/edits")
def edits(request: Request, server: Server) -> Response:
    """Show the last edits, each with a button to undo it."""
    history = server.workspace.catalogue.edits.history(limit=EDITS_SHOWN)
    return pages_of(request).render(request, "edits.html", edits=history, who=reviewer(request))


@router.get("/codes")
def other_codes(
    request: Request, server: Server, other: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Suggest codes for a search word, as the options of a list."""
    return suggested_codes(request, server, other)


@router.post("/edit")
def save_columns(server: Server, sign: Sign, form: Annotated[ColumnsForm, Form()]) -> Response:
    """Set the columns that are new or have another value."""
    values = _changed(server, form)
    if values:
        server.workspace.catalogue.edits.edit(
            form.code, values, photo=form.photo or None, by=sign(form.who)
        )
    return _back(form.code, form)


@router.post("/rename")
def rename_product(server: Server, sign: Sign, form: Annotated[OtherCodeForm, Form()]) -> Response:
    """Give a product another code."""
    done = server.workspace.catalogue.edits.rename(form.code, form.other, by=sign(form.who))
    return _back(done.codes[-1], form)


@router.post("/merge")
def merge_product(server: Server, sign: Sign, form: Annotated[OtherCodeForm, Form()]) -> Response:
    """Merge a product into another one."""
    other = form.other.strip()
    server.workspace.catalogue.edits.merge(form.code, other, by=sign(form.who))
    server.reindexing.soon()
    return _back(other, form)


@router.post("/delete")
def delete_from_catalogue(
    server: Server, sign: Sign, form: Annotated[DeletionForm, Form()]
) -> Response:
    """Delete a product, or one of its photos."""
    edits = server.workspace.catalogue.edits
    if form.photo:
        edits.delete_photos(form.code, [form.photo], by=sign(form.who))
    else:
        edits.delete_product(form.code, by=sign(form.who))
    server.reindexing.soon()
    if form.photo:
        return _back(form.code, form)
    return signed(RedirectResponse(f"{PATH}/edits", 303), form.who)


@router.post("/undo")
def undo_edit(server: Server, sign: Sign, form: Annotated[UndoEditForm, Form()]) -> Response:
    """Undo an edit."""
    catalogue = server.workspace.catalogue
    undone = catalogue.edits.undo(form.decision, by=sign(form.who))
    server.reindexing.soon()
    codes = (form.code, *undone.codes) if form.back == "product" else ()
    here = next((code for code in codes if catalogue.has_product(code)), None)
    target = f"{PATH}/edits" if here is None else edit_link(here)
    return signed(RedirectResponse(target, 303), form.who)


def _back(code: str, form: _Form) -> Response:
    """Answer with the page of the product, and keep the name of who edits."""
    return signed(RedirectResponse(edit_link(code), 303), form.who)


def _product_columns(product: Product) -> dict[str, str]:
    """The columns that are edited for the product as a whole, with their values."""
    own = {name: getattr(product, name) or "" for name in PRODUCT_FIELDS}
    return own | dict(product.attributes)


def _photo_columns(photo: ProductPhoto, product: Product) -> dict[str, str]:
    """The columns that are edited for a photo, with their values."""
    own = {"role": photo.role, "source": photo.source, "license": photo.license}
    varying = {n: value for n, value in photo.attributes.items() if n not in product.attributes}
    return {name: value or "" for name, value in own.items()} | varying


def _changed(server: ServerState, form: ColumnsForm) -> dict[str, str]:
    """The columns of a form whose value is another one than in the catalogue."""
    catalogue = server.workspace.catalogue
    product = catalogue.product(form.code)
    known: Mapping[str, str] = _product_columns(product)
    if form.photo:
        photos: Sequence[Any] = catalogue.photos_of(form.code)
        known = next(
            (_photo_columns(one, product) for one in photos if one.sha256 == form.photo), {}
        )
    given = zip(form.column, form.value, strict=False)
    pairs = {column_name(name): tidy(value) for name, value in given if name.strip()}
    return {name: value for name, value in pairs.items() if known.get(name, "") != value}
