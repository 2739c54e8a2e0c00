"""`/filters`: the choices of brand, category, colour and so on above the button of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.filters import parse_where
from satchel.errors import UsageError
from satchel.records import Facet, FacetValue
from satchel.web.access import EVERYBODY
from satchel.web.api.filters import Pairs
from satchel.web.pages.rendering import pages_of
from satchel.web.state import Server, ServerState

SHOWN: Final = ("brand", "category", "colour")
"""Attributes that are in sight; the others are folded away."""

MAX_SELECTS: Final = 12
MAX_OPTIONS: Final = 300
"""Values that one choice offers, those of most products."""

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)


@dataclass(frozen=True, slots=True)
class Select:
    """One attribute to choose by.

    Attributes:
        options: values that there are, by name.
        chosen: the one that is chosen; empty for none.
        cut: whether there are more values than options.
    """

    attribute: str
    options: tuple[FacetValue, ...]
    chosen: str
    cut: bool

    @property
    def shown(self) -> bool:
        """Whether it is in sight at first."""
        return self.attribute in SHOWN


@router.get("/filters")
def filters(request: Request, server: Server, where: Annotated[Pairs, Query()] = ()) -> Response:
    """Show the choices that a filter leaves, with how many products each has."""
    selects = filter_selects(server, where)
    return pages_of(request).render(request, "_filters.html", selects=selects)


def filter_selects(server: ServerState, where: Sequence[str] = ()) -> list[Select]:
    """Choices by attributes that distinguish products; a filter that nothing passes is dropped."""
    facets = server.workspace.catalogue.facets.read()
    try:
        wanted = parse_where(where)
        selection = facets.select(wanted) if wanted else None
    except UsageError:
        selection = None
    chosen = {name: values[0] for name, values in selection.where.items()} if selection else {}
    distinguishing = {one.attribute for one in facets.counts() if len(one.values) > 1}
    return [
        _select(facet, chosen.get(facet.attribute, ""))
        for facet in facets.counts(selection)
        if facet.attribute in distinguishing
    ][:MAX_SELECTS]


def _select(facet: Facet, chosen: str) -> Select:
    options = facet.values[:MAX_OPTIONS]
    by_name = tuple(sorted(options, key=lambda one: one.value.casefold()))
    return Select(facet.attribute, by_name, chosen, len(facet.values) > len(options))
