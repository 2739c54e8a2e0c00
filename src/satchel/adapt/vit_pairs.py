"""Train a whole image encoder, or its last blocks, on real pairs; see `pair_network`.

The trained weights are interpolated with those of the start; real photos of held-out products
choose how far, and from which epoch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file

from satchel.adapt.files import START_WEIGHTS, VitStart, read_vit, vit_start, write_vit
from satchel.adapt.interpolation import interpolated
from satchel.adapt.pair_batches import PairBatches, PairRows, by_shape, pair_batches
from satchel.adapt.pair_network import PairNetwork, VitEncoder, mapped, with_projection
from satchel.adapt.pair_training import least_differences, near_twins
from satchel.adapt.pair_views import random_view
from satchel.adapt.run import Job, OnEpoch, adapt, prepare
from satchel.adapt.settings import AdaptSettings, PairSettings
from satchel.adapt.task import AdaptTask
from satchel.adapt.validation import real_score
from satchel.adapt.vit_torch import TorchVit
from satchel.arrays import Floats, Ints
from satchel.convert.spec import Weights
from satchel.encode.embed import embed
from satchel.errors import UsageError
from satchel.images import RGB
from satchel.parallel import batched
from satchel.progress import Progress
from satchel.records import WHOLE_PHOTO, Box
from satchel.train.checkpoint import strip_prefix
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, TrainingState
from satchel.train.runs import Run, readable
from satchel.train.settings import FitSettings

TRAINED: Final = "trained.safetensors"
"""Weights of the best epoch, before they are interpolated with the start's."""

EPOCH_STEPS: Final = 25
"""Steps between two validations, at most."""

EMBEDDED_TOGETHER: Final = 16
TRAINING_SHARE: Final = 0.8
"""Share of the time left that training may take; interpolation and its validation follow."""


