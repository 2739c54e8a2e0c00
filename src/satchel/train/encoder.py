"""Train an encoder: photo → a vector near those of the same product, of unseen products too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from satchel.arrays import Floats
from satchel.errors import UsageError
from satchel.evaluate.retrieval import retrieval
from satchel.progress import SILENT, Progress
from satchel.train.backbones import Backbone, channels_last
from satchel.train.batches import TrainingPhotos, shown_batches, two_pass_crops
from satchel.train.checkpoint import save_weights
from satchel.train.classifier import notes_of, read_products
from satchel.train.distances import WithinClassWhitening
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, Trainable, TrainingState
from satchel.train.losses import make_loss
from satchel.train.losses.cascaded import CascadedHeads
from satchel.train.losses.whitening import WhiteningLayer
from satchel.train.pretrained import SCRATCH, create
from satchel.train.runs import Run, readable
from satchel.train.samplers import ProductBatches
from satchel.train.settings import EncoderSettings

CASCADED: Final = "cascaded"
DEPTHS: Final = 3
TRAINED_SHARE: Final = "trained_share"
"""Figure and note: interpolation weight of the trained weights, where they were blended."""


class Cascade(Backbone):
    """A backbone with a head at each of several depths: a vector each to train, all to search by.

    See `satchel.train.losses.cascaded.CascadedHeads`.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone.network, name=backbone.name, **backbone.origin())
        with torch.no_grad():
            shown = self._depths(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
        self.heads = CascadedHeads([m.shape[1] for m in shown], self.dimension)

    def forward(self, crops: torch.Tensor) -> Any:
        """While training a vector of each depth; else all of them as one, shape (n, d)."""
        vectors = self.heads([m.float() for m in self._depths(crops)])
        return vectors if self.training else self.heads.joined(vectors)

    def vectors(self, crops: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """All depths as one vector; the last map alone is not enough for them."""
        return self.heads.joined(self.heads([m.float() for m in self._depths(crops)]))

    def _depths(self, crops: torch.Tensor) -> list[torch.Tensor]:
        maps: list[torch.Tensor] = self.network.forward_intermediates(
            self.scaled(crops), indices=DEPTHS, intermediates_only=True
        )
        return maps


class MetricObjective(torch.nn.Module):
    """A loss on vectors, whitened if a layer is given, as the training loop calls it."""

    def __init__(self, loss: torch.nn.Module, whiten: WhiteningLayer | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.whiten = whiten

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """The loss of a batch; photos are not blended here."""
        if self.whiten is not None:
            vectors = self.whiten(vectors)
        loss: torch.Tensor = self.loss(vectors, labels)
        return loss


@dataclass(frozen=True, slots=True)
class EncoderTask:
    """What an encoder is trained on.

    Attributes:
        train: labelled by place among the training products.
        val: photos to validate on; labels of any numbering.
        gallery: what `val` is searched in, labelled as `val`; None: in itself, each photo left out
            in turn, as where its products are unseen ones.
    """

    products: tuple[str, ...]
    train: TrainingPhotos
    val: TrainingPhotos
    gallery: TrainingPhotos | None


def untrained_encoder(settings: EncoderSettings, products: int) -> Trainable:
    """Make the network that training begins with.

    Raises:
        UsageError: the stage is `head`, and the loss brings none; there is no such backbone, loss
            or option, or no such weights; the settings contradict each other; or a batch holds too
            few products.
    """
    if settings.stage == "head" and settings.loss != CASCADED:
        raise UsageError(
            f"expected --stage partial or full: a network that stays as it is has no head to train "
            f"with the loss {settings.loss}; `satchel adapt` trains one on frozen features"
        )
    if settings.mix:
        raise UsageError("expected mix = 0: losses on vectors do not support blended photos")
    if products_a_batch(settings, products) < 2:
        raise UsageError(
            f"expected a batch of two products or more, got batch = {settings.batch} with "
            f"photos_each = {settings.photos_each} and {products} products"
        )
    torch.manual_seed(settings.seed)
    model = _model(settings, products, settings.weights)
    if settings.blend_with_start and model.backbone.weights == SCRATCH:
        raise UsageError(
            f"blend_with_start averages with the pretrained weights of {settings.backbone}, and it "
            "has none; give --weights, or leave blend_with_start out"
        )
    return model


def products_a_batch(settings: EncoderSettings, products: int) -> int:
    """How many of the products each batch holds."""
    return min(settings.batch // settings.photos_each, products)


def train_encoder(
    task: EncoderTask,
    settings: EncoderSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> TrainingState:
    """Train, or resume where the run stopped; the run's folder gets `best.safetensors`.

    Raises:
        UsageError: as `untrained_encoder`; or `whiten` finds too few photos of one product.
    """
    model = untrained_encoder(settings, len(task.products))
    start = _start(model.backbone, settings)
    if settings.whiten and not run.checkpoint.exists():
        model.objective.whiten.set(_whitening(model.backbone, task.train, settings, progress))

    def batches(process: int, processes: int) -> ProductBatches:
        return ProductBatches(
            task.train.labels,
            products=products_a_batch(settings, len(task.products)),
            photos=settings.photos_each,
            seed=settings.seed,
            process=process,
            processes=processes,
        )

    state = fit(
        Fitting(
            trainable=model,
            shown=shown_batches(task.train, settings),
            batches=batches,
            settings=settings,
            validate=lambda averaged: validate(averaged.backbone, task, settings.side_px),
            on_epoch=on_epoch,
            progress=progress,
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )
    if settings.blend_with_start and PartialState().is_main_process:
        _blend(run, model, start, task, settings)
    return state


def _whitening(
    backbone: Backbone, photos: TrainingPhotos, settings: EncoderSettings, progress: Progress
) -> Floats:
    """W of how the training photos differ within products before training, shape (d, d).

    Scaled so that photos of different products are as far apart, squared and on average, as
    vectors of length 1 at a right angle: margins keep their meaning.
    """
    progress.begin("covariance", len(photos))
    vectors = network_embeddings(backbone, photos, settings.side_px, progress=progress).plain
    try:
        whitening = WithinClassWhitening.fit(vectors, photos.labels)
    except ValueError as error:
        raise UsageError(f"whiten compares photos of one product: {error}") from None
    spread = whitening.apply(vectors - vectors.mean(0))
    matrix: Floats = (whitening.matrix / np.sqrt((spread**2).sum(1).mean())).astype(np.float32)
    return matrix


def _start(backbone: Backbone, settings: EncoderSettings) -> dict[str, torch.Tensor]:
    """The starting weights, where they are needed for blending at the end; else none."""
    if not settings.blend_with_start:
        return {}
    return {name: value.clone() for name, value in backbone.network.state_dict().items()}


def _blend(
    run: Run,
    model: Trainable,
    start: Mapping[str, torch.Tensor],
    task: EncoderTask,
    settings: EncoderSettings,
) -> None:
    """Replace the best weights by their average with the starting ones that validates best.

    Fine-tuning on few products forgets what separates others; between the two there are often
    weights that are better than either. Wortsman et al., "Robust fine-tuning of zero-shot models",
    CVPR 2022, section 3: all weights, θ = (1 − α) θ_start + α θ_trained. New parameters
    (proxies, heads) are not averaged.
    """
    if TRAINED_SHARE in notes_of(run.best):
        return  # killed after it was done
    with readable(run.best):
        trained = load_file(run.best)
    blends: list[tuple[float, float, dict[str, float]]] = []
    for share in (1.0, *settings.blend_with_start):
        model.load_state_dict(blended(start, trained, share))
        figures = validate(model.backbone, task, settings.side_px)
        blends.append((figures["score"], share, figures))
    _, share, figures = max(blends, key=lambda tried: tried[:2])
    model.load_state_dict(blended(start, trained, share))
    run.update(figures={**run.read().figures, **figures, TRAINED_SHARE: share})
    save_weights(model, run.best, {TRAINED_SHARE: str(share)})


def blended(
    start: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """(1 − share) × the network's starting weights + share × the trained ones.

    Args:
        start: of `Backbone.network`.
        trained: of the whole `Trainable`; what is not of the network is returned as it is.
        share: in [0, 1].
    """
    mixed = dict(trained)
    for name, before in start.items():
        key = f"backbone.network.{name}"
        if before.is_floating_point():
            mixed[key] = torch.lerp(before.to(trained[key].device), trained[key], share)
    return mixed


def _model(settings: EncoderSettings, products: int, weights: str) -> Trainable:
    backbone = create(
        settings.backbone,
        weights=weights,
        side_px=settings.side_px,
        first_side_px=settings.first_side_px,
    )
    whiten = None
    if settings.loss == CASCADED:
        backbone = Cascade(backbone)
    elif settings.whiten:
        whiten = WhiteningLayer(np.eye(backbone.dimension))
    options: Mapping[str, Any] = settings.options
    try:
        loss = make_loss(settings.loss, products=products, dimension=backbone.dimension, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Trainable(backbone, MetricObjective(loss, whiten))


def validate(backbone: Backbone, task: EncoderTask, side_px: int) -> dict[str, float]:
    """Recall@1 and 5, MAP@R of the validation photos."""
    queries = unit_vectors(backbone, task.val, side_px)
    if task.gallery is None:
        gallery, labels, own = queries, task.val.labels, np.arange(len(queries))
    else:
        gallery, labels = unit_vectors(backbone, task.gallery, side_px), task.gallery.labels
        own = None
    measured = retrieval(queries, task.val.labels, gallery, labels, own=own, ks=(1, 5))
    return {
        # On few photos recall saturates; MAP@R still separates encoders (Musgrave,
        # Belongie and Lim, "A Metric Learning Reality Check", ECCV 2020, section 3.2).
        "score": measured.map_at_r,
        "recall1": measured.recall_at[1],
        "recall5": measured.recall_at[5],
        "map_at_r": measured.map_at_r,
    }


@dataclass(frozen=True, slots=True)
class NetworkEmbeddings:
    """Embeddings of n photos by a network in torch, each of two views: whole photo and object.

    Attributes:
        unit: shape (n, d), float32, of length 1: the sum of both views' vectors at length 1.
        plain: shape (n, d), float32: the mean of both views' vectors, not normalised.
    """

    unit: Floats
    plain: Floats


def network_embeddings(
    backbone: Backbone,
    photos: TrainingPhotos,
    side_px: int,
    *,
    progress: Progress = SILENT,
) -> NetworkEmbeddings:
    """Encode the whole photo and the object in it; validation and retrieval figures use both."""
    device = next(backbone.parameters()).device
    backbone.eval()
    unit, plain = [], []
    normalised = torch.nn.functional.normalize
    with torch.inference_mode():
        for crops in two_pass_crops(photos, side_px):
            vectors = backbone(torch.from_numpy(crops).to(device).flatten(0, 1))
            both = normalised(vectors, dim=1).view(len(crops), 2, -1).sum(1)
            unit.append(normalised(both, dim=1).cpu().numpy())
            plain.append(vectors.view(len(crops), 2, -1).mean(1).cpu().numpy())
            progress.advance(len(crops))
    return NetworkEmbeddings(
        np.concatenate(unit).astype(np.float32), np.concatenate(plain).astype(np.float32)
    )


def unit_vectors(backbone: Backbone, photos: TrainingPhotos, side_px: int) -> Floats:
    """The `unit` vectors of photos, shape (n, d), float32."""
    return network_embeddings(backbone, photos, side_px).unit


def load_encoder(run: Run) -> tuple[Backbone, EncoderSettings]:
    """Load the best weights of a run, ready to encode."""
    settings = run.read().settings_as(EncoderSettings)
    products = read_products(run)
    weights = "auto" if settings.weights == "auto" else "none"  # they are replaced by the run's
    model = _model(settings, len(products), weights)
    with readable(run.best):
        model.load_state_dict(load_file(run.best))
    model.eval()
    return channels_last(model.backbone), settings
