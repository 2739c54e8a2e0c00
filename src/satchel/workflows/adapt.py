"""`satchel adapt`: set up a run that adapts the served encoder."""

from __future__ import annotations

from itertools import count

import onnx
import torch

from satchel.adapt.clip_file import BLOCKS, CLIP_B16, as_vit, weights_of
from satchel.adapt.files import (
    SERVED_HEAD,
    START_WEIGHTS,
    NetworkStart,
    Start,
    VitStart,
    network_start,
    read_adapted_head,
    read_vit,
    vit_start,
    write_head_file,
    write_start,
    write_vit,
)
from satchel.adapt.settings import AdaptSettings, PairSettings
from satchel.catalog.lookalike_groups import GroupState
from satchel.convert.spec import Weights
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.registry import BUILTINS, encoder_card, read_serving, serving_card
from satchel.errors import UsageError
from satchel.onnx_model import read_model
from satchel.train.backbones import Backbone
from satchel.train.dealing import SplitOptions
from satchel.train.encoder import Cascade
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX, builtin_backbone
from satchel.train.runs import Run, all_runs
from satchel.train.splits import Split
from satchel.workflows.added_weights import added_vit
from satchel.workflows.encoders import is_added
from satchel.workflows.kinds import ADAPTED_HEAD, ADAPTED_NETWORK, TRAINED_VIT, RunKind, kind_of
from satchel.workflows.split import freeze, workspace_split
from satchel.workspace import Workspace


def served_run(workspace: Workspace) -> Run | None:
    """The run that the served encoder came from; None for one that is built in or was added.

    Raises:
        UsageError: the run is gone.
    """
    name = read_serving(workspace.models).name
    if serving_card(workspace.models) in BUILTINS.values() or is_added(workspace, name):
        return None
    for run in all_runs(workspace.runs):
        if name.rpartition("-")[0] == run.name:
            return run
    raise UsageError(
        f"the encoder that is served, {name}, came from a run that is no longer in "
        f"{workspace.runs}; restore its folder, or `satchel promote` another encoder"
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


def served_vit(workspace: Workspace) -> tuple[VitStart, Weights]:
    """The image encoder that training on real pairs begins with, and its weights in float32.

    Where a trained or adapted one is served, it begins with what that began with: it learns from
    all pairs anew.

    Raises:
        UsageError: it is of no ViT, or what it was made from cannot be had any more.
        EncoderError: that is another file, or damaged.
    """
    run = served_run(workspace)
    if run is not None and kind_of(run.read()) is TRAINED_VIT:
        return vit_start(run), read_vit(run.folder / START_WEIGHTS)
    if adapts_head(workspace):
        card = read_card()
        model = onnx.load_from_string(read_model(card, BUILTIN.parent))
        return VitStart(spec=CLIP_B16, card=card), as_vit(weights_of(model))
    name = read_serving(workspace.models).name
    spec, weights = added_vit(workspace, name)
    return VitStart(spec=spec, card=read_card(encoder_card(workspace.models, name))), weights


def trained_blocks(settings: PairSettings, of: int) -> int:
    """How many last blocks are trained, of so many: as set, or all where torch has CUDA, else 1."""
    return min(settings.blocks or (of if torch.cuda.is_available() else 1), of)


def _trains_vit(workspace: Workspace, settings: AdaptSettings, split: Split) -> bool:
    """Whether photos pass the encoder anew at each step, to learn from real pairs.

    Raises:
        UsageError: that is asked for, or the only way, and the split has too few pairs.
    """
    few = len(_paired_codes(split)) < 2
    needed = "sellers' photos of two products or more, such as those of --from-decisions"
    if adapts_head(workspace):
        if few and settings.pairs.blocks is not None and settings.pairs.blocks > 1:
            raise UsageError(f"pairs.blocks = {settings.pairs.blocks} needs {needed}")
        return not few and trained_blocks(settings.pairs, BLOCKS) > 1
    run, name = served_run(workspace), read_serving(workspace.models).name
    if run is None and not is_added(workspace, name):
        return False
    if run is not None and kind_of(run.read()) is not TRAINED_VIT:
        return False
    if few:
        raise UsageError(f"the encoder that is served, {name}, can be adapted to {needed}, alone")
    return True


def _paired_codes(split: Split) -> set[str]:
    """Products to train on that have real queries, and other photos."""
    asked = set(split.queries)
    return {code for code, sha in split.train if (code, sha) in asked} & {
        code for code, sha in split.train if (code, sha) not in asked
    }


def begin_adapting(
    workspace: Workspace, settings: AdaptSettings, name: str, split: Split | None = None
) -> Run:
    """Make the folder of a new run: its split, first weights and known look-alikes.

    All are kept, so that a run that is resumed later continues with the same.

    Args:
        split: what to train on, and what to validate with; default, some products are held out.

    Raises:
        UsageError: there are no photos, the encoder that is served cannot be adapted, or no split
            can have this name.
    """
    workspace.split_path(name)  # the split of a run has its name: refused before there is a folder
    if split is None:
        share = settings.val_share
        options = SplitOptions(protocol="open", val=share, test=0.0, seed=settings.seed)
        split = workspace_split(workspace, options)
    groups = workspace.catalogue.look_alikes.in_state(GroupState.CONFIRMED)
    look_alikes = tuple(tuple(group.codes) for group in groups)
    if _trains_vit(workspace, settings, split):
        vit, weights = served_vit(workspace)
        blocks = trained_blocks(settings.pairs, vit.spec.blocks)
        chosen = settings.pairs.model_copy(update={"blocks": blocks})
        run = _create(workspace, TRAINED_VIT, settings.model_copy(update={"pairs": chosen}), name)
        write_vit(vit, weights, run.folder / START_WEIGHTS)
        Start(vit=vit, look_alikes=look_alikes).write(run)
    elif adapts_head(workspace):
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
    run.update(
        split=_frozen(workspace, split, run.name),
        split_hash=split.hash,
        products=len(split.products()),
        photos=len(split.train),
    )
    return run


def _create(workspace: Workspace, kind: RunKind, settings: AdaptSettings, name: str) -> Run:
    return Run.create(workspace.runs, kind.new_record(settings, name))


def _frozen(workspace: Workspace, split: Split, run_name: str) -> str:
    """Freeze a run's split by the run's name, with a number where it is taken; return its name.

    A split stays when the folder of its run is removed.
    """
    names = (run_name if number == 1 else f"{run_name}-{number}" for number in count(1))
    name = next(name for name in names if not workspace.split_path(name).exists())
    freeze(split, workspace.split_path(name))
    return name
