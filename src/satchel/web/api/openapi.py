"""Helpers that complete the OpenAPI description of the endpoints."""

from __future__ import annotations

from typing import Any, Final

from satchel.web.problems import ProblemDetails

DESCRIPTIONS: Final = {
    400: "No photos, or more than one item may have; a filter that no product passes; a box "
    "that is not on its photo; codes that make no group; or an edit that changes nothing.",
    401: "Nobody is logged in and there is no API key, or e-mail address and password do not fit.",
    403: "The account or the API key may not do this, or the token of the session is missing.",
    404: "The catalogue does not have it.",
    409: "A code is taken, or a later edit is in the way.",
    410: "A photo or an answer is no longer kept: send the photos again.",
    413: "A photo, or all of them together, are too large.",
    415: "A file is not a photo of a known format.",
    422: "A photo is empty or damaged, or a parameter does not fit.",
    429: "Too many identifications or tries in a short time; see Retry-After.",
    503: "There is no index yet, too many are waiting, or the server's files cannot be used now: "
    "see Retry-After.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe which problems an endpoint answers."""
    return {
        status: {"model": ProblemDetails, "description": DESCRIPTIONS[status]}
        for status in statuses
    }


def curl(command: str) -> dict[str, Any]:
    """An example for the reference, as the OpenAPI extension that documentation tools know."""
    return {"x-codeSamples": [{"lang": "Shell", "label": "curl", "source": command}]}
