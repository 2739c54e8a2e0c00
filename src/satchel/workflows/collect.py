"""`satchel collect`: photos from the web for codes that are known, into a workspace."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from satchel.collect.crawl import ALL, Crawled, Portion, Storage, crawl
from satchel.collect.hosts import Patience
from satchel.collect.lists import UrlList
from satchel.collect.recording import Recorded, record
from satchel.collect.records import HostCount, ReasonCount, SourceCount
from satchel.collect.sources import FILES
from satchel.collect.store import CandidateStore
from satchel.decoding.pool import DecoderPool
from satchel.fetch.client import FetchClient
from satchel.progress import SILENT, Progress
from satchel.workflows.collecting import collecting, fetch_rules
from satchel.workflows.refusals import Refusals
from satchel.workspace import Workspace

REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class CollectReport:
    """All candidates: by host, by product and source, and why photos were not taken."""

    hosts: list[HostCount]
    sources: list[SourceCount]
    reasons: list[ReasonCount]


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
    portion: Portion = ALL,
    progress: Progress = SILENT,
) -> Crawled:
    """Fetch and store the candidates that wait.

    Args:
        retry: also those that failed in earlier runs.
        portion: of them; default, all.

    Raises:
        UsageError: no contact is set, or another process collects.
        StorageError, WorkspaceError, DecoderError: nothing can be stored.
    """
    rules = workspace.settings.collect
    candidates = CandidateStore(workspace.catalogue.engine)
    with collecting(workspace) as headers, ExitStack() as files:
        if retry:
            candidates.retry_failed()
        limits = workspace.settings.photos.limits()
        decoder = files.enter_context(DecoderPool(memory_bytes=limits.max_decode_bytes))
        client = files.enter_context(FetchClient(fetch_rules(workspace)))
        progress.begin("collect", sum(candidates.waiting_hosts(chosen=portion.chosen).values()))
        storage = Storage(
            workspace.folder / FILES,
            candidates,
            workspace.catalogue,
            workspace.photos,
            limits,
            decoder,
        )
        return crawl(
            storage,
            client,
            rules,
            headers,
            patience=patience,
            portion=portion,
            progress=progress,
        )


def report(workspace: Workspace) -> CollectReport:
    """Count all candidates."""
    candidates = CandidateStore(workspace.catalogue.engine)
    return CollectReport(
        candidates.counts(), candidates.source_counts(), candidates.reasons(REASONS)
    )
