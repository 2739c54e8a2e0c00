"""The network of a run, whatever the run trained."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from satchel.adapt.clip_head import AdaptedHead, head_like
from satchel.errors import UsageError
from satchel.train import runs
from satchel.train.backbones import Backbone, Pair, create
from satchel.train.classifier import load_classifier
from satchel.train.encoder import load_encoder
from satchel.train.runs import Run, readable
from satchel.train.settings import AdaptSettings, HeadSettings

START = "start.safetensors"
"""Of an adapting run: weights that training begins from, and that go on answering beside it."""

ADAPTED = "adapted.safetensors"
"""Of an adapting run: the average that was chosen, written last."""

BESIDE = "beside"
"""Note of a file of weights that answer beside others: their share."""


def trained_backbone(run: Run) -> tuple[Backbone, int]:
    """Load the network that a run chose, ready to encode, and the input side it serves with.

    Raises:
        UsageError: the run has not come so far.
    """
    record = run.read()
    match record.kind:
        case "classifier":
            model, _, settings = load_classifier(run)
            return model.backbone, settings.side_px
        case runs.ADAPT:
            return _adapted(run)
        case runs.ADAPT_HEAD:
            raise UsageError(f"the run {run.name} trained the built-in encoder's head, no network")
        case _:
            backbone, encoder_settings = load_encoder(run)
            return backbone, encoder_settings.side_px


def _adapted(run: Run) -> tuple[Backbone, int]:
    path = run.folder / ADAPTED
    if not path.exists():
        raise UsageError(
            f"the run {run.name} has not chosen its weights yet: it is {run.state()}; go on with "
            f"`satchel adapt --resume {run.name}`"
        )
    settings = run.read().settings_as(AdaptSettings)
    first, second = (settings_backbone(settings, run.folder / name) for name in (START, ADAPTED))
    pair = Pair(first, second, share=settings.beside)
    pair.eval()
    return pair, settings.serve_side_px


def settings_backbone(settings: AdaptSettings, weights: Path) -> Backbone:
    """A network as an adapting run has it, ready to encode, with weights from a file."""
    backbone = create(settings.backbone, weights=settings.weights, side_px=settings.side_px)
    with readable(weights):
        backbone.load_state_dict(load_file(weights))
    backbone.eval()
    return backbone


def read_adapted_head(run: Run, base: str) -> AdaptedHead:
    """Load the head that a run trained.

    Args:
        base: SHA-256 of the built-in encoder's file, whose head it is to answer beside.

    Raises:
        UsageError: the run has not come so far, or trained the head of another encoder.
    """
    if not run.best.exists():
        raise UsageError(
            f"the run {run.name} has not trained its head yet: it is {run.state()}; go on with "
            f"`satchel adapt --resume {run.name}`"
        )
    same_base(run, run.read().settings_as(HeadSettings), base)
    return read_head_file(run.best)


def same_base(run: Run, settings: HeadSettings, base: str) -> None:
    """Make sure that a run began with the built-in encoder as it is now.

    Raises:
        UsageError: it did not.
    """
    if settings.base != base:
        raise UsageError(
            f"the run {run.name} adapted the built-in encoder of another Satchel "
            f"({settings.base[:12]}, now {base[:12]}): `satchel promote clip-b16`, then "
            "`satchel adapt` anew"
        )


def read_head_file(path: Path) -> AdaptedHead:
    """Read a head's weights and its share, as `satchel.train.fit.save_weights` wrote them."""
    with readable(path), safe_open(path, framework="pt") as file:
        return AdaptedHead(head_like(load_file(path)), float(file.metadata()[BESIDE]))
