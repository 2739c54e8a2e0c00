"""Filters in requests: `?brand=…&category=…&colour=…&where=attribute=value`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from satchel.catalog.filters import MAX_CHARS, MAX_PAIRS, parse_where

Pairs = Annotated[
    Sequence[Annotated[str, Field(max_length=2 * MAX_CHARS + 1)]], Field(max_length=MAX_PAIRS)
]
"""ATTRIBUTE=VALUE texts, or values."""

WherePairs = Annotated[
    Sequence[
        Annotated[
            str,
            Field(
                max_length=2 * MAX_CHARS + 1,
                json_schema_extra={"pattern": r"^[^=]*[^=\s][^=]*=.*\S"},  # as `parse_where` reads
            ),
        ]
    ],
    Field(max_length=MAX_PAIRS),
]
"""ATTRIBUTE=VALUE texts, described as such in the API."""


async def query_filter(
    brand: Annotated[Pairs, Query(description="Only products of this brand.")] = (),
    category: Annotated[Pairs, Query(description="Only of this category.")] = (),
    colour: Annotated[Pairs, Query(description="Only of this colour.")] = (),
    where: Annotated[
        WherePairs,
        Query(
            description="ATTRIBUTE=VALUE: only products with this value, of any attribute of the "
            "catalogue."
        ),
    ] = (),
) -> list[str]:
    """Collect the filter of a request's query, as ATTRIBUTE=VALUE texts."""
    named = {"brand": brand, "category": category, "colour": colour}
    return [*where, *(f"{name}={value}" for name, values in named.items() for value in values)]


QueryFilter = Annotated[list[str], Depends(query_filter)]
"""Dependency type: the filter in the query, as ATTRIBUTE=VALUE texts."""


def joined(*texts: Sequence[str]) -> dict[str, list[str]]:
    """Read the filters of query and form as one.

    Raises:
        UsageError: one of them is not ATTRIBUTE=VALUE.
    """
    return parse_where([text for some in texts for text in some])
