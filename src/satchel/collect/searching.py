"""Searching: the queries of each product are made at a source until there are enough candidates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.catalog.rows import RowProblem
from satchel.catalog.store import Catalogue
from satchel.collect.queries import Query
from satchel.collect.recording import record
from satchel.collect.records import Found
from satchel.collect.searches import SearchStore
from satchel.collect.sources import Hit, Source
from satchel.collect.store import CandidateStore
from satchel.errors import SearchFailed, SourceStopped
from satchel.fetch.rules import FetchRules
from satchel.progress import SILENT, Progress

EMPTY_AT_FIRST: Final = 10
"""Searches that find nothing, from the first one on, after which a source is left."""
MAX_TEXT_CHARS: Final = 500


@dataclass(slots=True)
class Searched:
    """What became of the searches at one source.

    Attributes:
        found: photos that were named, of which `new` are new candidates.
        stopped: why the source was left; empty where it was not.
        saved: files with the answer that was not understood.
    """

    source: str
    searches: int = 0
    failed: int = 0
    found: int = 0
    new: int = 0
    stopped: str = ""
    saved: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """What searches are recorded with.

    Attributes:
        per_product: candidates that one source names for one product in this round, at most.
        deepest: rank after which photos are not recorded; None records all.
        number: of the round of searches.
        answers: folder for answers that were not understood.
    """

    catalogue: Catalogue
    candidates: CandidateStore
    searches: SearchStore
    rules: FetchRules
    per_product: int
    answers: Path
    number: int = 1
    deepest: int | None = None


def search(
    queries: Iterable[Sequence[Query]],
    source: Source,
    name: str,
    into: Search,
    *,
    on_problem: Callable[[RowProblem], None],
    progress: Progress = SILENT,
) -> Searched:
    """Make the queries of products at a source, each once, whatever ended the run before.

    A source that finds nothing at all is stopped, and its searches will be made again: it is far
    likelier that its pages have changed than that nobody has a photo.

    Args:
        queries: of each product, the most promising first.
        name: of the source.
        on_problem: receives what cannot be requested.

    Raises:
        StorageError, WorkspaceError: the database cannot be written.
    """
    done, made, clock = Searched(name), [], _Pace(source.pause_s)
    for one in _due(queries, name, into, progress):
        clock.wait()
        try:
            hits, reason = source.search(one, into.per_product), None
        except SearchFailed as error:
            hits, reason = (), str(error)
            done.failed += 1
        except SourceStopped as error:
            done.stopped = str(error)
            break
        done.searches += 1
        hits = hits[: min(into.per_product, into.deepest or into.per_product)]
        found = [_found(one, rank, hit) for rank, hit in enumerate(hits, 1)]
        done.found += len(found)
        done.new += record(
            found,
            name,
            into.catalogue,
            into.candidates,
            rules=into.rules,
            on_problem=on_problem,
            number=into.number,
        ).new
        made.append(
            into.searches.add(
                name, one.code, one.text, number=into.number, found=len(found), reason=reason
            )
        )
        if not done.found and done.searches >= EMPTY_AT_FIRST:
            break
    if made and not done.found:
        into.searches.forget(made)
        done.stopped = done.stopped or (
            f"{done.searches} searches found nothing, such as {one.text!r}: its pages may have "
            "changed, or it does not know these products; the searches will be made again"
        )
    if done.stopped:
        with suppress(OSError):
            into.answers.mkdir(parents=True, exist_ok=True)
            done.saved = tuple(source.save_answer(into.answers))
    return done


def _due(
    queries: Iterable[Sequence[Query]], name: str, into: Search, progress: Progress
) -> Iterable[Query]:
    """Yield the queries that are still to be made."""
    for of_product in queries:
        made = into.searches.made(name, of_product[0].code) if of_product else set()
        for query in of_product:
            if query.text in made:
                continue
            if into.candidates.found_for(query.code, name, into.number) >= into.per_product:
                break
            yield query
        progress.advance()


def _found(query: Query, rank: int, hit: Hit) -> Found:
    return Found(
        query.code,
        hit.url,
        query=query.text,
        rank=rank,
        page=hit.page,
        license=hit.license and hit.license[:MAX_TEXT_CHARS],
        title=hit.title and hit.title[:MAX_TEXT_CHARS],
        thumbnail=hit.thumbnail,
    )


class _Pace:
    """Waits between searches."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s, self._ready_at = pause_s, 0.0

    def wait(self) -> None:
        time.sleep(max(0.0, self._ready_at - time.monotonic()))
        self._ready_at = time.monotonic() + self._pause_s
