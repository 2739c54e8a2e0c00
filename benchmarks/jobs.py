"""How many jobs a second are added and done, by the number of worker processes.

    python -m benchmarks.jobs [--jobs 1000]

Jobs do nothing, so that only the table is measured; every change is written to the disk before the
next (synchronous=FULL). An idle worker is then given single jobs, to see how soon it begins one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.reporting import print_table, write_json
from satchel.catalog.store import Catalogue
from satchel.jobs.queue import JobQueue
from satchel.jobs.records import Arguments, Handler, Handlers, JobState, Lease
from satchel.jobs.worker import Worker

WORKERS = (1, 2, 4)
SINGLE_JOBS = 20


def _nothing(_lease: Lease, _arguments: Arguments) -> None:
    """The least that a job can be."""


HANDLERS: Handlers = {"nothing": Handler(_nothing)}


def work(database: Path) -> None:
    """Do jobs until killed."""
    Worker(Catalogue.open(database).engine, HANDLERS, concurrency=4).run()


def measure(folder: Path, jobs: int, workers: int) -> dict[str, float]:
    """Add jobs, then let workers do them; return jobs a second, and waits in seconds."""
    path = folder / f"{workers}.db"
    catalogue = Catalogue.open(path, create=True)
    queue = JobQueue(catalogue.engine)
    began = time.perf_counter()
    for number in range(jobs):
        queue.add("nothing", {"number": number})
    added = time.perf_counter() - began
    processes = [multiprocessing.Process(target=work, args=(path,)) for _ in range(workers)]
    for process in processes:
        process.start()
    while (first := queue.counts()[JobState.DONE]) < jobs / 10:  # they have all started
        time.sleep(0.005)
    began = time.perf_counter()
    while queue.counts()[JobState.DONE] < jobs:
        time.sleep(0.02)
    done = time.perf_counter() - began
    waits = []
    for _ in range(SINGLE_JOBS):
        time.sleep(0.3)
        job = queue.job(queue.add("nothing", {}))
        while (ended := queue.job(job.id)).started_at is None:
            time.sleep(0.005)
        waits.append((ended.started_at - job.created_at).total_seconds())
    for process in processes:
        process.kill()
        process.join()
    catalogue.close()
    return {
        "workers": workers,
        "added_per_s": jobs / added,
        "done_per_s": (jobs - first) / done,
        "wait_median_s": median(waits),
        "wait_longest_s": max(waits),
    }


def main() -> None:
    """Measure, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        figures = [measure(Path(folder), jobs, workers) for workers in WORKERS]
    print_table(
        "Jobs that do nothing",
        ("worker processes", "added/s", "done/s", "wait when idle, median", "longest"),
        [
            (
                f"{one['workers']}",
                f"{one['added_per_s']:.0f}",
                f"{one['done_per_s']:.0f}",
                f"{one['wait_median_s']:.2f} s",
                f"{one['wait_longest_s']:.2f} s",
            )
            for one in figures
        ],
    )
    write_json("jobs", figures)


if __name__ == "__main__":
    main()
