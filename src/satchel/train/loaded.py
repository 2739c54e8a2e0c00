"""The network of a run, whatever the run trained."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from satchel.errors import UsageError
from satchel.train.backbones import Backbone, Pair, create
from satchel.train.classify import load_classifier
from satchel.train.metric import load_encoder
from satchel.train.runs import Run
from satchel.train.settings import AdaptSettings

START = "start.safetensors"
"""Of an adapting run: weights that training begins from, and that go on answering beside it."""

ADAPTED = "adapted.safetensors"
"""Of an adapting run: the average that was chosen, written last."""


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
        case "adapt":
            return _adapted(run)
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
    settings = AdaptSettings.model_validate(run.read().settings)
    first, second = (settings_backbone(settings, run.folder / name) for name in (START, ADAPTED))
    pair = Pair(first, second, share=settings.beside)
    pair.eval()
    return pair, settings.serve_side_px


def settings_backbone(settings: AdaptSettings, weights: Path) -> Backbone:
    """A network as an adapting run has it, ready to encode, with weights from a file."""
    backbone = create(settings.backbone, weights=settings.weights, side_px=settings.side_px)
    backbone.load_state_dict(load_file(weights))
    backbone.eval()
    return backbone
