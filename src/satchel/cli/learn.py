"""`satchel learn`: let what experts decided improve gallery and confidences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from satchel.cli.shared import AsJson, Bars, open_workspace, print_json, say


def learn(
    context: typer.Context,
    calibrate: Annotated[
        bool, typer.Option(help="Fit confidences too, once there are enough decisions.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Take photos of certified goods into the gallery, and calibrate on what experts decided.

    Only photos whose sellers agree are taken; they are curated and indexed at once. To do it every
    night, run it from cron or a systemd timer.
    """
    from satchel.confidence.stored import write_calibration
    from satchel.errors import UsageError
    from satchel.files import timestamp
    from satchel.workflows.learn import calibrate_on_decisions, learn_photos

    workspace = open_workspace(context)
    with Bars() as bars:
        taken = learn_photos(workspace, progress=bars)
        say(
            f"{taken.added:,} photos of {taken.listings:,} certified listings taken, "
            f"{taken.removed:,} taken out"
        )
        answer: dict[str, Any] = {"photos": asdict(taken), "calibration": None, "reason": None}
        if calibrate:
            try:
                name = f"decisions, {timestamp()}"
                fitted, measured, _ = calibrate_on_decisions(workspace, name, progress=bars)
            except UsageError as error:
                answer["reason"] = str(error)
                say(f"not calibrated: {error}")
            else:
                write_calibration(workspace.models, fitted)
                answer["calibration"] = fitted.figures
                say(
                    f"calibrated on {measured.queries:,} certified listings; first candidate right "
                    f"in {measured.right:.1%}"
                )
    if as_json:
        print_json(answer)
