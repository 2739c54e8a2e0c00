"""Train a classifier: photo → one of the products it was trained on.

First the head alone on frozen features, in seconds; then, unless the stage is `head`, the backbone
too, starting with that head.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import load_file

from satchel.arrays import Floats
from satchel.progress import Progress
from satchel.train.backbones import Backbone, channels_last
from satchel.train.batches import TrainingPhotos, shown_batches, two_pass_crops
from satchel.train.checkpoint import save_weights
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, Trainable, TrainingState
from satchel.train.pretrained import create
from satchel.train.runs import Run, readable
from satchel.train.samplers import ShuffledBatches
from satchel.train.settings import ClassifierSettings

HEAD_STEPS: Final = 1_500
HEAD_BATCH: Final = 256
HEAD_RATE: Final = 0.02


class Head(torch.nn.Module):
    """Vectors → a logit for each product, and the loss of these.

    `cosine`: the cosine to each product's weights, times a scale (Wang et al., "NormFace", ACM MM
    2017). `linear`: the product with the weights, plus a bias.
    """

    def __init__(self, dimension: int, products: int, settings: ClassifierSettings) -> None:
        super().__init__()
        self.cosine = settings.head == "cosine"
        self.scale = settings.scale
        self.smoothing = settings.label_smoothing
        self.weight = torch.nn.Parameter(torch.randn(products, dimension) / dimension**0.5)
        self.bias = None if self.cosine else torch.nn.Parameter(torch.zeros(products))

    def logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """Shape (n, products), of vectors, shape (n, d)."""
        if not self.cosine:
            plain: torch.Tensor = torch.nn.functional.linear(vectors, self.weight, self.bias)
            return plain
        unit = torch.nn.functional.normalize
        cosines: torch.Tensor = unit(vectors, dim=1) @ unit(self.weight, dim=1).T
        return self.scale * cosines

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Cross-entropy with label smoothing; of blended photos, by their shares."""
        logits = self.logits(vectors)
        entropy = partial(torch.nn.functional.cross_entropy, label_smoothing=self.smoothing)
        loss: torch.Tensor = entropy(logits, labels)
        return share * loss + (1 - share) * entropy(logits, others) if share < 1 else loss


@dataclass(frozen=True, slots=True)
class ClassifierTask:
    """What a classifier is trained on.

    Attributes:
        products: codes, in the order of the labels.
    """

    products: tuple[str, ...]
    train: TrainingPhotos
    val: TrainingPhotos


def untrained_classifier(settings: ClassifierSettings, products: int) -> Trainable:
    """Make the network that training begins with.

    Raises:
        UsageError: there is no such backbone, or no such weights for it.
    """
    torch.manual_seed(settings.seed)
    backbone = create(
        settings.backbone,
        weights=settings.weights,
        side_px=settings.side_px,
        first_side_px=settings.first_side_px,
    )
    return Trainable(backbone, Head(backbone.dimension, products, settings))


