"""Worker processes for tests: each notes when it began and ended which job."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from satchel.catalog.store import Catalogue
from satchel.jobs.records import Arguments, Backoff, Handler, Lease
from satchel.jobs.worker import Worker


def work(database: Path, notes: Path, lease_s: float) -> None:
    """Run the jobs of a database until this process is killed."""
    out = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, lease: Lease) -> None:
        line = f"{what} {lease.job.id} {lease.job.attempts} {os.getpid()} {time.monotonic()}\n"
        os.write(out, line.encode())

    def run(lease: Lease, arguments: Arguments) -> dict[str, Any]:
        note("begin", lease)
        time.sleep(arguments["seconds"])
        note("end", lease)
        if lease.job.attempts <= arguments["fails"]:
            raise OSError("again")
        return {"pid": os.getpid()}

    handler = Handler(run, Backoff(first_s=0.05, factor=1))
    catalogue = Catalogue.open(database)
    Worker(catalogue.engine, {"sleep": handler}, concurrency=3, lease_s=lease_s, poll_s=0.02).run()
