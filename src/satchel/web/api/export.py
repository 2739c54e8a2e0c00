"""`/api/v1/catalogue.csv` and `.jsonl`: the table that `satchel import` reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from satchel.catalog.exporters import TableFormat, csv_lines, json_lines
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl
from satchel.web.state import Server

MEDIA_TYPES: Final = {
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.JSONL: "application/x-ndjson",
}

router = APIRouter(
    tags=["catalogue"], dependencies=[allow(Role.EXPERT, scope=Scope.CATALOGUE_READ)]
)


@router.get(
    "/api/v1/catalogue.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "The table."}},
    openapi_extra=curl("curl -O '{base}/api/v1/catalogue.csv'"),
)
def catalogue_csv(server: Server) -> StreamingResponse:
    """Give every product as a row for each of its photos, as CSV.

    The column `photo` is the photo's path on this server too. `satchel catalog export` writes the
    table together with the photos.
    """
    export = server.workspace.catalogue.exports
    return _table(TableFormat.CSV, csv_lines(export.columns(), export.rows()))


@router.get(
    "/api/v1/catalogue.jsonl",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}}, "description": "The table."}},
    openapi_extra=curl("curl -O '{base}/api/v1/catalogue.jsonl'"),
)
def catalogue_jsonl(server: Server) -> StreamingResponse:
    """Give every product as a line for each of its photos, as JSON Lines."""
    return _table(TableFormat.JSONL, json_lines(server.workspace.catalogue.exports.rows()))


def _table(table_format: TableFormat, lines: Iterator[str]) -> StreamingResponse:
    name = f'attachment; filename="catalogue.{table_format}"'
    headers = {"Content-Disposition": name, "Cache-Control": "private, no-store"}
    return StreamingResponse(lines, media_type=MEDIA_TYPES[table_format], headers=headers)
