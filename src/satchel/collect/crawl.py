"""Fetching candidates: a few threads request, one writes what became of them."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.store import Catalogue
from satchel.collect.fetching import Kind, Outcome, fetch
from satchel.collect.hosts import HostQueue, Patience
from satchel.collect.permissions import Permissions
from satchel.collect.records import Candidate, Change, State
from satchel.collect.rules import CollectRules
from satchel.collect.store import CandidateStore
from satchel.collect.storing import is_whole, left_over, photo_path, store
from satchel.decoding.decoder import Decoder
from satchel.fetch.client import FetchClient
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT, Progress

THREADS: Final = 16
MOST_HOSTS: Final = 64
"""Hosts that are requested in turn; the others wait until one of them is done."""
BATCH: Final = 48
"""Photos that are stored at once."""
STORE_AFTER_S: Final = 5.0
WRITE_AFTER_S: Final = 0.25
"""Until outcomes are written together: after a kill, what was not is requested again."""
IDLE_S: Final = 0.05

_STATES: Final = {
    Kind.PHOTO: State.FETCHED,
    Kind.REFUSED: State.REFUSED,
    Kind.BLOCKED: State.REFUSED,
    Kind.FAILED: State.FAILED,
    Kind.LATER: State.FAILED,
}


@dataclass(slots=True)
class Crawled:
    """Result of a run.

    Attributes:
        stopped: host → why it was left until the next run.
        ended: why the run ended before all was fetched; empty where it did not.
    """

    finished: int = 0
    received_bytes: int = 0
    stopped: dict[str, str] = field(default_factory=dict)
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Portion:
    """What a run fetches of all that waits.

    Attributes:
        chosen: only what people chose.
        spent_bytes: that count against the most of a run already.
        stopping: whether to end; what is not fetched then waits.
    """

    chosen: bool = False
    spent_bytes: int = 0
    stopping: Callable[[], bool] = bool


ALL: Final = Portion()


@dataclass(frozen=True, slots=True)
class Storage:
    """Where photos go."""

    folder: Path
    candidates: CandidateStore
    catalogue: Catalogue
    photos: PhotoStore
    limits: PhotoLimits
    decoder: Decoder

    def store_fetched(self) -> None:
        """Store all that is fetched; what has lost its bytes waits again."""
        while fetched := self.candidates.fetched():
            there = [one for one in fetched if is_whole(one, self.folder)]
            lost = {one.id for one in fetched} - {one.id for one in there}
            self.candidates.change([Change(one, State.WAITING) for one in lost])
            store(
                there,
                self.folder,
                self.candidates,
                self.catalogue,
                self.photos,
                limits=self.limits,
                decoder=self.decoder,
            )


def crawl(
    storage: Storage,
    client: FetchClient,
    rules: CollectRules,
    headers: Mapping[str, str],
    *,
    patience: Patience | None = None,
    portion: Portion = ALL,
    progress: Progress = SILENT,
) -> Crawled:
    """Fetch and store the candidates that wait, each once, whatever ended the run before.

    Args:
        headers: of every request, with the user agent.
        portion: of them; default, all.
        progress: advanced for each candidate that is done with.

    Raises:
        StorageError, WorkspaceError, DecoderError: nothing can be stored.
    """
    storage.store_fetched()
    for path in left_over(storage.folder):
        path.unlink(missing_ok=True)
    permissions = Permissions(client, headers, rules.permitted)
    threads = _Threads(client, permissions, headers, storage.folder)
    try:
        return _Crawl(
            storage,
            threads,
            rules,
            portion=portion,
            patience=patience or Patience(),
            progress=progress,
        ).run()
    finally:
        threads.stop()


class _Threads:
    """Threads that request. They are not waited for when the program ends."""

    def __init__(
        self,
        client: FetchClient,
        permissions: Permissions,
        headers: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._client, self._permissions, self._headers = client, permissions, headers
        self._folder = folder
        self._asked: queue.SimpleQueue[Candidate | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[Candidate, Outcome, str] | Exception] = (
            queue.SimpleQueue()
        )
        for _ in range(THREADS):
            threading.Thread(target=self._work, daemon=True, name="satchel-collect").start()

    def ask(self, candidate: Candidate) -> None:
        self._asked.put(candidate)

    def stop(self) -> None:
        for _ in range(THREADS):
            self._asked.put(None)

    def _work(self) -> None:
        while (candidate := self._asked.get()) is not None:
            try:
                outcome = fetch(candidate.url, self._client, self._permissions, self._headers)
                digest = ""
                if outcome.kind is Kind.PHOTO:
                    digest = sha256(outcome.body)
                    photo_path(self._folder, candidate.id).write_bytes(outcome.body)
                self.done.put((candidate, outcome, digest))
            except Exception as error:  # of the disk, or a fault of ours: raised by who waits
                self.done.put(error)


class _Crawl:
    """One run."""

    def __init__(
        self,
        storage: Storage,
        threads: _Threads,
        rules: CollectRules,
        *,
        portion: Portion,
        patience: Patience,
        progress: Progress,
    ) -> None:
        self._storage, self._threads, self._rules = storage, threads, rules
        self._portion = portion
        self._patience, self._progress = patience, progress
        self._candidates = storage.candidates
        self._idle = deque(self._candidates.waiting_hosts(chosen=portion.chosen))
        self._active: dict[str, HostQueue[Candidate]] = {}
        self._in_flight = 0
        self._unstored = 0
        self._began = self._stored_at = self._written_at = time.monotonic()
        self._changes: list[Change] = []
        self._photos: dict[str, int] = {}
        self._asked = Counter[str]()
        self._most_bytes = rules.max_mb * 1_000_000 - portion.spent_bytes
        self._result = Crawled()

    def run(self) -> Crawled:
        self._check_disk()
        while self._open_hosts() or self._in_flight:
            if self._portion.stopping():
                self._result.ended = self._result.ended or "it was stopped"
            asked = self._ask()
            self._collect(wait=not asked)
            late = time.monotonic() - self._stored_at > STORE_AFTER_S
            if self._unstored >= BATCH or (self._unstored and late):
                self._store()
        self._store()
        return self._result

    def _open_hosts(self) -> bool:
        """Replace hosts that are done by those that wait; whether there are any."""
        for name in [name for name, host in self._active.items() if host.done]:
            self._close(name, self._active.pop(name))
        if self._result.ended:
            return False
        while self._idle and len(self._active) < MOST_HOSTS:
            name = self._idle.popleft()
            pages = self._candidates.waiting(name, chosen=self._portion.chosen)
            self._active[name] = HostQueue(
                lambda _, pages=pages: next(pages, []),  # type: ignore[misc]
                delay_s=self._rules.delay_s,
                at_once=self._rules.per_host,
                patience=self._patience,
            )
        return bool(self._active)

    def _close(self, name: str, host: HostQueue[Candidate]) -> None:
        if not host.stopped:
            return
        self._result.stopped[name] = host.stopped
        self._write()
        # What a block was answered to says nothing of those photos: they wait for the next run.
        self._candidates.change(
            [Change(one.id, State.WAITING, why, attempts=0) for one, why in host.suspended]
        )

    def _ask(self) -> bool:
        """Hand candidates to the threads; whether there was one."""
        now, asked = time.monotonic(), False
        if self._result.ended or self._too_fast(now):
            return False
        for host in self._active.values():
            while self._in_flight < THREADS and (candidate := host.take(now)) is not None:
                asked = True
                if self._has_enough(candidate.code) and not candidate.decision:
                    host.put_back()
                    self._finish(Change(candidate.id, State.REFUSED, self._enough()))
                    continue
                self._in_flight += 1
                self._asked[candidate.code] += 1
                self._threads.ask(replace(candidate, attempts=candidate.attempts + 1))
        return asked

    def _collect(self, *, wait: bool) -> None:
        """Take the outcomes that are there."""
        try:
            item = self._threads.done.get(timeout=IDLE_S if wait else 0.001)
            while True:
                if isinstance(item, Exception):
                    raise item
                self._changes.append(self._outcome(*item))
                item = self._threads.done.get_nowait()
        except queue.Empty:
            pass
        if time.monotonic() - self._written_at > WRITE_AFTER_S:
            self._write()

    def _write(self) -> None:
        """Write the outcomes that are not yet written."""
        self._candidates.change(self._changes)
        self._changes, self._written_at = [], time.monotonic()

    def _outcome(self, candidate: Candidate, outcome: Outcome, digest: str) -> Change:
        self._in_flight -= 1
        self._asked[candidate.code] -= 1
        self._result.received_bytes += len(outcome.body)
        if self._result.received_bytes > self._most_bytes:
            self._result.ended = (
                f"{self._rules.max_mb:,} MB are fetched, all that one run may ([collect] max_mb)"
            )
        host = self._active[candidate.host]
        final = host.finish(candidate, outcome, time.monotonic())
        state = _STATES[outcome.kind] if final else State.WAITING
        if final:
            self._progress.advance()
            self._result.finished += 1
        if state is State.FETCHED:
            self._unstored += 1
            self._photos[candidate.code] = self._photos.get(candidate.code, 0) + 1
        made = candidate.attempts - (outcome.kind is Kind.STOP_HOST)  # nothing was requested
        return Change(candidate.id, state, outcome.reason or None, made, digest or None)

    def _finish(self, change: Change) -> None:
        self._candidates.change([change])
        self._progress.advance()
        self._result.finished += 1

    def _too_fast(self, now: float) -> bool:
        most = self._rules.max_mbit_s * (now - self._began)
        return self._rules.max_mbit_s > 0 and self._result.received_bytes * 8 / 1e6 > most

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._storage.folder).free // 1_000_000
        if free < self._rules.min_free_mb:
            self._result.ended = (
                f"the disk has {free:,} MB free, fewer than {self._rules.min_free_mb:,} "
                "([collect] min_free_mb)"
            )

    def _has_enough(self, code: str) -> bool:
        if code not in self._photos:
            self._photos[code] = self._candidates.photos_of(code)
        return self._photos[code] + self._asked[code] >= self._rules.max_photos_per_product

    def _enough(self) -> str:
        most = self._rules.max_photos_per_product
        return f"{most:,} photos were collected for its product ([collect] max_photos_per_product)"

    def _store(self) -> None:
        self._write()
        self._storage.store_fetched()
        self._check_disk()
        self._unstored, self._stored_at = 0, time.monotonic()
        self._photos.clear()  # duplicates do not count
        self._asked += Counter()  # drops zeros
