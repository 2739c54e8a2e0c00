"""`satchel adapt`: set up a run that adapts the served encoder."""

from __future__ import annotations

from satchel.adapt.files import (
    SERVED_HEAD,
    NetworkStart,
    Start,
    network_start,
    read_adapted_head,
    write_head_file,
    write_start,
)
from satchel.adapt.settings import AdaptSettings
from satchel.catalog.lookalike_groups import GroupState
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.registry import BUILTINS, read_serving, serving_card
from satchel.errors import UsageError
from satchel.train.backbones import Backbone
from satchel.train.encoder import Cascade
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX, builtin_backbone
from satchel.train.runs import Run, all_runs
from satchel.train.splits import Split, SplitOptions
from satchel.workflows.kinds import ADAPTED_HEAD, ADAPTED_NETWORK, RunKind, kind_of
from satchel.workflows.split import freeze, workspace_split
from satchel.workspace import Workspace


def served_run(workspace: Workspace) -> Run | None:
    """The run that the served encoder came from; None for a built-in one.

    Raises:
        UsageError: the run is gone.
    """
    if serving_card(workspace.models) in BUILTINS.values():
        return None
    name = read_serving(workspace.models).name
    for run in all_runs(workspace.runs):
        if name.rpartition("-")[0] == run.name:
            return run
    raise UsageError(
        f"the encoder that is served, {name}, came from a run that is no longer in "
        f"{workspace.runs}; restore its folder, or `satchel promote --rollback`"
    )


def adapts_head(workspace: Workspace) -> bool:
    """Whether the built-in encoder's head would be adapted, rather than a whole network.

    Raises:
        UsageError: the run that the served encoder came from is gone.
    """
    run = served_run(workspace)
    if run is None:
        return serving_card(workspace.models) == BUILTIN
    return kind_of(run.read()) is ADAPTED_HEAD


def served_backbone(workspace: Workspace) -> tuple[Backbone, NetworkStart]:
    """The network that is served, and its configuration.

    Raises:
        UsageError: it came from a run that is gone, or is of a kind that cannot be adapted.
    """
    run = served_run(workspace)
    if run is None:
        network = NetworkStart(backbone=ARCHITECTURE, weights="auto", side_px=SIDE_PX)
        return builtin_backbone(), network
    record = run.read()
    kind = kind_of(record)
    assert kind.load is not None  # a run of the built-in encoder's head: `adapts_head`
    backbone, side_px = kind.load(run)
    if isinstance(backbone, Cascade):
        raise UsageError("a cascaded encoder cannot be adapted; promote another first")
    if kind is ADAPTED_NETWORK:
        return backbone, network_start(run)
    known = record.settings
    weights = "auto" if known["weights"] == "auto" else "none"
    return backbone, NetworkStart(backbone=known["backbone"], weights=weights, side_px=side_px)


def begin_adapting(
    workspace: Workspace, settings: AdaptSettings, name: str, split: Split | None = None
) -> Run:
    """Make the folder of a new run: its split, first weights and known look-alikes.

    All are kept, so that a run that is resumed later continues with the same.

    Args:
        split: what to train on, and what to validate with; default, some products are held out.

    Raises:
        UsageError: there are no photos, or the encoder that is served cannot be adapted.
    """
    if split is None:
        share = settings.val_share
        options = SplitOptions(protocol="open", val=share, test=0.0, seed=settings.seed)
        split = workspace_split(workspace, options)
    groups = workspace.catalogue.look_alikes.in_state(GroupState.CONFIRMED)
    look_alikes = tuple(tuple(group.codes) for group in groups)
    if adapts_head(workspace):
        base, served = read_card().sha256, served_run(workspace)
        head = read_adapted_head(served, base) if served else None
        run = _create(workspace, ADAPTED_HEAD, settings, name)
        Start(base=base, look_alikes=look_alikes).write(run)
        if head is not None:
            write_head_file(head, run, SERVED_HEAD)
    else:
        backbone, network = served_backbone(workspace)
        run = _create(workspace, ADAPTED_NETWORK, settings, name)
        write_start(run, backbone, network, look_alikes)
    freeze(split, workspace.split_path(run.name))
    run.update(
        split=run.name,
        split_hash=split.hash,
        products=len(split.products()),
        photos=len(split.train),
    )
    return run


def _create(workspace: Workspace, kind: RunKind, settings: AdaptSettings, name: str) -> Run:
    return Run.create(workspace.runs, kind.new_record(settings, name))
