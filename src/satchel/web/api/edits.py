"""`/api/v1/edits`: edit products and photos of the catalogue, undo edits, list them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from satchel.edit_schemas import CatalogueEdit
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.edit_schemas import ColumnEdit, Deletion, EditPage, Merging, Renaming, Undoing
from satchel.web.signatures import Sign
from satchel.web.state import Server

MAX_EDITS: Final = 100

READ: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_READ)
WRITE: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_WRITE)

router = APIRouter(prefix="/api/v1/edits", tags=["catalogue"])


def _example(path: str, body: str) -> dict[str, object]:
    return curl(
        f"curl -H 'Content-Type: application/json' -d '{body}' '{{base}}/api/v1/edits{path}'"
    )


@router.get(
    "",
    dependencies=[READ],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/edits?code=M22675'"),
)
def edits(
    server: Server,
    code: Annotated[
        str | None, Query(max_length=200, description="Only edits that name this code.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_EDITS, description="Edits given.")] = 48,
) -> EditPage:
    """List the last edits, the latest first, those included that were undone."""
    found = server.workspace.catalogue.edits.history(limit=limit, code=code)
    return EditPage(edits=[CatalogueEdit.of(one) for one in found])


@router.post(
    "/columns",
    dependencies=[WRITE],
    responses=problems(400, 404, 422),
    openapi_extra=_example("/columns", '{"code": "M22675", "values": {"colour": "navy"}}'),
)
def edit_columns(server: Server, edit: ColumnEdit, sign: Sign) -> CatalogueEdit:
    """Set columns of a product, or of one of its photos.

    Brand, name, category, colour and size are the product's. `role`, `source`, `license` and all
    other columns are kept with photos: without `photo` they are set on all photos of the product.
    """
    edits = server.workspace.catalogue.edits
    done = edits.edit(edit.code, edit.values, photo=edit.photo, by=sign(edit.by), why=edit.why)
    return CatalogueEdit.of(done)


@router.post(
    "/rename",
    dependencies=[WRITE],
    responses=problems(400, 404, 409, 422),
    openapi_extra=_example("/rename", '{"code": "M22675", "new": "M22675-N"}'),
)
def rename(server: Server, edit: Renaming, sign: Sign) -> CatalogueEdit:
    """Give a product another code; later imports with the old code go to it."""
    edits = server.workspace.catalogue.edits
    return CatalogueEdit.of(edits.rename(edit.code, edit.new, by=sign(edit.by), why=edit.why))


@router.post(
    "/merge",
    dependencies=[WRITE],
    responses=problems(400, 404, 422),
    openapi_extra=_example("/merge", '{"code": "M22675-OLD", "into": "M22675"}'),
)
def merge(server: Server, edit: Merging, sign: Sign) -> CatalogueEdit:
    """Merge a product into another one, which keeps its code and values; later imports follow."""
    edits = server.workspace.catalogue.edits
    done = edits.merge(edit.code, edit.into, by=sign(edit.by), why=edit.why)
    server.reindexing.soon()
    return CatalogueEdit.of(done)


@router.post(
    "/delete",
    dependencies=[WRITE],
    responses=problems(400, 404, 422),
    openapi_extra=_example("/delete", '{"code": "M22675", "why": "not sold any more"}'),
)
def delete(server: Server, edit: Deletion, sign: Sign) -> CatalogueEdit:
    """Delete a product, or one of its photos; imports leave it out until that is undone.

    Files and embeddings stay until `satchel catalog purge` erases them.
    """
    edits = server.workspace.catalogue.edits
    if edit.photo is None:
        done = edits.delete_product(edit.code, by=sign(edit.by), why=edit.why)
    else:
        done = edits.delete_photos(edit.code, [edit.photo], by=sign(edit.by), why=edit.why)
    server.reindexing.soon()
    return CatalogueEdit.of(done)


@router.post(
    "/undo",
    dependencies=[WRITE],
    responses=problems(404, 409, 422),
    openapi_extra=_example("/undo", '{"decision": 12}'),
)
def undo_edit(server: Server, edit: Undoing, sign: Sign) -> CatalogueEdit:
    """Undo an edit: what it changed is as it was before."""
    undone = server.workspace.catalogue.edits.undo(edit.decision, by=sign(edit.by))
    server.reindexing.soon()
    return CatalogueEdit.of(undone)
