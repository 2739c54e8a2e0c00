"""`satchel export` and `satchel promote`: from a run to the encoder that is served, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from satchel.cli.shared import AsJson, Bars, open_workspace, print_result, print_table, say
from satchel.errors import UsageError
from satchel.extras import need_extra

if TYPE_CHECKING:
    from satchel.convert.gate import Kind
    from satchel.train.runs import Run
    from satchel.workspace import Workspace


def export(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run, or how its name begins.")],
    as_json: AsJson = False,
) -> None:
    """Export a trained model as ONNX: fp32, fp16 and int8, each compared with the network."""
    need_extra("train")
    from rich.table import Table

    from satchel.train.runs import Run

    workspace = open_workspace(context)
    run = Run.find(workspace.runs, name)
    if run.read().kind == "locator":
        _export_locator(workspace, run, as_json)
        return
    from satchel.workflows.export import export_run

    with Bars(resumes=False) as bars:
        bars.begin("export and compare", 0)
        done = export_run(workspace, run)
    if as_json:
        names = ("kind", "cosine", "overlap", "ms_per_photo", "agrees")
        files = [
            {"bytes": len(one.model), **{name: getattr(one, name) for name in names}}
            for one in done
        ]
        print_result({"run": run.name, "folder": workspace.models, "files": files})
        return
    table = Table("", "MB", "cosine, 99 of 100", "nearest five", "ms per photo", "")
    for exported in done:
        table.add_row(
            exported.kind,
            f"{len(exported.model) / 1e6:.1f}",
            f"{exported.cosine:.4f}",
            f"{exported.overlap:.1%}",
            f"{exported.ms_per_photo:.1f}",
            "may be served" if exported.agrees else "does not agree: refused",
        )
    print_table(table)
    say(f"written to {workspace.models}; next: satchel promote {run.name}")


def promote(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="The run, an encoder that was added; or clip-b16 or lite0, which Satchel carries.",
        ),
    ] = None,
    kind: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(
            help="Of the file that is served; by default int8 of a ViT that was trained, else fp16."
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Serve the previous model again.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Of a locator: even if identification gets worse.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve another encoder, a trained or a built-in one, or a trained locator.

    --rollback takes the last promotion back.
    """
    from satchel.encode.registry import BUILTINS
    from satchel.train.runs import Run
    from satchel.workflows.encoders import is_added

    workspace = open_workspace(context)
    if rollback:
        done = _roll_back(workspace)
    elif name is None:
        raise UsageError("expected a run to promote, or --rollback")
    elif name in BUILTINS or is_added(workspace, name):
        done = _promote_encoder(workspace, name)
    else:
        run = Run.find(workspace.runs, name)
        need_extra("train")
        if run.read().kind == "locator":
            done = _promote_locator(workspace, run, anyway=anyway)
        else:
            done = promote_run(workspace, run, kind)
    if as_json:
        print_result(done)


def _export_locator(workspace: Workspace, run: Run, as_json: bool) -> None:
    from satchel.workflows.locator import export_locator

    with Bars() as bars:
        path, card = export_locator(workspace, run, progress=bars)
    if as_json:
        print_result({"run": run.name, "card": path, "parity": card.parity, "score": card.score})
        return
    size = (path.parent / card.file).stat().st_size / 1e6
    say(f"{size:.1f} MB; {card.parity}; least score {card.score:g}; written to {path.parent}")
    say(f"next: satchel promote {run.name}")


def _promote_locator(workspace: Workspace, run: Run, *, anyway: bool) -> dict[str, object]:
    from satchel.workflows.promote_locator import promote_locator

    with Bars() as bars:
        check = promote_locator(workspace, run, anyway=anyway, progress=bars)
    say(
        f"{run.name} locates now: {check}; restart a server that runs; back: "
        "satchel promote --rollback"
    )
    return {"locator": run.name, "check": check}


def promote_run(workspace: Workspace, run: Run, kind: Kind | None = None) -> dict[str, object]:
    """Serve a run's encoder; say and return from which confidence it identifies."""
    from satchel.workflows import promote as workflow

    with Bars() as bars:
        card = workflow.promote_run(workspace, run, kind, progress=bars)
    confidence = card.confidence
    threshold = (
        f"identified from a confidence of {confidence.identified_at:.2f}"
        if confidence.identified_at < 1
        else "no confidence is enough for the verdict identified"
    )
    say(
        f"{card.name} is served now; {threshold} ({confidence.measured_on}); back: "
        "satchel promote --rollback"
    )
    return {"served": card.name, "confidence": confidence}


def _promote_encoder(workspace: Workspace, name: str) -> dict[str, object]:
    from satchel.workflows.promote import promote_encoder

    with Bars() as bars:
        card = promote_encoder(workspace, name, progress=bars)
    say(
        f"{name} is served now; confidence: {card.confidence.measured_on} (satchel calibrate "
        "measures it on your photos); back: satchel promote --rollback"
    )
    return {"served": name, "confidence": card.confidence}


def _roll_back(workspace: Workspace) -> dict[str, object]:
    from satchel.workflows.roll_back import roll_back

    result = roll_back(workspace)
    if result.locator:
        say(f"{result.name} locates again; restart a server that runs")
    else:
        say(f"{result.name} is served again")
    if result.missing:
        say(
            f"{result.missing:,} photos were added since and are not in the index: "
            "run `satchel index`"
        )
    kind = "locator" if result.locator else "served"
    return {kind: result.name, "not_indexed": result.missing}