def train_classifier(
    task: ClassifierTask,
    settings: ClassifierSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> TrainingState:
    """Train, or resume where the run stopped.

    The run's folder gets `best.safetensors`, read by `load_classifier`.
    """
    model = untrained_classifier(settings, len(task.products))
    if not run.checkpoint.exists():
        begin_head(model, task, settings, progress)
        if settings.stage == "head":
            figures = validate(model, task.val, settings)
            on_epoch(1, figures)
            save_weights(model, run.best)
            return TrainingState(epochs=1, best=figures["score"])

    def batches(process: int, processes: int) -> ShuffledBatches:
        return ShuffledBatches(
            len(task.train),
            batch_size=settings.batch,
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
            validate=lambda averaged: validate(averaged, task.val, settings),
            on_epoch=on_epoch,
            progress=progress,
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )


def validate(
    model: Trainable, photos: TrainingPhotos, settings: ClassifierSettings
) -> dict[str, float]:
    """Share of photos whose product is first, and among the first five; the loss of the first."""
    scores = predict(model, photos, settings.side_px)
    right = scores[np.arange(len(scores)), photos.labels]
    rank = 1 + (scores > right[:, None]).sum(1)
    likelihood = float(-np.log(np.maximum(right, 1e-9)).mean())
    top1, top5 = float((rank == 1).mean()), float((rank <= 5).mean())
    # Few validation photos make many ties in top-1; the loss breaks them.
    return {
        "score": top1 - 1e-3 * likelihood,
        "top1": top1,
        "top5": top5,
        "val_loss": likelihood,
    }


def predict(model: Trainable, photos: TrainingPhotos, side_px: int) -> Floats:
    """Probability of each product for each photo, shape (n, products), float32.

    Test-time augmentation: the mean over the whole photo and the object, each mirrored too.
    """
    device = next(model.parameters()).device
    rows = []
    with torch.inference_mode():
        for crops in two_pass_crops(photos, side_px):
            pixels = torch.from_numpy(crops).to(device).flatten(0, 1)
            both = torch.cat([pixels, pixels.flip(2)])
            shares = model.objective.logits(model.backbone(both)).softmax(1)
            rows.append(shares.view(2, len(crops), 2, -1).mean((0, 2)).cpu().numpy())
    predicted: Floats = np.concatenate(rows).astype(np.float32)
    return predicted


# -- the head alone --------------------------------------------------------------------------------


def begin_head(
    model: Trainable, task: ClassifierTask, settings: ClassifierSettings, progress: Progress
) -> None:
    """Train the head on features of the frozen backbone, each photo encoded once."""
    model.eval()
    progress.begin("features", len(task.train))
    features = frozen_features(model.backbone, task.train, settings.side_px, progress)
    views = features.shape[1]
    vectors = torch.from_numpy(features).flatten(0, 1)
    labels = torch.from_numpy(np.repeat(task.train.labels, views))
    model.objective.load_state_dict(fit_head(vectors, labels, model.objective, settings.seed))


def frozen_features(
    backbone: Backbone, photos: TrainingPhotos, side_px: int, progress: Progress
) -> Floats:
    """Vectors of each photo, shape (n, 4, d): whole and object, each mirrored too."""
    rows = []
    backbone = channels_last(backbone)
    with torch.inference_mode():
        for crops in two_pass_crops(photos, side_px):
            pixels = torch.from_numpy(crops).flatten(0, 1)
            both = backbone(torch.cat([pixels, pixels.flip(2)]))
            rows.append(both.view(2, len(crops), 2, -1).permute(1, 0, 2, 3).flatten(1, 2).numpy())
            progress.advance(len(crops))
    features: Floats = np.concatenate(rows)
    return features


def fit_head(
    vectors: torch.Tensor, labels: torch.Tensor, head: Any, seed: int
) -> dict[str, torch.Tensor]:
    """Fit a head on fixed vectors, from the products' mean vectors on; deterministic.

    Args:
        vectors: shape (n, d), float32.
        labels: shape (n,), int64.

    Returns:
        the head's weights.
    """
    with torch.no_grad():
        sums = torch.zeros_like(head.weight).index_add_(
            0, labels, torch.nn.functional.normalize(vectors, dim=1)
        )
        head.weight.copy_(torch.nn.functional.normalize(sums, dim=1))
    optimizer = torch.optim.AdamW(head.parameters(), lr=HEAD_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, HEAD_STEPS)
    generator = np.random.default_rng(seed)
    for _ in range(HEAD_STEPS):
        rows = torch.from_numpy(generator.integers(0, len(vectors), HEAD_BATCH))
        loss = head(vectors[rows], labels[rows], labels[rows], 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return dict(head.state_dict())


# -- reading a trained one -------------------------------------------------------------------------


def write_products(run: Run, products: tuple[str, ...]) -> None:
    """Write which product each label is, once, as the run begins."""
    path = run.folder / "products.json"
    if not path.exists():
        path.write_text(json.dumps(products, ensure_ascii=False, indent=0), encoding="utf-8")


def read_products(run: Run) -> tuple[str, ...]:
    """Read which product each label is.

    Raises:
        UsageError: the file is missing or damaged.
    """
    path = run.folder / "products.json"
    with readable(path):
        return TypeAdapter(tuple[str, ...]).validate_json(path.read_bytes())


def load_classifier(run: Run) -> tuple[Trainable, tuple[str, ...], ClassifierSettings]:
    """Load the best weights of a run, ready to predict; with the products of its labels."""
    settings = run.read().settings_as(ClassifierSettings)
    products = read_products(run)
    backbone = create(settings.backbone, weights=_same_kind(settings), side_px=settings.side_px)
    model = Trainable(backbone, Head(backbone.dimension, len(products), settings))
    with readable(run.best):
        model.load_state_dict(load_file(run.best))
    model.eval()
    return channels_last(model), products, settings


def _same_kind(settings: ClassifierSettings) -> str:
    """Source of the network's configuration (epsilon, preprocessing); its weights are replaced."""
    return "auto" if settings.weights == "auto" else "none"


def notes_of(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    with readable(path), safe_open(path, "pt") as file:
        return dict(file.metadata() or {})
