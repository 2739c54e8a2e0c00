"""Registry of the kinds of runs: how each is trained and exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from satchel.adapt.export import export_head
from satchel.adapt.files import adapted_backbone, read_adapted_head, read_vit, vit_start
from satchel.adapt.head import adapt_head
from satchel.adapt.network import adapt_network
from satchel.adapt.settings import AdaptSettings
from satchel.adapt.vit_pairs import train_vit
from satchel.convert.export import export_vit
from satchel.convert.gate import Exported, Kind
from satchel.convert.quantise import DIMENSIONS
from satchel.convert.vit.layers import OFF_GRID
from satchel.encode.card import BUILTIN, LITE, EncoderCard, read_card, uncalibrated
from satchel.onnx_model import read_model
from satchel.progress import Progress
from satchel.train.backbones import Backbone
from satchel.train.batches import TrainingPhotos
from satchel.train.classifier import load_classifier, train_classifier, untrained_classifier
from satchel.train.encoder import load_encoder, train_encoder, untrained_encoder
from satchel.train.export import export_encoder, sample_crops
from satchel.train.fitting import Trainable, TrainingState
from satchel.train.locator.training import train_locator
from satchel.train.runs import ADAPT, Run, RunRecord, new_record
from satchel.train.settings import (
    ClassifierSettings,
    EncoderSettings,
    LocatorSettings,
    TrainSettings,
)
from satchel.validation import StrictModel
from satchel.workflows.tasks import (
    adapt_task,
    classifier_task,
    encoder_task,
    locator_task,
    run_split,
    vit_task,
)
from satchel.workspace import Workspace

OnEpoch = Callable[[int, dict[str, float]], None]
Export = Callable[[Run, TrainingPhotos, Sequence[Kind]], tuple[EncoderCard, list[Exported]]]


@dataclass(frozen=True, slots=True)
class RunKind:
    """One kind of run.

    Attributes:
        name: in the run's record.
        command: that begins and resumes it, without `satchel`.
        settings: their class.
        task: what such a run works on: photos of its split, or those that it froze itself.
        fit: trains on that, or resumes; the run's folder gets the weights.
        export: run, photos to compare by, kinds of files → card, without what is a file's own, and
            ONNX files; an adapted head has one kind alone. None where no encoder is trained.
        untrained: settings, number of products → the network that training begins with; refuses
            settings that do not fit. None where runs begin with the encoder that is served.
        load: reads the run's network, with the input side that it is served with; None where the
            run trained no network of its own.
        served_as: the exported file that is served unless another is asked for.
    """

    name: str
    command: str
    settings: type[StrictModel]
    task: Callable[[Workspace, Run], Any]
    fit: Callable[..., TrainingState]
    export: Export | None
    untrained: Callable[[Any, int], Trainable] | None = None
    load: Callable[[Run], tuple[Backbone, int]] | None = None
    served_as: Kind = "fp16"

    def new_record(self, settings: StrictModel, name: str) -> RunRecord:
        """Begin a record of such a run; its split is not known yet."""
        return new_record(self.name, self.command, settings, name)

    def train(self, task: Any, run: Run, *, progress: Progress, on_epoch: OnEpoch) -> TrainingState:
        """Train a run to its end, or resume it.

        Args:
            task: see above.
            on_epoch: called with the epoch, from 1, and its validation figures.
        """
        settings = run.read().settings_as(self.settings)
        return self.fit(task, settings, run, progress=progress, on_epoch=on_epoch)


def kind_of(record: RunRecord) -> RunKind:
    """The kind of a run."""
    return KINDS[record.kind]


def kind_of_settings(settings: TrainSettings) -> RunKind:
    """The kind of run for settings of this class."""
    return next(kind for kind in (CLASSIFIER, ENCODER) if isinstance(settings, kind.settings))


def _load_classifier(run: Run) -> tuple[Backbone, int]:
    model, _, settings = load_classifier(run)
    return model.backbone, settings.side_px


def _load_encoder(run: Run) -> tuple[Backbone, int]:
    backbone, settings = load_encoder(run)
    return backbone, settings.side_px


def _export_network(
    load: Callable[[Run], tuple[Backbone, int]],
) -> Export:
    """Export the network that `load` reads out of a run, with its input side."""

    def export(
        run: Run, photos: TrainingPhotos, kinds: Sequence[Kind]
    ) -> tuple[EncoderCard, list[Exported]]:
        backbone, side_px = load(run)
        record = run.read()
        about: dict[str, Any] = {
            "architecture": f"{backbone.name} without classifier, average-pooled",
            "weights": f"trained from {backbone.weights} on {_split_of(record)}",
            "licence": "that of the photos it was trained on",
            "input_side_px": side_px,
            "preprocessing": "inside the model",
            "confidence": uncalibrated(),
        }
        card = read_card(LITE).model_copy(update=about)
        return card, export_encoder(backbone, photos, side_px, kinds)

    return export


def _export_head(
    run: Run, photos: TrainingPhotos, kinds: Sequence[Kind]
) -> tuple[EncoderCard, list[Exported]]:
    """Export the built-in encoder as an ensemble of its own head and the run's."""
    card, record = read_card(), run.read()
    head = read_adapted_head(run, card.sha256)
    answers = "an adapted copy of its last layers answers"
    if head.weight < 1:
        answers = "ensemble with an adapted copy of its last layers"
    exported = export_head(read_model(card, BUILTIN.parent), card, head, photos)
    about = {
        "architecture": f"{card.architecture}; {answers}",
        "weights": f"{card.weights}; adapted on {_split_of(record)}",
        "licence": f"{card.licence}; that of the photos it was adapted to",
    }
    return card.model_copy(update=about), [exported]