def train_vit(
    task: AdaptTask,
    settings: AdaptSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> TrainingState:
    """Train, or resume where the run stopped.

    The run's folder gets the weights as its best, and the `satchel.adapt.outcome.Outcome`.

    Raises:
        UsageError: the folder of backgrounds holds no photo, or fewer than two products have pairs.
    """
    if not task.has_pairs:
        raise UsageError(
            f"expected sellers' photos of two products or more to train on, got {len(task.paired)}"
            "; with so few, leave out --set pairs.blocks"
        )
    torch.manual_seed(settings.seed)
    vit = vit_start(run)
    job = prepare(task, settings, run, side_px=vit.card.input_side_px, progress=progress)
    start = with_projection(read_vit(run.folder / START_WEIGHTS), vit.spec.width)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = TorchVit(vit.spec, start, most=vit.served.most).to(device).eval()
    state = adapt(job, VitMethod(job, vit, start, network), on_epoch)
    # Five times the size of what is served. The checkpoint first: resumed from it, a run would take
    # up with the trained weights.
    for path in (run.checkpoint, run.folder / TRAINED):
        path.unlink(missing_ok=True)
    return state


@dataclass(frozen=True, slots=True)
class VitMethod:
    """An image encoder of the ViT family as a `satchel.adapt.run.Method`.

    Attributes:
        start: the weights that training begins with.
        network: takes weights to try.
    """

    job: Job
    vit: VitStart
    start: Weights
    network: TorchVit

    @property
    def settings(self) -> PairSettings:
        """Those of real pairs."""
        return self.job.settings.pairs

    def validate_served(self) -> dict[str, float]:
        """Figures of the encoder that is served."""
        encoder = self.job.task.served or VitEncoder(self.network, self.vit.card)
        self.job.progress.begin("validate", 0)
        return self.job.validation.evaluate(encoder)

    def fit(self, on_epoch: OnEpoch) -> tuple[TrainingState, dict[str, float]]:
        """Train; write the weights that are best on real photos of held-out products."""
        job, settings = self.job, self.settings
        blocks = settings.blocks or self.vit.spec.blocks
        boxes = self._boxes()
        initial, twins = self._initial(boxes)
        network = TorchVit(self.vit.spec, initial, most=self.vit.served.most)
        trainable = PairNetwork(network.to(self.network.mean.device), settings)
        rows = PairRows.of(job.task.trained_classes, job.task.is_real, job.task.paired)
        state = fit(
            Fitting(
                trainable=trainable,
                shown=pair_batches(job, boxes, self.vit.card.crop_shape),
                batches=lambda process, processes: PairBatches(
                    rows,
                    twins,
                    batch=settings.batch,
                    steps=settings.steps // self._most_epochs,
                    twins_each=settings.twins,
                    seed=job.settings.seed,
                    process=process,
                    processes=processes,
                ),
                settings=self._fit_settings(),
                validate=self._validate_epoch,
                on_epoch=on_epoch,
                progress=job.progress,
                most_epochs=self._most_epochs,
                groups=lambda found, given: found.groups(given, blocks),
            ),
            checkpoint=job.run.checkpoint,
            best=job.run.folder / TRAINED,
        )
        return state, self._interpolate()

    @property
    def _most_epochs(self) -> int:
        return -(-self.settings.steps // EPOCH_STEPS)

    def _fit_settings(self) -> FitSettings:
        job, settings = self.job, self.settings
        minutes = job.settings.minutes
        if minutes is not None:
            left = minutes - (time.monotonic() - job.began) / 60
            minutes = max(TRAINING_SHARE * left, 1 / 60)
        return FitSettings(
            minutes=minutes,
            epochs=self._most_epochs,
            batch=settings.batch,
            side_px=self.vit.card.input_side_px,
            weight_decay=settings.weight_decay,
            average=0.0,
            seed=job.settings.seed,
            threads=job.settings.threads,
        )

    def _interpolate(self) -> dict[str, float]:
        """Write the best weights between the start and the best epoch; return their figures."""
        path, start = self.job.run.folder / TRAINED, self._state(self.start)
        with readable(path):
            trained = strip_prefix("network.", load_file(path))
        weights, best = self.settings.interpolation_weights, dict[str, float]()
        self.job.progress.begin("validate", len(weights))
        for weight in weights:
            self.network.load_state_dict(interpolated(start, trained, weight))
            figures = self._validate(self.network)
            if not best or real_score(figures) > real_score(best):
                best = figures
                write_vit(self.vit, self.network.weights(), self.job.run.best)
            self.job.progress.advance(1)
        return best

    def _state(self, weights: Weights) -> dict[str, torch.Tensor]:
        network = TorchVit(self.vit.spec, weights, most=self.vit.served.most)
        return network.to(self.network.mean.device).state_dict()

    def _validate_epoch(self, found: PairNetwork) -> dict[str, float]:
        figures = self._validate(found.network)
        return figures | {"score": real_score(figures)}

    def _validate(self, network: TorchVit) -> dict[str, float]:
        network.eval()
        return self.job.validation.evaluate(VitEncoder(network, self.vit.card))

    # -- the start ---------------------------------------------------------------------------------

    def _boxes(self) -> list[Box]:
        """Where the object is in each trained photo, with some margin."""
        task = self.job.task
        pad = task.locator.pad if task.locator else 0.0
        encoder = VitEncoder(self.network, self.vit.card)
        self.job.progress.begin("gallery", len(task.trained))
        found: list[Box] = []
        for rows in batched(task.trained.tolist(), EMBEDDED_TOGETHER):
            photos: list[RGB] = [self.job.foregrounds.photo(row) for row in rows]
            embedded = embed(encoder, photos, locator=task.locator, gallery=True)
            found += [one.box.padded(pad) for one in embedded]
            self.job.progress.advance(len(rows))
        return found

    def _initial(self, boxes: list[Box]) -> tuple[Weights, Ints]:
        """The weights with the projection that training begins with; near twins of each product."""
        task = self.job.task
        rows = np.flatnonzero(np.isin(task.trained_classes, task.paired))
        vectors = self._views(rows, boxes)
        classes = np.tile(task.trained_classes[rows], len(vectors) // len(rows))
        pictures = ~np.tile(task.is_real[rows], len(vectors) // len(rows))
        matrix = least_differences(vectors, classes, power=self.settings.whitening)
        twins = near_twins(vectors[pictures], classes[pictures], task.paired, self.settings.twins)
        return mapped(self.start, matrix, vectors[pictures].mean(0)), twins

    def _views(self, rows: Ints, boxes: list[Box]) -> Floats:
        """Vectors of photos: all whole, all cropped to their objects, then further crops."""
        encoder, job = VitEncoder(self.network, self.vit.card), self.job
        shape, views = self.vit.card.crop_shape, 2 + self.settings.views
        job.progress.begin("views", views * len(rows))

        def crop(view: int, row: int) -> RGB:
            photo = job.foregrounds.photo(int(job.task.trained[row]))
            if view < 2:
                return shape.cut(photo, (WHOLE_PHOTO, boxes[row])[view])
            rng = np.random.default_rng([job.settings.seed, row, view])
            return random_view(photo, boxes[row], shape, rng)

        found = []
        wanted = [(view, row) for view in range(views) for row in rows.tolist()]
        for some in batched(wanted, EMBEDDED_TOGETHER):
            vectors = np.empty((len(some), len(self.start["projection.b"])), np.float32)
            for places, crops in by_shape([crop(*one) for one in some]):
                vectors[places] = encoder.encode(crops).vectors
            found.append(vectors)
            job.progress.advance(len(some))
        return np.concatenate(found)
