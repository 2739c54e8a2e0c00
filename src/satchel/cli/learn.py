"""`satchel learn`: let what experts decided improve gallery, confidences and encoder."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import AsJson, Bars, changes, open_workspace, print_json, say
from satchel.errors import UsageError
from satchel.extras import missing_module, need_extra

if TYPE_CHECKING:
    from satchel.workspace import Workspace


def learn(
    context: typer.Context,
    calibrate: Annotated[
        bool, typer.Option(help="Fit confidences too, once there are enough decisions.")
    ] = True,
    adapt: Annotated[
        bool | None,
        typer.Option(
            help="Adapt the encoder too, and propose it if it is better. Default: as "
            "[market.learn] says, with the extra train, where enough was certified since.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take photos of certified goods, calibrate on what experts decided, propose an encoder.

    Only photos whose sellers agree are taken; they are curated and indexed at once. To do it every
    night, run it from cron or a systemd timer.
    """
    if adapt:
        need_extra("train")
    from satchel.confidence.stored import write_calibration
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
        proposal, why_not = _proposal(workspace, bars, adapt)
        answer |= {"proposal": proposal, "not_adapted": why_not}
    if as_json:
        print_json(answer)


def _proposal(
    workspace: Workspace, bars: Bars, adapt: bool | None
) -> tuple[dict[str, Any] | None, str | None]:
    """Adapt and say what came of it, or why nothing was adapted."""
    minutes = workspace.settings.market.learn.adapt_minutes
    missing = missing_module("train")
    if adapt is False or (adapt is None and (minutes == 0 or missing)):
        return None, "switched off" if not missing else "the extra train is not installed"
    from satchel.workflows.propose import propose_encoder

    try:
        found = propose_encoder(workspace, anyway=adapt is True, progress=bars, on_epoch=bars.epoch)
    except UsageError as error:
        say(f"not adapted: {error}")
        return None, str(error)
    figures = changes(found.start, found.adapted)
    say(f"adapted in the run {found.run}; validation, served → adapted: {figures}")
    if found.better:
        say(f"proposed, since nothing got worse on real photos: {found.command}")
    else:
        say("not proposed: it is no better on real photos of products that it was not trained on")
    return found.model_dump(mode="json") | {"command": found.command}, None