def _export_vit(
    run: Run, photos: TrainingPhotos, kinds: Sequence[Kind]
) -> tuple[EncoderCard, list[Exported]]:
    """Export an image encoder that was trained on real pairs, as `satchel encoder add` does."""
    vit, record = vit_start(run), run.read()
    crops = sample_crops(photos, vit.served.side_px)
    weights = read_vit(run.best)
    exported = export_vit(vit.spec, weights, vit.served, crops, kinds, levels=OFF_GRID)
    about = {
        "architecture": f"{vit.card.architecture}; trained on, with a projection",
        "weights": f"{vit.card.weights}; trained on pairs of {_split_of(record)}",
        "licence": f"{vit.card.licence}; that of the photos it was trained on",
        "patch_dimension": min(DIMENSIONS, vit.spec.width),
    }
    return vit.card.model_copy(update=about), exported


def _split_of(record: RunRecord) -> str:
    return f"split {record.split} {record.split_hash[:12]}"


CLASSIFIER: Final = RunKind(
    "classifier",
    "train classifier",
    ClassifierSettings,
    lambda workspace, run: classifier_task(workspace, run_split(workspace, run)),
    train_classifier,
    _export_network(_load_classifier),
    untrained_classifier,
    _load_classifier,
)
ENCODER: Final = RunKind(
    "encoder",
    "train encoder",
    EncoderSettings,
    lambda workspace, run: encoder_task(workspace, run_split(workspace, run)),
    train_encoder,
    _export_network(_load_encoder),
    untrained_encoder,
    _load_encoder,
)
ADAPTED_HEAD: Final = RunKind(
    "adapt_head",
    ADAPT,
    AdaptSettings,
    lambda workspace, run: adapt_task(workspace, run_split(workspace, run), run),
    adapt_head,
    _export_head,
)
ADAPTED_NETWORK: Final = RunKind(
    "adapt_network",
    ADAPT,
    AdaptSettings,
    lambda workspace, run: adapt_task(workspace, run_split(workspace, run), run),
    adapt_network,
    _export_network(adapted_backbone),
    load=adapted_backbone,
)
TRAINED_VIT: Final = RunKind(
    "train_vit",
    ADAPT,
    AdaptSettings,
    vit_task,
    train_vit,
    _export_vit,
    served_as="int8",
)
LOCATOR: Final = RunKind(
    "locator", "train locator", LocatorSettings, locator_task, train_locator, export=None
)

KINDS: Final[Mapping[str, RunKind]] = {
    kind.name: kind
    for kind in (CLASSIFIER, ENCODER, LOCATOR, ADAPTED_HEAD, ADAPTED_NETWORK, TRAINED_VIT)
}
"""Name in a run's record → kind."""
