"""`satchel learn`: adapt the encoder to what experts certified, and propose it if it is better."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings
from satchel.encode.registry import read_serving
from satchel.errors import UsageError
from satchel.market.learning.decided import taken_photos
from satchel.market.learning.proposal import Proposal, read_attempt, write_attempt
from satchel.progress import SILENT, Progress
from satchel.train.dealing import SplitOptions
from satchel.train.runs import RESUMABLE, Run, all_runs
from satchel.workflows.adapt import begin_adapting
from satchel.workflows.split import decisions_split
from satchel.workflows.train import resume
from satchel.workspace import Workspace

RUN: Final = "learned"
"""Name of the runs; further ones get a number."""

VAL_SHARE: Final = 0.3
"""Share of the certified products that is held out, on whose photos encoders are compared."""

OnEpoch = Callable[[int, dict[str, float]], None]


def propose_encoder(
    workspace: Workspace,
    *,
    anyway: bool = False,
    progress: Progress = SILENT,
    on_epoch: OnEpoch = lambda _epoch, _figures: None,
) -> Proposal:
    """Adapt the served encoder within its time budget, and keep what came of it.

    A run that was stopped or killed is resumed. Nothing is promoted.

    Args:
        anyway: even if little was certified since the last time.

    Raises:
        UsageError: too little was certified, or too little since the last time; or the served
            encoder cannot be adapted.
    """
    last, served = read_attempt(workspace.models), read_serving(workspace.models).name
    if last is not None and last.served != served:
        last = None
    run = None if last is None else _unfinished(workspace, last)
    if run is None:
        run = _begun(workspace, served, last, anyway=anyway)
    resume(workspace, run, progress=progress, on_epoch=on_epoch)
    outcome = Outcome.read(run)
    return _kept(workspace, run, served, outcome)


def _begun(workspace: Workspace, served: str, last: Proposal | None, *, anyway: bool) -> Run:
    """A new run, which is noted as the last attempt, so that it is resumed after a kill."""
    settings = workspace.settings.market.learn
    new = _taken(workspace) - (last.photos if last else 0)
    if new < settings.adapt_after and not anyway:
        raise UsageError(
            f"expected {settings.adapt_after} or more photos of certified goods that are new since "
            f"the encoder was adapted last, got {max(new, 0)}"
        )
    adapting = AdaptSettings(minutes=settings.adapt_minutes or AdaptSettings().minutes)
    options = SplitOptions(protocol="open", val=VAL_SHARE, test=0.0)
    run = begin_adapting(workspace, adapting, RUN, decisions_split(workspace, options)[0])
    _kept(workspace, run, served)
    return run


def _unfinished(workspace: Workspace, last: Proposal) -> Run | None:
    """The run of the last attempt, if it was stopped or killed."""
    found = [run for run in all_runs(workspace.runs) if run.name == last.run]
    return next((run for run in found if run.state() in RESUMABLE), None)


def _kept(workspace: Workspace, run: Run, served: str, outcome: Outcome | None = None) -> Proposal:
    """Note an attempt, with its outcome once there is one."""
    attempt = Proposal(
        run=run.name,
        served=served,
        made_at=datetime.now(UTC).replace(microsecond=0),
        photos=_taken(workspace),
        start=outcome.start if outcome else {},
        adapted=outcome.adapted if outcome else {},
        better=outcome is not None and outcome.better,
    )
    write_attempt(workspace.models, attempt)
    return attempt


def _taken(workspace: Workspace) -> int:
    """Photos that the gallery has of certified goods."""
    return len(taken_photos(workspace.catalogue.engine))
