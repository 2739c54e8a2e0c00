"""Whether a profile still fits its site: which parts work in a search with known results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from satchel.collect.browser.search import PageSearch, Part
from satchel.collect.browser.source import CHECKED, BrowserSource
from satchel.collect.queries import Query
from satchel.collect.sources import Source
from satchel.errors import PageFailed, SearchFailed, SourceStopped

SEARCH: Final = "search"
KNOWN: Final = "leather handbag"
ROBOTS: Final = "robots.txt"
LEAST_WITH_URL: Final = 0.5
"""Share of the results whose photo's URL is found, at least."""


@dataclass(frozen=True, slots=True)
class PartCheck:
    """A part of a profile.

    Attributes:
        works: None where that is not known: it was not reached, or not needed.
        said: what happened, for people.
    """

    part: str
    works: bool | None
    said: str


def check_source(source: BrowserSource) -> list[PartCheck]:
    """Make a search that is known to have results, and say which parts of the profile work."""
    try:
        source.check_allowed()
        allowed = PartCheck(ROBOTS, True, "allows the search, or is ignored on your word")
    except SourceStopped as error:
        return [PartCheck(ROBOTS, False, str(error)), *_not_reached(list(Part))]
    return [allowed, *_parts(source)]


def check_api(source: Source) -> PartCheck:
    """Make a search that is known to have results at an API."""
    try:
        found = len(source.search(Query("", KNOWN), 10))
    except (SearchFailed, SourceStopped) as error:
        return PartCheck(SEARCH, False, str(error))
    return PartCheck(SEARCH, found > 0, f"{found:,} photos for {KNOWN!r}")


def _parts(source: BrowserSource) -> list[PartCheck]:
    try:
        done = source.look_up(source.check_query, CHECKED)
    except PageFailed as error:
        return _until(Part(error.part), str(error))
    if not done.results:
        said = f"no result for {source.check_query!r} is where the profile says"
        return _until(Part.RESULTS, said)
    return [
        PartCheck(Part.PAGE, True, "opens"),
        PartCheck(Part.BLOCK, True, "no captcha, no block"),
        PartCheck(Part.CONSENT, done.consent or None, _consent(done)),
        PartCheck(Part.RESULTS, True, f"{done.results:,} came into view"),
        _full_size(done),
        _more(done),
    ]


def _until(failed: Part, said: str) -> list[PartCheck]:
    """The checks of a search that ended at a part."""
    parts = list(Part)
    at = parts.index(failed)
    reached = (PartCheck(part, None if part is Part.CONSENT else True, "") for part in parts[:at])
    return [*reached, PartCheck(failed, False, said), *_not_reached(parts[at + 1 :])]


def _not_reached(parts: Sequence[Part]) -> list[PartCheck]:
    return [PartCheck(part, None, "not reached") for part in parts]


def _consent(done: PageSearch) -> str:
    return "a wall was there, and its button takes it away" if done.consent else "no wall was there"


def _full_size(done: PageSearch) -> PartCheck:
    with_url = done.results - done.without_url
    works = with_url >= LEAST_WITH_URL * done.results
    return PartCheck(
        Part.FULL_SIZE, works, f"{with_url:,} of {done.results:,} results have a photo's URL"
    )


def _more(done: PageSearch) -> PartCheck:
    if done.grew:
        return PartCheck(Part.MORE, True, f"{done.first:,} at first, then further ones")
    if len(done.hits) >= CHECKED:
        return PartCheck(Part.MORE, None, f"not needed: {done.first:,} at once")
    return PartCheck(Part.MORE, False, f"{done.first:,} at first, and no further ones come")
