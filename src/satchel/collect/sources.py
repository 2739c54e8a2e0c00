"""Sources: services that name photos for a query. `SOURCES` opens them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from satchel.collect.browser import profiles
from satchel.collect.permissions import Permissions
from satchel.collect.queries import Query
from satchel.collect.rules import CollectRules
from satchel.errors import UsageError
from satchel.fetch.client import FetchClient

FILES: Final = "collect"
"""Folder of a workspace for what collecting writes: photos on their way, answers of sources."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that a source names.

    Attributes:
        url: of the photo in full size.
        page: that shows it.
        title: of the page or the photo.
        license: as the source states it.
        thumbnail: URL of a small version.
    """

    url: str
    page: str | None = None
    title: str | None = None
    license: str | None = None
    thumbnail: str | None = None


class Source(Protocol):
    """Answers queries with photos. Used by one thread."""

    @property
    def pause_s(self) -> float:
        """Seconds between two searches, at least."""

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        """Return photos for a query, the best first.

        Args:
            most: that are of use.

        Raises:
            SearchFailed: this query cannot be answered; others may be.
            SourceStopped: no query can be: a captcha, a block, a quota, pages that are not
                understood. The query is made again by the next run.
        """

    def save_answer(self, folder: Path) -> Sequence[Path]:
        """Write what the last search was answered with, for people, and return the files."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What sources work with.

    Attributes:
        folder: the workspace.
        headers: of requests to sites, with the user agent.
        ignore_robots_of: sources that are searched although their robots.txt does not allow it.
    """

    folder: Path
    rules: CollectRules
    client: FetchClient
    permissions: Permissions
    headers: Mapping[str, str]
    ignore_robots_of: frozenset[str] = frozenset()


Opener = Callable[[SourceContext], AbstractContextManager[Source]]
"""Opens a source. Raises UsageError where it cannot be used: a key or a program is missing."""


def _open_api(name: str, context: SourceContext) -> AbstractContextManager[Source]:
    from satchel.collect.apis import APIS, open_api  # noqa: PLC0415 - it imports this module

    return open_api(APIS[name], context)


SOURCES: Final[dict[str, Opener]] = {
    "brave": partial(_open_api, "brave"),
    "naver-api": partial(_open_api, "naver-api"),
    "serpapi": partial(_open_api, "serpapi"),
}
"""Name of an API → how it is opened."""


def _open_pages(name: str, context: SourceContext) -> AbstractContextManager[Source]:
    from satchel.collect.browser.source import open_pages  # noqa: PLC0415 - imports this module

    return open_pages(name, context)


def source_names(folder: Path) -> list[str]:
    """Return the names of all sources: APIs, and image-search pages of which there is a profile.

    Args:
        folder: the workspace.
    """
    return sorted({*SOURCES, *profiles.names(folder / profiles.FOLDER)})


def open_source(name: str, context: SourceContext) -> AbstractContextManager[Source]:
    """Open a source.

    Raises:
        UsageError: there is none of this name, or it cannot be used.
    """
    return opener(name, context.folder)(context)


def opener(name: str, folder: Path) -> Opener:
    """Return how a source is opened.

    Raises:
        UsageError: there is none of this name.
    """
    known = source_names(folder)
    if name not in known:
        raise UsageError(f"expected a source ({', '.join(known)}), got {name!r}")
    return SOURCES.get(name) or partial(_open_pages, name)
