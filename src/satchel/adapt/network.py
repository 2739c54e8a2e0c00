"""Adapt a whole network: where the light encoder is served, or a trained one.

The trained weights are interpolated with those of the start, and that network is an ensemble
member next to the start. Validation chooses the epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file

from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.ensemble import WEIGHT, read_weight
from satchel.adapt.files import ADAPTED_WEIGHTS, SERVED_WEIGHTS, START_WEIGHTS, start_backbone
from satchel.adapt.interpolation import interpolated
from satchel.adapt.objective import make_objective
from satchel.adapt.run import Job, OnEpoch, adapt, prepare
from satchel.adapt.settings import AdaptSettings, NetworkSettings
from satchel.adapt.task import AdaptTask
from satchel.arrays import Bytes, Floats
from satchel.encode.crops import CropShape
from satchel.encode.embed import embed
from satchel.encode.output import EncoderOutput
from satchel.locate.locator import Locator
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import Progress
from satchel.train.backbones import Backbone, Pair, channels_last
from satchel.train.batches import Batch, Step
from satchel.train.checkpoint import save_weights, strip_prefix
from satchel.train.export import Exportable
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, Trainable, TrainingState
from satchel.train.runs import Run, readable
from satchel.train.samplers import ShuffledBatches

P_CLEAN: Final = 0.15
"""Share of the training photos that are the gallery's own, hardly changed."""

LEAST_REPEATS: Final = 8
"""Synthetic photos of each gallery photo in an epoch: validation costs as much as a few of them."""


class LiveEncoder:
    """Adapter: a network in training, as `satchel.encode.embed.embed` takes an encoder."""

    def __init__(self, backbone: Backbone, side_px: int) -> None:
        self._model = Exportable(backbone).eval()
        self._device = next(backbone.parameters()).device
        self.crop_shape = CropShape(side_px)
        self.n_passes = 3

    def encode(self, crops: Bytes) -> EncoderOutput:
        """As `satchel.encode.encoder.Encoder.encode`."""
        with torch.inference_mode():
            vectors, saliency = self._model(torch.from_numpy(crops).to(self._device))
        return EncoderOutput(vectors.float().cpu().numpy(), saliency.float().cpu().numpy())


def adapt_network(
    task: AdaptTask,
    settings: AdaptSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> TrainingState:
    """Adapt, or resume where the run stopped.

    The run's folder gets the adapted weights and the `satchel.adapt.outcome.Outcome`.

    Raises:
        UsageError: the folder of backgrounds holds no photo.
    """
    torch.manual_seed(settings.seed)
    side_px = settings.network.side_px
    job = prepare(task, settings, run, side_px=side_px, progress=progress)
    start = channels_last(start_backbone(run, START_WEIGHTS))
    return adapt(job, NetworkMethod(job, start, copy.deepcopy(start)), on_epoch)


@dataclass(frozen=True, slots=True)
class NetworkMethod:
    """A whole network as a `satchel.adapt.run.Method`.

    Attributes:
        start: the first member of the ensemble; its weights stay.
        second: takes the weights that are validated.
    """

    job: Job
    start: Backbone
    second: Backbone

    @property
    def settings(self) -> NetworkSettings:
        """Those of a network."""
        return self.job.settings.network

    def validate_served(self) -> dict[str, float]:
        """Figures of the start, or of the ensemble that was served as the run began."""
        path = self.job.run.folder / SERVED_WEIGHTS
        if not path.exists():
            return self._validate(self.start.state_dict(), 0.0)
        with readable(path):
            return self._validate(load_file(path), read_weight(path))

    def fit(self, on_epoch: OnEpoch) -> tuple[TrainingState, dict[str, float]]:
        """Train; write the best epoch's weights, interpolated with the start's."""
        job, settings = self.job, self.settings
        repeats = max(LEAST_REPEATS, -(-settings.per_epoch // len(job.task.trained)))
        state = fit(
            Fitting(
                trainable=self._trainable(),
                shown=synthetic_batches(job),
                batches=partial(self._batches, repeats),
                settings=settings.fit_settings(
                    minutes=job.settings.minutes,
                    seed=job.settings.seed,
                    threads=job.settings.threads,
                ),
                validate=lambda found: self._validate_trained(found.backbone.state_dict()),
                on_epoch=on_epoch,
                progress=job.progress,
                most_epochs=max(1, settings.max_per_photo // repeats),
            ),
            checkpoint=job.run.checkpoint,
            best=job.run.best,
        )
        with readable(job.run.best):
            best = strip_prefix("backbone.", load_file(job.run.best))
        figures = self._validate_trained(best)  # the second member keeps these weights
        notes = {WEIGHT: str(settings.ensemble_weight)}
        save_weights(self.second, job.run.folder / ADAPTED_WEIGHTS, notes)
        return state, figures

    def _validate_trained(self, trained: Mapping[str, torch.Tensor]) -> dict[str, float]:
        weights = interpolated(self.start.state_dict(), trained, self.settings.interpolation_weight)
        return self._validate(weights, self.settings.ensemble_weight)

    def _validate(self, second: Mapping[str, torch.Tensor], weight: float) -> dict[str, float]:
        """Figures of the ensemble of the start and these weights."""
        self.second.load_state_dict(second)
        pair = Pair(self.start, self.second, weight=weight)
        return self.job.validation.evaluate(LiveEncoder(pair, self.job.side_px))

    def _trainable(self) -> Trainable:
        job = self.job
        photos = [job.foregrounds.photo(int(row)) for row in job.task.trained]
        objective = make_objective(
            job.task,
            gallery_vectors(LiveEncoder(self.start, job.side_px), photos, job.task.locator),
            job.settings,
            scale=self.settings.scale,
            prototype_centering=self.settings.prototype_centering,
        )
        return Trainable(copy.deepcopy(self.start), objective)

    def _batches(self, repeats: int, process: int, processes: int) -> ShuffledBatches:
        return ShuffledBatches(
            len(self.job.task.trained) * repeats,
            batch_size=self.settings.batch,
            seed=self.job.settings.seed,
            process=process,
            processes=processes,
        )


def gallery_vectors(
    encoder: LiveEncoder, photos: list[Any], locator: Locator | None = None, *, batch: int = 16
) -> Floats:
    """Vectors of photos, shape (n, d), float32, of length 1."""
    embedded = [
        one for some in batched(photos, batch) for one in embed(encoder, some, locator=locator)
    ]
    return np.stack([one.vector for one in embedded]).astype(np.float32)


def synthetic_batches(job: Job) -> Callable[[Iterable[Step]], Iterator[Batch]]:
    """Steps → batches of synthetic photos, composed in threads while the network computes.

    Row i of a step shows trained photo i modulo their number.
    """
    photos, classes, seed = job.task.trained, job.task.trained_classes, job.settings.seed

    @cache
    def composer(side_px: int) -> Composer:
        return job.composer(side_px, p_clean=P_CLEAN)

    def work(step: Step) -> Batch:
        rows = step.rows % len(photos)
        crops = np.empty((len(rows), step.side_px, step.side_px, 3), np.uint8)
        for at, photo in enumerate(photos[rows].tolist()):
            rng = np.random.default_rng([seed, step.epoch, step.number, at])
            crops[at] = composer(step.side_px).compose(photo, rng)
        return Batch(crops, classes[rows], classes[rows], 1.0)

    def batches(steps: Iterable[Step]) -> Iterator[Batch]:
        yield from map_in_order(work, steps, workers=cores(), ahead=1)

    return batches
