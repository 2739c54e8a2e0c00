"""How far a collection is, and URLs that people paste into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from satchel.catalog.rows import RowProblem
from satchel.collect.deciding import CandidateReview
from satchel.collect.pasted import SOURCE
from satchel.collect.recording import record
from satchel.collect.records import Counts, Found
from satchel.collect.sources import FILES
from satchel.collect.store import CandidateStore
from satchel.errors import UsageError
from satchel.files import is_locked
from satchel.jobs.records import JobState
from satchel.workflows.collecting import LOCK, contact_of, fetch_rules
from satchel.workspace import Workspace

FETCH: Final = "collect"
"""Kind of the job that fetches what people chose."""
MAX_URLS: Final = 500
"""That may be pasted at once."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether something is collected now, and when something last was, in UTC without a zone.

    Attributes:
        queued: whether a job waits for a worker, to fetch what people chose.
    """

    running: bool
    queued: bool
    last: datetime | None


def activity(workspace: Workspace) -> Activity:
    """Return whether something is collected, without counting anything."""
    store = CandidateStore(workspace.catalogue.engine)
    running = is_locked(workspace.folder / FILES / LOCK)
    queued = bool(workspace.jobs.jobs((JobState.WAITING,), kind=FETCH, limit=1))
    return Activity(running, queued, store.last_activity())


def total(counts: Sequence[Counts]) -> Counts:
    """Return the sums."""
    names = [one.name for one in fields(Counts)]
    return Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})


@dataclass(frozen=True, slots=True)
class Pasted:
    """What became of pasted URLs.

    Attributes:
        new: candidates that were not known; `known` ones are fetched too, if they are not yet.
        new_products: products that were made for codes that the catalogue did not have.
        codes: of the products, in the order of the list.
        problems: lines that cannot be used.
        job: that fetches them; None where there is nothing to fetch.
    """

    new: int
    known: int
    new_products: int
    codes: tuple[str, ...]
    problems: tuple[RowProblem, ...]
    job: int | None


def fetch_chosen(workspace: Workspace) -> int | None:
    """Have a job fetch what people chose and is not fetched yet.

    Returns:
        the job; None where nothing is to be fetched, or the settings have no contact.
    """
    store = CandidateStore(workspace.catalogue.engine)
    if not workspace.settings.collect.contact.strip() or not store.waiting_hosts(chosen=True):
        return None
    return workspace.jobs.add(FETCH, {}, unique_key=FETCH)


def paste(
    workspace: Workspace, listed: Sequence[Found | RowProblem], *, by: str | None = None
) -> Pasted:
    """Record URLs that a person names, and have a job fetch them.

    They count as accepted: they are fetched before others, and whatever their products have.

    Args:
        by: who pasted them.

    Raises:
        UsageError: no contact is set, or the URLs are too many; nothing is recorded then.
    """
    contact_of(workspace)
    if len(listed) > MAX_URLS:
        raise UsageError(f"expected at most {MAX_URLS} addresses at once, got {len(listed):,}")
    store = CandidateStore(workspace.catalogue.engine)
    problems, named = list[RowProblem](), dict[tuple[str, str], None]()
    done = record(
        listed,
        SOURCE,
        workspace.catalogue,
        store,
        rules=fetch_rules(workspace),
        on_problem=problems.append,
        on_candidate=lambda one: named.setdefault((one.code, one.url)),
    )
    job = None
    if ids := store.without_photo(named):
        CandidateReview(workspace.catalogue).decide("accept", ids, by=by)
        job = fetch_chosen(workspace)
    codes = tuple(dict.fromkeys(code for code, _ in named))
    return Pasted(done.new, done.known, done.new_products, codes, tuple(problems), job)
