"""`GET /api/v1/cases.csv`: the cases as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from satchel.catalog.cases import Case, CaseState
from satchel.catalog.exporters import csv_lines
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.links import case_link
from satchel.web.state import Server

COLUMNS: Final = (
    "at",
    "state",
    "code",
    "expert",
    "note",
    "by",
    "changed_at",
    "verdict",
    "candidates",
    "photos",
    "case",
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters by which a spreadsheet takes a cell for a formula."""

router = APIRouter(tags=["identification"])


@router.get(
    "/api/v1/cases.csv",
    dependencies=[allow(Role.EXPERT, scope=Scope.CATALOGUE_READ)],
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {}}, "description": "The table."},
        **problems(422),
    },
    openapi_extra=curl("curl -O '{base}/api/v1/cases.csv'"),
)
def cases_csv(
    request: Request,
    server: Server,
    state: Annotated[
        Literal["", "open", "named", "none"], Query(description="Only cases in this state.")
    ] = "",
    query: Annotated[
        str, Query(max_length=200, description="A part of the code, the note or the name.")
    ] = "",
) -> StreamingResponse:
    """Give every case as a row, the last one first, as CSV that Excel opens.

    Times are in UTC. A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    wanted = CaseState(state) if state else None
    cases = server.workspace.catalogue.cases.all(wanted, query=query.strip())
    base = str(request.base_url).rstrip("/")
    headers = {
        "Content-Disposition": 'attachment; filename="cases.csv"',
        "Cache-Control": "private, no-store",
    }
    lines = csv_lines(COLUMNS, _rows(cases, base))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _rows(cases: Iterator[Case], base: str) -> Iterator[dict[str, str]]:
    for case in cases:
        row = {
            "at": f"{case.at:%Y-%m-%d %H:%M:%S}",
            "state": case.state.value,
            "code": case.code or "",
            "expert": "yes" if case.expert else "",
            "note": case.note,
            "by": case.by,
            "changed_at": f"{case.changed_at:%Y-%m-%d %H:%M:%S}",
            "verdict": case.verdict,
            "candidates": "; ".join(f"{c.code} {c.confidence:.0%}" for c in case.candidates),
            "photos": str(len(case.photos)) if case.photo_bytes else "",
            "case": base + case_link(case.token),
        }
        yield {name: plain(text) for name, text in row.items()}


def plain(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
