"""Workers do each job, never two at once within a lease, whatever becomes of them."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine

from satchel.errors import DatabaseBusy, UsageError
from satchel.jobs.leases import Leases
from satchel.jobs.queue import JobQueue
from satchel.jobs.records import Backoff, GiveUp, Handler, JobState, Stopped
from satchel.jobs.worker import Ended, Worker
from support import job_workers
from support.databases import new_catalogue

AT_ONCE = Backoff(first_s=0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    catalogue = new_catalogue(tmp_path / "satchel.db")
    yield catalogue.engine
    catalogue.close()


@pytest.fixture
def queue(engine: Engine) -> JobQueue:
    return JobQueue(engine)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_each_job_is_done_once_and_its_result_is_kept(engine, queue):
    added = [queue.add("double", {"number": n}) for n in range(20)]
    handlers = {"double": Handler(lambda _, given: {"is": 2 * given["number"]})}
    ended: list[Ended] = []
    Worker(engine, handlers, concurrency=4, on_end=ended.append).run(once=True)
    assert [queue.job(one).result for one in added] == [{"is": 2 * n} for n in range(20)]
    assert sorted(one.job.id for one in ended) == added


def test_failed_attempts_are_repeated_until_the_last(engine, queue):
    def fail(lease, _):
        raise UsageError(f"attempt {lease.job.attempts}")

    added = queue.add("mail", {}, max_attempts=3)
    states = []
    worker = Worker(
        engine, {"mail": Handler(fail, AT_ONCE)}, on_end=lambda one: states.append(one.state)
    )
    worker.run(once=True)
    assert states == [JobState.WAITING, JobState.WAITING, JobState.FAILED]
    assert queue.job(added).error == "attempt 3"


def test_a_job_of_no_use_fails_at_once_and_unexpected_errors_are_named(engine, queue, caplog):
    def give_up(*_):
        raise GiveUp("the account is gone")

    useless, broken = queue.add("useless", {}), queue.add("broken", {}, max_attempts=1)
    handlers = {"useless": Handler(give_up), "broken": Handler(lambda *_: {"x": 1 / 0})}
    Worker(engine, handlers).run(once=True)
    assert queue.job(useless).error == "the account is gone"
    assert queue.job(broken).error == "ZeroDivisionError: division by zero"
    assert "Traceback" in caplog.text


def test_a_result_that_is_no_json_is_a_failed_attempt(engine, queue):
    added = queue.add("odd", {}, max_attempts=1)
    Worker(engine, {"odd": Handler(lambda *_: {"set": {1}})}).run(once=True)
    assert queue.job(added).state is JobState.FAILED
    assert "JSON" in str(queue.job(added).error)


def test_a_worker_that_stops_waits_for_its_jobs_or_puts_them_back(engine, queue):
    begun, stop = Event(), Event()

    def sees_it(lease, _):
        begun.set()
        until(lease.lost)
        raise Stopped

    def sees_nothing(*_):
        time.sleep(60)

    handlers = {"polite": Handler(sees_it), "deaf": Handler(sees_nothing)}
    polite, deaf = queue.add("polite", {}), queue.add("deaf", {})
    worker = Worker(engine, handlers, poll_s=0.02, grace_s=0.3)
    thread = Thread(target=worker.run, args=(stop.is_set,))
    thread.start()
    assert begun.wait(30)
    until(lambda: queue.counts()[JobState.RUNNING] == 2)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    for one in (polite, deaf):
        assert (queue.job(one).state, queue.job(one).attempts) == (JobState.WAITING, 0)


def test_leases_are_extended_while_a_job_runs_and_end_at_its_deadline(engine, queue):
    other = Leases(engine, "other", Worker(engine, {}, lease_s=1)._leases.length)
    taken_while_running = []

    def long(lease, _):
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            taken_while_running.extend(other.take(("long",), 1))
            time.sleep(0.02)

    added = queue.add("long", {})
    # A second's lease: a machine that stalls for longer would lose it, and rightly so.
    Worker(engine, {"long": Handler(long)}, lease_s=1, poll_s=0.02).run(once=True)
    assert taken_while_running == []
    assert queue.job(added).state is JobState.DONE

    late = queue.add("late", {})
    slow = Handler(lambda *_: time.sleep(5), deadline_s=0.05)
    Worker(engine, {"late": slow}, lease_s=0.3, poll_s=0.02).run(once=True)
    assert queue.job(late).state is JobState.RUNNING  # until its lease is over
    until(lambda: bool(other.take(("late",), 1)))


def test_a_cancelled_job_is_asked_to_stop(engine, queue):
    added = queue.add("long", {})

    def long(lease, _):
        queue.cancel(added)
        until(lease.lost)
        return {"finished": "all the same"}

    Worker(engine, {"long": Handler(long)}, lease_s=0.2, poll_s=0.02).run(once=True)
    assert (queue.job(added).state, queue.job(added).result) == (JobState.CANCELLED, None)


def test_a_busy_database_is_tried_again(engine, queue, monkeypatch):
    queue.add("mail", {})
    take = Leases.take
    refused: list[bool] = []

    def once_busy(self, kinds, most):
        if not refused:
            refused.append(True)
            raise DatabaseBusy("busy")
        return take(self, kinds, most)

    monkeypatch.setattr(Leases, "take", once_busy)
    Worker(engine, {"mail": Handler(lambda *_: None)}, poll_s=0.01).run(once=True)
    assert queue.counts()[JobState.DONE] == 1


@pytest.mark.flow
@pytest.mark.parametrize("seed", range(2))
def test_many_workers_that_are_killed_at_random_do_each_job(tmp_path: Path, seed: int):
    """No attempt begins while an earlier one of the same job may still run."""
    chance, jobs, lease_s = random.Random(seed), 60, 0.5
    catalogue = new_catalogue(tmp_path / "satchel.db")
    queue, notes = JobQueue(catalogue.engine), tmp_path / "notes"
    for _ in range(jobs):
        seconds, fails = chance.uniform(0, 0.15), chance.choice((0, 0, 0, 1))
        queue.add("sleep", {"seconds": seconds, "fails": fails}, max_attempts=50)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.job_workers"])

    def started():
        arguments = tmp_path / "satchel.db", notes, lease_s
        process = context.Process(target=job_workers.work, args=arguments, daemon=True)
        process.start()
        return process

    workers, killed = [started() for _ in range(4)], {}
    end = time.monotonic() + 60
    try:
        while queue.counts()[JobState.DONE] < jobs:
            assert time.monotonic() < end, queue.counts()
            time.sleep(chance.uniform(0.05, 0.4))
            victim = workers.pop(chance.randrange(len(workers)))
            victim.kill()
            victim.join()
            killed[victim.pid] = time.monotonic()
            workers.append(started())
    finally:
        for worker in workers:
            worker.kill()
            worker.join()

    attempts: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    for line in notes.read_text().splitlines():
        what, job, attempt, pid, at = line.split()
        known = attempts[int(job)]
        begun = known[int(attempt)][0] if what == "end" else float(at)
        over = float(at) if what == "end" else killed.get(int(pid), float("inf"))
        known[int(attempt)] = (begun, over)
    assert len(attempts) == jobs
    for known in attempts.values():
        ordered = [known[number] for number in sorted(known)]
        for (_, over), (begun, _) in itertools.pairwise(ordered):
            assert over <= begun
    assert killed
    assert sum(len(known) for known in attempts.values()) > jobs
    catalogue.close()
