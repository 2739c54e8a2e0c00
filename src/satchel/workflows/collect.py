"""`satchel collect`: photos from the web for codes that are known, into a workspace."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from satchel.collect.crawl import Crawled, Storage, crawl
from satchel.collect.hosts import Patience
from satchel.collect.lists import UrlList
from satchel.collect.permissions import user_agent
from satchel.collect.recording import Recorded, record
from satchel.collect.records import HostCount, ReasonCount
from satchel.collect.store import CandidateStore
from satchel.decoding.pool import DecoderPool
from satchel.errors import UsageError
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules
from satchel.files import locked
from satchel.progress import SILENT, Progress
from satchel.workflows.refusals import Refusals
from satchel.workspace import Workspace

MAX_SECONDS: Final = 60.0
MAX_REDIRECTS: Final = 5
FOLDER: Final = "collect"
REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class CollectReport:
    """All candidates of a workspace: by host, and why photos were not taken."""

    hosts: list[HostCount]
    reasons: list[ReasonCount]


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


def record_list(
    workspace: Workspace,
    urls: UrlList,
    name: str,
    *,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> tuple[Recorded, Refusals]:
    """Make candidates of a list of URLs, and products of the codes that are new.

    Args:
        name: of the list.
        dry_run: only count; nothing is written.

    Raises:
        StorageError, WorkspaceError: the database cannot be written.
    """
    refusals = Refusals()
    progress.begin("read", urls.total)
    done = record(
        urls.found(),
        name,
        workspace.catalogue,
        CandidateStore(workspace.catalogue.engine),
        rules=fetch_rules(workspace),
        on_problem=refusals.add,
        dry_run=dry_run,
        progress=progress,
    )
    return done, refusals


def collect_photos(
    workspace: Workspace,
    *,
    retry: bool = False,
    patience: Patience | None = None,
    progress: Progress = SILENT,
) -> Crawled:
    """Fetch and store every candidate that waits.

    Args:
        retry: also those that failed in earlier runs.

    Raises:
        UsageError: no contact is set, or another process collects.
        StorageError, WorkspaceError, DecoderError: nothing can be stored.
    """
    rules = workspace.settings.collect
    if not rules.contact.strip():
        raise UsageError(
            "expected a contact in satchel.toml, so that sites can reach you: [collect] contact = "
            '"you@example.com", or the address of a page; nothing was fetched'
        )
    folder = workspace.folder / FOLDER
    folder.mkdir(exist_ok=True)
    candidates = CandidateStore(workspace.catalogue.engine)
    with ExitStack() as files:
        files.enter_context(locked(folder / "lock", "satchel collect"))
        if retry:
            candidates.retry_failed()
        limits = workspace.settings.photos.limits()
        decoder = files.enter_context(DecoderPool(memory_bytes=limits.max_decode_bytes))
        client = files.enter_context(FetchClient(fetch_rules(workspace)))
        progress.begin("collect", sum(candidates.waiting_hosts().values()))
        storage = Storage(
            folder, candidates, workspace.catalogue, workspace.photos, limits, decoder
        )
        headers = {"User-Agent": user_agent(rules.contact.strip())}
        return crawl(storage, client, rules, headers, patience=patience, progress=progress)


def report(workspace: Workspace) -> CollectReport:
    """Count all candidates."""
    candidates = CandidateStore(workspace.catalogue.engine)
    return CollectReport(candidates.counts(), candidates.reasons(REASONS))
