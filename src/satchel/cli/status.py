"""`satchel status` and `satchel doctor`: what is there, what waits, what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    open_workspace,
    print_json,
)

if TYPE_CHECKING:
    from satchel.workflows.doctor import Diagnosis
    from satchel.workflows.status import WorkspaceStatus


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what the workspace holds, what waits, and what to do next."""
    from satchel.workflows.status import read_status

    found = read_status(open_workspace(context))
    if as_json:
        print_json(_as_json(found))
        return
    states = ", ".join(f"{count:,} {state}" for state, count in found.photos_by_state.items())
    calibrated = f"{found.calibrated_at:%Y-%m-%d}" if found.calibrated_at else "not yet"
    jobs = ", ".join(f"{count:,} {state}" for state, count in found.jobs.items())
    _print_pairs(
        {
            "workspace": str(found.folder),
            "products": f"{found.products:,}",
            "photos": f"{found.photos:,}; of products {states}",
            "index": f"{found.index}, {found.unembedded:,} photos to embed ({found.encoder})",
            "calibrated": f"{calibrated}; answers that people spoke about: {found.feedback:,}",
            "review": f"{found.photos_by_state['doubtful']:,} photos, "
            f"{found.look_alikes:,} groups of look-alikes",
            "jobs": jobs,
        }
    )
    _print_next(found.next_steps())


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Look at installation, machine and workspace; exit code 1 where something is broken."""
    from satchel.workflows.doctor import diagnose

    found = diagnose(context.obj)
    if as_json:
        from dataclasses import asdict

        findings = [asdict(one) for one in found.findings]
        print_json({"healthy": found.healthy, "findings": findings, "next_steps": found.next_steps})
    else:
        _print_diagnosis(found)
    if not found.healthy:
        raise typer.Exit(SOME_FAILED)


def _as_json(found: WorkspaceStatus) -> dict[str, object]:
    from dataclasses import asdict

    at = found.calibrated_at
    return asdict(found) | {
        "folder": str(found.folder),
        "calibrated_at": None if at is None else at.isoformat(),
        "next_steps": found.next_steps(),
    }


def _print_diagnosis(found: Diagnosis) -> None:
    section = ""
    width = max(len(one.name) for one in found.findings)
    for one in found.findings:
        if one.section != section:
            print(one.section)
            section = one.section
        mark = "" if one.health == "ok" else f"{one.health}: "
        advice = f"; {one.advice}" if one.advice and mark else ""
        print(f"  {one.name:<{width}}  {mark}{one.value}{advice}")
    _print_next(found.next_steps)


def _print_pairs(pairs: dict[str, str]) -> None:
    width = max(map(len, pairs))
    for name, value in pairs.items():
        print(f"{name:<{width}}  {value}")


def _print_next(steps: list[str]) -> None:
    for at, step in enumerate(steps):
        print(f"{'next:' if at == 0 else '     '} {step}")
