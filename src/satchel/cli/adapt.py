"""`satchel adapt`: fit the served encoder to the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from satchel.cli.promote import promote_run
from satchel.cli.shared import AsJson, changes, open_workspace, pairs, print_result, say
from satchel.cli.train import check_trackers, refuse_to_change, train_run
from satchel.cli.train_options import ConfigFile, Epochs, Resume, RunName, Setting, Tracker
from satchel.errors import UsageError
from satchel.extras import need_extra

if TYPE_CHECKING:
    from satchel.adapt.settings import AdaptSettings
    from satchel.train.runs import Run
    from satchel.train.splits import Split
    from satchel.workspace import Workspace

REAL_VAL_SHARE: Final = 0.3
"""Share of the certified products that is held out, at least."""


def adapt(
    context: typer.Context,
    minutes: Annotated[
        float | None,
        typer.Option(help="A budget, 30 by default: as many synthetic photos or epochs as fit."),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of photos of rooms, tables, shelves."
        ),
    ] = None,
    from_decisions: Annotated[
        bool,
        typer.Option(
            "--from-decisions",
            help="Learn from sellers' photos of certified goods too; some products are held out.",
        ),
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(help="Train and validate with this split: its name, or its file."),
    ] = None,
    promote: Annotated[
        bool | None,
        typer.Option(
            help="Serve it, if no validation figure is worse; by default, if real photos of held "
            "out products were among the validation queries.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    name: RunName = None,
    resume: Resume = None,
    epochs: Epochs = None,
    setting: Setting = None,
    tracker: Tracker = None,
    as_json: AsJson = False,
) -> None:
    """Fit the served encoder to your own catalogue: one photo per product is enough."""
    need_extra("train")
    from satchel.adapt.outcome import Outcome
    from satchel.adapt.settings import AdaptSettings
    from satchel.train.runs import Run
    from satchel.train.settings import read_settings_file
    from satchel.workflows.adapt import adapts_head, begin_adapting

    check_trackers(tracker)
    workspace = open_workspace(context)
    run = Run.find(workspace.runs, resume) if resume is not None else None
    if run is not None:
        if not run.read().adapts:
            raise UsageError(f"{run.name} is no adapting run; satchel {run.read().command}")
        options = {"minutes": minutes, "backgrounds": backgrounds, "split": split, "config": config}
        options |= {"from-decisions": from_decisions, "name": name, "epochs": epochs}
        refuse_to_change(run, options | {"set": setting})
    if run is None:
        given: dict[str, Any] = {
            "minutes": minutes,
            "backgrounds": str(backgrounds.resolve()) if backgrounds else None,
        }
        method = "head" if adapts_head(workspace) else "network"
        chosen = pairs(setting)
        if epochs is not None:
            chosen[method] = {**chosen.get(method, {}), "epochs": epochs}
        settings = read_settings_file(AdaptSettings, config, chosen, given)
        if epochs is not None and method == "network":  # given explicitly, they override the budget
            settings = settings.model_copy(update={"minutes": None})
        own = _split(workspace, settings, from_decisions=from_decisions, name=split)
        run = begin_adapting(workspace, settings, name or "adapt", own)
    record = train_run(workspace, run, tracker)
    served = _report(workspace, run, promote)
    if as_json:
        print_result({"run": record, "outcome": Outcome.read(run), "served": served})


def _split(
    workspace: Workspace, settings: AdaptSettings, *, from_decisions: bool, name: str | None
) -> Split | None:
    """The split that was asked for; None where some products are simply held out."""
    from satchel.train.dealing import SplitOptions
    from satchel.train.splits import Split
    from satchel.workflows.split import decisions_split

    if name is not None:
        if from_decisions:
            raise UsageError("expected --from-decisions or --split, not both")
        is_file = name.endswith(".json")
        return Split.load(Path(name) if is_file else workspace.split_path(name))
    if not from_decisions:
        return None
    # Products with real photos are few, and all that can be validated with.
    share = max(settings.val_share, REAL_VAL_SHARE)
    options = SplitOptions(protocol="open", val=share, test=0.0, seed=settings.seed)
    return decisions_split(workspace, options)[0]


def _report(workspace: Workspace, run: Run, promote: bool | None) -> bool:
    """Print the outcome; serve the adapted encoder if requested or clearly better: whether so."""
    from satchel.adapt.outcome import Outcome

    outcome = Outcome.read(run)
    say(f"validation queries, served → adapted: {changes(outcome.start, outcome.adapted)}")
    if outcome.worse:
        say(f"not promoted: worse than before: {', '.join(outcome.worse)}")
    elif promote or (promote is None and outcome.has_real_photos):
        promote_run(workspace, run)
        return True
    else:
        if promote is None:
            say(
                "no worse on synthetic photos; too few products have further photos to measure "
                "it on real ones: try your own first"
            )
        say(f"next: satchel promote {run.name}")
    return False
