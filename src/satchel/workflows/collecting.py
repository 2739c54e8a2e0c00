"""What every step of collecting needs: a contact, the lock, what may be requested and how."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from satchel.collect.permissions import Permissions, user_agent
from satchel.collect.sources import FILES, SourceContext
from satchel.errors import UsageError
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules
from satchel.files import locked
from satchel.workspace import Workspace

MAX_SECONDS: Final = 60.0
MAX_REDIRECTS: Final = 5
LOCK: Final = "lock"
ANSWERS: Final = "answers"


def fetch_rules(workspace: Workspace) -> FetchRules:
    """What may be requested: public addresses over http and https, and what `[fetch]` allows."""
    settings = workspace.settings
    return FetchRules(
        http=True,
        networks=settings.fetch.networks,
        max_bytes=settings.photos.max_bytes,
        max_seconds=MAX_SECONDS,
        max_redirects=MAX_REDIRECTS,
    )


def contact_of(workspace: Workspace) -> str:
    """Return how sites reach whoever collects.

    Raises:
        UsageError: the settings do not say.
    """
    contact = workspace.settings.collect.contact.strip()
    if not contact:
        raise UsageError(
            "expected a contact in satchel.toml, so that sites can reach you: [collect] contact = "
            '"you@example.com", or the address of a page; nothing was fetched'
        )
    return contact


@contextmanager
def collecting(workspace: Workspace) -> Iterator[dict[str, str]]:
    """Hold the lock of collecting; yields the headers of requests.

    Raises:
        UsageError: no contact is set, or another process collects.
    """
    contact = contact_of(workspace)
    folder = workspace.folder / FILES
    folder.mkdir(exist_ok=True)
    with locked(folder / LOCK, "satchel collect"):
        yield {"User-Agent": user_agent(contact)}


def source_context(
    workspace: Workspace,
    client: FetchClient,
    headers: Mapping[str, str],
    ignore_robots_of: Collection[str] = (),
) -> SourceContext:
    """Return what sources and thumbnails are requested with."""
    rules = workspace.settings.collect
    permissions = Permissions(client, headers, rules.permitted)
    return SourceContext(
        workspace.folder, rules, client, permissions, headers, frozenset(ignore_robots_of)
    )
