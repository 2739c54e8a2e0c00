"""`satchel jobs`: list, retry and cancel the jobs of `satchel worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import AsJsonLines, open_workspace, print_json, print_table, say

if TYPE_CHECKING:
    from satchel.jobs.records import Job

MAX_ID = 2**63 - 1
"""The largest number that a database takes."""

JobId = Annotated[int, typer.Argument(min=0, max=MAX_ID, metavar="JOB", help="Number of the job.")]

jobs = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Work that `satchel worker` does: e-mails, webhooks, indexing.",
)


@jobs.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(help="waiting, running, done, failed or cancelled; several times."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Jobs listed, at most.")] = 50,
    as_json: AsJsonLines = False,
) -> None:
    """List jobs, the last added first."""
    from satchel.errors import UsageError
    from satchel.jobs.records import JobState

    try:
        states = [JobState(one) for one in state or JobState]
    except ValueError:
        raise UsageError(f"expected --state {', '.join(JobState)}; got {state}") from None
    queue = open_workspace(context).jobs
    found = queue.jobs(states, kind=kind, limit=limit)
    if as_json:
        for job in found:
            print_json(_row(job))
        return
    counts = queue.counts()
    if found:
        _print_table(found)
    say(", ".join(f"{counts[one]:,} {one}" for one in JobState))


@jobs.command()
def retry(context: typer.Context, job: JobId, as_json: AsJsonLines = False) -> None:
    """Let a job run now: one that waits, failed or was cancelled."""
    _show(open_workspace(context).jobs.retry(job), as_json)


@jobs.command()
def cancel(context: typer.Context, job: JobId, as_json: AsJsonLines = False) -> None:
    """Cancel a job that waits or runs."""
    _show(open_workspace(context).jobs.cancel(job), as_json)


def _show(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(_row(job))
    else:
        say(f"job {job.id} ({job.kind}) is {job.state}")


def _row(job: Job) -> dict[str, Any]:
    """Convert a job to JSON."""
    from satchel.job_schemas import JobRecord

    return JobRecord.of(job).model_dump(mode="json")


def _print_table(found: list[Job]) -> None:
    from rich.table import Table

    table = Table("job", "kind", "state", "due (UTC)", "attempts", "error")
    for job in found:
        due = (job.finished_at or job.due_at).isoformat(" ", "seconds")
        attempts = f"{job.attempts} of {job.max_attempts}"
        table.add_row(str(job.id), job.kind, job.state, due, attempts, job.error or "")
    print_table(table)
