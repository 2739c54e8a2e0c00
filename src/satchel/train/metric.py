"""The encoder: photo → a vector near those of the same product, of products never seen too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from satchel.errors import UsageError
from satchel.evaluate.metrics import retrieval
from satchel.train.backbones import Backbone, create
from satchel.train.classify import Reporter
from satchel.train.fit import Fitting, Progress, Trainable, fit
from satchel.train.loading import TrainingPhotos, looks, shown_batches
from satchel.train.losses import CascadedHeads, make_loss
from satchel.train.runs import Run
from satchel.train.samplers import ProductBatches
from satchel.train.settings import EncoderSettings

Floats = npt.NDArray[np.float32]


CASCADED: Final = "cascaded"
DEPTHS: Final = 3


class Cascade(Backbone):
    """A backbone with a head at each of several depths: a vector each to train, all to search by.

    See `satchel.train.losses.CascadedHeads`.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(
            backbone.network,
            name=backbone.name,
            weights=backbone.weights,
            mean=tuple(backbone.mean.flatten().tolist()),
            std=tuple(backbone.std.flatten().tolist()),
        )
        with torch.no_grad():
            shown = self._depths(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
        self.heads = CascadedHeads([m.shape[1] for m in shown], self.dimension)

    def forward(self, crops: torch.Tensor) -> Any:
        """While training a vector of each depth; else all of them as one, shape (n, d)."""
        vectors = self.heads([m.float() for m in self._depths(crops)])
        return vectors if self.training else self.heads.joined(vectors)

    def vectors(self, crops: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """All depths as one vector; the last map alone is not enough for them."""
        joined: torch.Tensor = self.heads.joined(
            self.heads([m.float() for m in self._depths(crops)])
        )
        return joined

    def _depths(self, crops: torch.Tensor) -> list[torch.Tensor]:
        maps: list[torch.Tensor] = self.network.forward_intermediates(
            self.scaled(crops), indices=DEPTHS, intermediates_only=True
        )
        return maps


class MetricObjective(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """A loss on vectors, as the training loop calls it."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """The loss of a batch; photos are not blended here."""
        loss: torch.Tensor = self.loss(vectors, labels)
        return loss


@dataclass(frozen=True, slots=True)
class EncoderTask:
    """What an encoder is trained on.

    Attributes:
        train: labelled by place among the training products.
        val: photos to choose by; labels of any numbering.
        gallery: what `val` is searched in, labelled as `val`; None: in itself, each photo left out
            in turn, as where its products are unseen ones.
    """

    products: tuple[str, ...]
    train: TrainingPhotos
    val: TrainingPhotos
    gallery: TrainingPhotos | None


def train_encoder(
    task: EncoderTask,
    settings: EncoderSettings,
    run: Run,
    *,
    report: Reporter,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> Progress:
    """Train, or go on where the run stopped; the run's folder gets `best.safetensors`.

    Raises:
        UsageError: the loss or its options do not exist, or the batch holds too few products.
    """
    if settings.mix:
        raise UsageError("expected mix = 0: losses on vectors do not know blended photos")
    each = settings.photos_each
    products = min(settings.batch // each, len(task.products))
    if products < 2:
        raise UsageError(
            f"expected a batch of two products or more, got batch = {settings.batch} with "
            f"photos_each = {each} and {len(task.products)} products"
        )
    torch.manual_seed(settings.seed)
    model = _model(settings, len(task.products), settings.weights)

    def batches(process: int, processes: int) -> ProductBatches:
        return ProductBatches(
            task.train.labels,
            products=products,
            photos=each,
            seed=settings.seed,
            process=process,
            processes=processes,
        )

    return fit(
        Fitting(
            trainable=model,
            shown=shown_batches(task.train, settings),
            batches=batches,
            settings=settings,
            validate=lambda averaged: validate(averaged.backbone, task, settings.side_px),
            on_epoch=on_epoch,
            on_begin=partial(report.begin, "train"),
            on_step=report.advance,
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )


def _model(settings: EncoderSettings, products: int, weights: str) -> Trainable:
    backbone = create(settings.backbone, weights=weights, side_px=settings.side_px)
    if settings.loss == CASCADED:
        backbone = Cascade(backbone)
    options: Mapping[str, Any] = settings.options
    try:
        loss = make_loss(settings.loss, products=products, dimension=backbone.dimension, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Trainable(backbone, MetricObjective(loss))


def validate(backbone: Backbone, task: EncoderTask, side_px: int) -> dict[str, float]:
    """Recall@1 and 5, MAP@R of the validation photos."""
    queries = vectors_of(backbone, task.val, side_px)
    if task.gallery is None:
        gallery, labels, own = queries, task.val.labels, np.arange(len(queries))
    else:
        gallery, labels = vectors_of(backbone, task.gallery, side_px), task.gallery.labels
        own = None
    found = retrieval(queries, task.val.labels, gallery, labels, own=own, ks=(1, 5))
    return {
        "score": found.recall_at[1] + 1e-3 * found.map_at_r,  # MAP parts ties of few photos
        "recall1": found.recall_at[1],
        "recall5": found.recall_at[5],
        "map_at_r": found.map_at_r,
    }


def vectors_of(
    backbone: Backbone,
    photos: TrainingPhotos,
    side_px: int,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Floats:
    """Vectors, shape (n, d), float32, of length 1: of the whole photo and the object, summed."""
    device = next(backbone.parameters()).device
    backbone.eval()
    rows = []
    with torch.inference_mode():
        for crops in looks(photos, side_px):
            seen = backbone(torch.from_numpy(crops).to(device).flatten(0, 1))
            unit = torch.nn.functional.normalize(seen, dim=1).view(len(crops), 2, -1).sum(1)
            rows.append(torch.nn.functional.normalize(unit, dim=1).cpu().numpy())
            advance(len(crops))
    vectors: Floats = np.concatenate(rows).astype(np.float32)
    return vectors


def load_encoder(run: Run) -> tuple[Backbone, EncoderSettings]:
    """Load the best weights of a run, ready to encode."""
    settings = EncoderSettings.model_validate(run.read().settings)
    products = json.loads((run.folder / "products.json").read_text(encoding="utf-8"))
    weights = "auto" if settings.weights == "auto" else "none"  # they are replaced
    model = _model(settings, len(products), weights)
    model.load_state_dict(load_file(run.best))
    model.eval()
    return model.backbone.to(memory_format=torch.channels_last), settings
