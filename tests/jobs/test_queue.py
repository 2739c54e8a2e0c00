"""Jobs are added once, taken once, retried, cancelled and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.dialects import postgresql

from satchel.catalog.database import writing
from satchel.catalog.dialect import skip_locked
from satchel.catalog.tables import now
from satchel.errors import JobConflict, UnknownJob
from satchel.jobs.leases import Leases
from satchel.jobs.queue import JobQueue, enqueue
from satchel.jobs.records import Backoff, JobState
from satchel.jobs.tables import JobRow
from support.databases import new_catalogue

KINDS = ("mail",)
NO_WAIT = timedelta(0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    catalogue = new_catalogue(tmp_path / "satchel.db")
    yield catalogue.engine
    catalogue.close()


@pytest.fixture
def queue(engine: Engine) -> JobQueue:
    return JobQueue(engine)


def leases(engine: Engine, worker: str = "first", *, seconds: float = 60) -> Leases:
    return Leases(engine, worker, timedelta(seconds=seconds))


def expire(engine: Engine, job_id: int) -> None:
    with writing(engine) as connection:
        past = now() - timedelta(seconds=1)
        connection.execute(update(JobRow).where(JobRow.id == job_id).values(due_at=past))
        connection.commit()


def test_a_job_is_taken_once_with_what_it_is_about(engine, queue):
    added = queue.add("mail", {"to": "가방"})
    [job] = leases(engine).take(KINDS, 5)
    assert (job.id, job.kind, job.arguments, job.attempts) == (added, "mail", {"to": "가방"}, 1)
    assert job.state is JobState.RUNNING
    assert leases(engine, "second").take(KINDS, 5) == []


def test_a_job_is_there_only_if_its_transaction_is_committed(engine, queue):
    with writing(engine) as connection:
        enqueue(connection, "mail", {})
        connection.rollback()
    assert queue.jobs() == []


def test_jobs_are_taken_by_time_and_kind_and_no_more_than_asked_for(engine, queue):
    queue.add("mail", {}, delay=timedelta(hours=1))
    second, third = queue.add("mail", {}), queue.add("mail", {})
    queue.add("index", {})
    assert [job.id for job in leases(engine).take(KINDS, 1)] == [second]
    assert [job.id for job in leases(engine).take(KINDS, 9)] == [third]
    assert not leases(engine).due(KINDS)
    assert leases(engine).due(("index",))


def test_the_same_job_waits_once_and_runs_once(engine, queue):
    first = queue.add("mail", {}, unique_key="all")
    assert queue.add("mail", {}, unique_key="all") == first
    [running] = leases(engine).take(KINDS, 5)
    second = queue.add("mail", {}, unique_key="all")  # what came since is not in the first
    assert second != first
    assert leases(engine, "second").take(KINDS, 5) == []
    assert leases(engine).done(running, None)
    assert [job.id for job in leases(engine, "second").take(KINDS, 5)] == [second]


def test_an_attempt_whose_twin_waits_is_not_repeated(engine, queue):
    queue.add("mail", {}, unique_key="all")
    [running] = leases(engine).take(KINDS, 5)
    twin = queue.add("mail", {}, unique_key="all")
    assert leases(engine).put_back(running, NO_WAIT, "no connection")
    ended = queue.job(running.id)
    assert ended.state is JobState.CANCELLED
    assert ended.error == f"job {twin} does the same; no connection"
    with pytest.raises(JobConflict, match=f"job {twin}, which does the same"):
        queue.retry(running.id)


def test_a_lease_that_is_over_is_taken_again_and_its_worker_changes_nothing(engine, queue):
    queue.add("mail", {})
    [late] = leases(engine).take(KINDS, 1)
    expire(engine, late.id)
    [again] = leases(engine, "second").take(KINDS, 1)
    assert (again.id, again.attempts) == (late.id, 2)
    assert not leases(engine).done(late, {"sent": 1})
    assert not leases(engine).failed(late, "no")
    assert not leases(engine).put_back(late, NO_WAIT, "no")
    assert leases(engine).extend([late]) == set()
    assert leases(engine, "second").done(again, {"sent": 2})
    assert queue.job(late.id).result == {"sent": 2}


def test_a_worker_that_takes_its_own_job_again_does_not_mistake_the_leases(engine, queue):
    queue.add("mail", {})
    [late] = leases(engine).take(KINDS, 1)
    expire(engine, late.id)
    [again] = leases(engine).take(KINDS, 1)
    assert not leases(engine).done(late, None)
    assert leases(engine).done(again, None)


def test_an_extended_lease_is_not_over(engine, queue):
    queue.add("mail", {})
    [job] = leases(engine).take(KINDS, 1)
    expire(engine, job.id)
    assert leases(engine).extend([job]) == {job.id}
    assert leases(engine, "second").take(KINDS, 1) == []


def test_a_job_that_kills_each_of_its_workers_fails(engine, queue):
    added = queue.add("mail", {}, max_attempts=2)
    for _ in range(2):
        [job] = leases(engine).take(KINDS, 1)
        expire(engine, job.id)
    assert leases(engine).take(KINDS, 1) == []
    failed = queue.job(added)
    assert failed.state is JobState.FAILED
    assert "its worker ended" in str(failed.error)


def test_a_failed_job_can_be_queued_again_with_all_its_attempts(engine, queue):
    added = queue.add("mail", {}, max_attempts=1)
    [job] = leases(engine).take(KINDS, 1)
    assert leases(engine).failed(job, "no connection")
    assert queue.job(added).error == "no connection"
    retried = queue.retry(added)
    assert (retried.state, retried.attempts, retried.finished_at) == (JobState.WAITING, 0, None)
    with pytest.raises(UnknownJob, match="there is no job 99"):
        queue.retry(99)


def test_a_cancelled_job_is_not_taken_and_one_that_runs_is_lost(engine, queue):
    waiting, running = queue.add("mail", {}), queue.add("index", {})
    [job] = leases(engine).take(("index",), 1)
    queue.cancel(waiting)
    queue.cancel(running)
    assert leases(engine).take(("mail", "index"), 5) == []
    assert not leases(engine).done(job, None)
    assert queue.counts()[JobState.CANCELLED] == 2
    with pytest.raises(JobConflict, match="which is cancelled"):
        queue.cancel(waiting)


def test_an_interrupted_attempt_does_not_count(engine, queue):
    queue.add("mail", {})
    [job] = leases(engine).take(KINDS, 1)
    leases(engine).put_back(job, NO_WAIT, None)
    assert queue.job(job.id).attempts == 0


def test_old_jobs_are_deleted_by_what_became_of_them(engine, queue):
    for end in ("done", "failed"):
        queue.add("mail", {})
        [job] = leases(engine).take(KINDS, 1)
        assert leases(engine).done(job, None) if end == "done" else leases(engine).failed(job, "")
    waiting = queue.add("mail", {})
    later = now() + timedelta(seconds=1)
    assert queue.prune(done_before=later, failed_before=now() - timedelta(days=1)) == 1
    assert [job.state for job in queue.jobs()] == [JobState.WAITING, JobState.FAILED]
    assert queue.prune(done_before=later, failed_before=later) == 1
    assert [job.id for job in queue.jobs()] == [waiting]


def test_lists_have_pages(queue):
    ids = [queue.add("mail", {}) for _ in range(5)]
    assert [job.id for job in queue.jobs(limit=2)] == ids[:-3:-1]
    assert [job.id for job in queue.jobs(before=ids[3], limit=2)] == [ids[2], ids[1]]
    assert queue.jobs(kind="index") == []


def test_waits_grow_to_a_limit_and_are_spread():
    backoff = Backoff(first_s=10, factor=3, longest_s=100)
    longest = [backoff.wait(n, chance=lambda: 1.0).total_seconds() for n in (1, 2, 3, 4, 999)]
    assert longest == [10, 30, 90, 100, 100]
    assert backoff.wait(1, chance=lambda: 0.0).total_seconds() == 7.5


def test_on_postgresql_several_workers_choose_different_rows():
    from sqlalchemy import select

    chosen = skip_locked(select(JobRow.id), JobRow)
    said = str(chosen.compile(dialect=postgresql.dialect()))
    assert said.endswith("FOR UPDATE OF jobs SKIP LOCKED")
