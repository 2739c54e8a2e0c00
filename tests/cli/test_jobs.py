"""`satchel worker` and `satchel jobs`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from conftest import put_in
from satchel.workspace import Workspace
from support.cli import satchel


def rows(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_worker_indexes_and_the_list_says_so(workspace: Workspace, catalogue_file):
    put_in(workspace, catalogue_file)
    job = workspace.jobs.add("index", {}, unique_key="index")
    done = satchel(workspace.folder, "worker", "--once")
    assert (done.returncode, done.stderr) == (0, "1 done, 0 failed, 0 to be tried again\n")
    [row] = rows(satchel(workspace.folder, "jobs", "list", "--json").stdout)
    assert (row["job"], row["state"], row["attempts"]) == (job, "done", 1)
    assert row["result"] == {"embedded": 10, "indexed": 10, "problems": []}


def test_failed_jobs_are_named_and_can_be_retried_and_cancelled(workspace: Workspace):
    job = workspace.jobs.add("index", {}, max_attempts=1)  # of an empty catalogue
    ended = satchel(workspace.folder, "worker", "--once")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"job {job} (index) failed: ")
    listed = satchel(workspace.folder, "jobs", "list", "--state", "failed")
    assert "index" in listed.stdout
    assert "1 failed" in listed.stderr
    [row] = rows(satchel(workspace.folder, "jobs", "retry", str(job), "--json").stdout)
    assert row["state"] == "waiting"
    assert satchel(workspace.folder, "jobs", "cancel", str(job)).stderr == (
        f"job {job} (index) is cancelled\n"
    )
    again = satchel(workspace.folder, "jobs", "cancel", str(job))
    assert (again.returncode, "which is cancelled" in again.stderr) == (2, True)
    assert satchel(workspace.folder, "jobs", "retry", "99").returncode == 2
    assert "expected --state" in satchel(workspace.folder, "jobs", "list", "--state", "x").stderr


@pytest.mark.flow
def test_a_worker_ends_in_order(workspace: Workspace, interruptible: None):
    command = [sys.executable, "-m", "satchel", "--workspace", str(workspace.folder), "worker"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        workspace.jobs.add("index", {}, max_attempts=1)
        first = process.stderr.readline()
        assert first.startswith("job 1 (index) failed")
        os.kill(process.pid, signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert rest.splitlines()[-1] == "0 done, 1 failed, 0 to be tried again"
