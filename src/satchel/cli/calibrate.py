"""`satchel calibrate`: measure confidence on photos whose codes are known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    Encoding,
    FirstProblems,
    open_workspace,
    print_result,
    print_table,
    say,
)
from satchel.cli.stdin import catalogue_file
from satchel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from satchel.confidence.figures import Measured
    from satchel.confidence.stored import Calibration
    from satchel.encode.card import Confidence
    from satchel.workspace import Workspace


def calibrate(
    context: typer.Context,
    photos: Annotated[
        Path | None,
        typer.Argument(
            help="Real query photos with their codes: as for import. With --feedback, a file of "
            "`satchel feedback export`. - is stdin."
        ),
    ] = None,
    feedback: Annotated[
        bool,
        typer.Option(
            "--feedback", help="On what people said of answers, here or in the file that is named."
        ),
    ] = False,
    from_decisions: Annotated[
        bool,
        typer.Option("--from-decisions", help="On what experts decided about listings."),
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Return to the confidence of the encoder's card.")
    ] = False,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate confidence on photos whose codes are known."""
    from satchel.catalog.importers import open_rows
    from satchel.confidence.stored import calibration_path, write_calibration
    from satchel.files import timestamp
    from satchel.served import load_embedder, served_space
    from satchel.workflows.calibrate import LeftOut
    from satchel.workflows.calibrate import calibrate as calibrate_workspace

    workspace = open_workspace(context)
    sources = (photos is not None and not feedback) + feedback + from_decisions + forget
    if sources != 1:
        raise UsageError(
            "expected photos to calibrate with (CSV, JSONL, a folder per code), or one of "
            "--feedback, --from-decisions and --forget alone"
        )
    if feedback:
        _calibrate_on_feedback(workspace, photos, as_json)
        return
    if from_decisions:
        _calibrate_on_decisions(workspace, as_json)
        return
    if photos is None:
        calibration_path(workspace.models, served_space(workspace).id).unlink(missing_ok=True)
        if as_json:
            print_result({"calibrated": False})
        say("calibration deleted; the confidence of the encoder's card applies again")
        return
    problems = FirstProblems("… and more")
    with catalogue_file(photos, None) as (file, folder):
        source = open_rows(file, folder, encoding=encoding)
        for note in source.notes:
            say(note)
        with Bars() as bars:
            calibration, measured, left_out = calibrate_workspace(
                workspace,
                load_embedder(workspace, threads=1),
                source,
                f"{file.name}, {timestamp()}",
                progress=bars,
                on_problem=problems,
            )
    write_calibration(workspace.models, calibration)
    if left_out != LeftOut():
        say(f"{left_out}: such a photo retrieves itself, or counts twice")
    _print(measured, calibration, asdict(left_out), as_json)
    if problems.count:
        raise typer.Exit(SOME_FAILED)


def _calibrate_on_feedback(workspace: Workspace, file: Path | None, as_json: bool) -> None:
    from satchel.catalog.feedback_file import read_lines
    from satchel.confidence.stored import write_calibration
    from satchel.files import timestamp
    from satchel.records import Problem
    from satchel.workflows.feedback import calibrate_on_feedback

    problems = FirstProblems("… and more")
    usable = []
    with catalogue_file(file or Path(), None) as (path, _):
        given = workspace.catalogue.feedback.all() if file is None else read_lines(path)
        for one in given:
            if isinstance(one, Problem):
                problems(one)
            else:
                usable.append(one)
    name = "feedback" if file is None else file.name
    with Bars() as bars:
        calibration, measured, left_out = calibrate_on_feedback(
            workspace, usable, f"{name}, {timestamp()}", progress=bars
        )
    write_calibration(workspace.models, calibration)
    for why, count in left_out.items():
        say(f"left out: {count:,} {why}")
    _print(measured, calibration, left_out, as_json)
    if problems.count:
        raise typer.Exit(SOME_FAILED)


def _calibrate_on_decisions(workspace: Workspace, as_json: bool) -> None:
    from satchel.confidence.stored import write_calibration
    from satchel.files import timestamp
    from satchel.workflows.learn import calibrate_on_decisions

    with Bars() as bars:
        calibration, measured, left_out = calibrate_on_decisions(
            workspace, f"decisions, {timestamp()}", progress=bars
        )
    write_calibration(workspace.models, calibration)
    for why, count in left_out.items():
        say(f"left out: {count:,} listings {why}")
    _print(measured, calibration, left_out, as_json)


def _print(
    measured: Measured, calibration: Calibration, left_out: Mapping[str, int], as_json: bool
) -> None:
    if as_json:
        measured_on = {"made_at": calibration.made_at, "source": calibration.source}
        print_result(
            {"calibrated": True, **measured_on, "measured": measured, "left_out": left_out}
            | {"confidence": calibration.confidence}
        )
    else:
        _print_measured(measured, calibration.confidence)


def _print_measured(measured: Measured, confidence: Confidence) -> None:
    from rich.table import Table

    table = Table("measured on held-out photos", "95 % interval")
    table.columns[1].justify = "right"

    def share(name: str) -> str:
        """Lay out a share with its interval; a dash where there are no such answers."""
        if name not in measured.intervals:
            return "–"
        low, high = measured.intervals[name]
        return f"{getattr(measured, name):.1%} ({100 * low:.1f} to {100 * high:.1f})"

    for what, shown in (
        ("photos of products in the catalogue", f"{measured.queries:,}"),
        ("first candidate right", share("right")),
        ("confidence is off by, on average", f"{measured.calibration_error:.3f}"),
        ("called identified", f"{measured.identified:.1%}"),
        ("right when identified", share("right_when_identified")),
        ("identified from a confidence of", f"{confidence.identified_at:.2f}"),
        ("one to five candidates named", f"{measured.named:.1%}"),
        ("the right one among the named", share("right_when_named")),
        ("not in the catalogue, and called so", share("absent_caught")),
        ("in the catalogue or not, AUROC", f"{measured.auroc:.3f}"),
    ):
        table.add_row(what, shown)
    print_table(table)
    if confidence.identified_at == 1:
        say(
            f"no confidence was high enough to be right {confidence.precision:.0%} of the time for "
            "certain: nothing will be called identified, only probable"
        )
