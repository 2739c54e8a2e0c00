"""Adapt the head of the built-in encoder: its layers after the last attention.

Everything before is frozen, so each synthetic photo passes it once and only the head's input is
kept, 3 KB (`satchel.adapt.token_cache`). On these the head is trained in seconds. Its vector is an
ensemble member next to the built-in one's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import torch

from satchel.adapt.clip_head import (
    AdaptedHead,
    TokenEncoder,
    TokenSource,
    read_head,
)
from satchel.adapt.files import SERVED_HEAD, check_base, read_head_file, write_head_file
from satchel.adapt.head_training import Tokens, train_head
from satchel.adapt.objective import make_objective
from satchel.adapt.pair_training import Pairs, interpolated_head, start_of, train_on_pairs
from satchel.adapt.pair_views import random_view
from satchel.adapt.run import Job, OnEpoch, adapt, prepare
from satchel.adapt.settings import AdaptSettings, HeadSettings
from satchel.adapt.task import AdaptTask
from satchel.adapt.token_cache import PASSES, SYNTHETIC, CachedEncoder, SyntheticTokens
from satchel.adapt.validation import real_score
from satchel.adapt.vit_torch import TorchTokenEncoder
from satchel.arrays import Bytes, Floats, Halves, Ints
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.crops import CropShape
from satchel.encode.embed import embed
from satchel.encode.output import EncoderOutput
from satchel.images import RGB
from satchel.onnx_model import read_model
from satchel.parallel import batched
from satchel.progress import Progress
from satchel.records import WHOLE_PHOTO, Box, PhotoEmbedding
from satchel.train.fitting import TrainingState
from satchel.train.runs import Run

SYNTHESIS_SHARE: Final = 0.85
"""Share of the remaining time for synthetic photos; training and validation follow."""


def adapt_head(
    task: AdaptTask,
    settings: AdaptSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> TrainingState:
    """Adapt, or resume where the run stopped.

    The run's folder gets the head and the `satchel.adapt.outcome.Outcome`.

    Raises:
        UsageError: the folder of backgrounds holds no photo, or the built-in encoder is another
            one than the run began with.
    """
    card = read_card()
    check_base(run, card.sha256)
    job = prepare(task, settings, run, side_px=card.input_side_px, progress=progress)
    model = onnx.load_from_string(read_model(card, BUILTIN.parent))
    # Whole, and its object; of real pairs further crops.
    validated = 2 * len(job.foregrounds) + 2 * len(job.validation.queries)
    most = validated + settings.pairs.views * len(task.trained) * task.has_pairs
    cache = CachedEncoder(TokenEncoder(card, model), run.folder / PASSES, most, progress.advance)
    state = adapt(job, HeadMethod(job, model, cache, validated), on_epoch)
    for name in (PASSES, SYNTHETIC):  # encoded again in minutes
        (run.folder / name).unlink(missing_ok=True)
    return state


@dataclass(frozen=True, slots=True)
class HeadMethod:
    """The head of the built-in encoder as a `satchel.adapt.run.Method`.

    Attributes:
        model: the built-in encoder.
        passes: crops that validating one head takes.
    """

    job: Job
    model: onnx.ModelProto
    cache: CachedEncoder
    passes: int

    @property
    def settings(self) -> HeadSettings:
        """Those of a head."""
        return self.job.settings.head

    def validate_served(self) -> dict[str, float]:
        """Figures of the built-in encoder, or of the ensemble that was served."""
        path = self.job.run.folder / SERVED_HEAD
        return self._validate(read_head_file(path) if path.exists() else None)

    def fit(self, on_epoch: OnEpoch) -> tuple[TrainingState, dict[str, float]]:
        """Encode synthetic photos, train the head on them, write it."""
        job, settings = self.job, self.settings
        synthetic, schedule = SyntheticTokens(
            job.composer(job.side_px),
            token_source(self.cache.encoder, self.model),
            job.task.trained,
            settings.max_per_photo,
            job.settings.seed,
            job.run,
            self._synthesis_ends(),
        ).encode(job.progress)
        own, vectors, boxes = self._gallery_tokens()
        classes = np.tile(job.task.trained_classes, schedule.per_photo + len(own))
        tokens = Tokens((synthetic, *own), classes)
        if job.task.has_pairs:
            head, figures = self._fit_pairs(tokens, own, boxes)
        else:
            head = self._fit_prototypes(tokens, vectors)
            figures = self._validate(head)
        write_head_file(head, job.run)
        measured = {"per_photo": schedule.per_photo, "per_second": schedule.per_second}
        on_epoch(settings.epochs, figures | measured)
        return TrainingState(step=settings.epochs, epochs=settings.epochs), figures

    def _fit_prototypes(self, tokens: Tokens, vectors: Floats) -> AdaptedHead:
        """Train on a prototype of each product, where there are no real pairs.

        Args:
            vectors: of the trained photos, shape (t, d).
        """
        job, settings = self.job, self.settings
        objective = make_objective(
            job.task,
            vectors,
            job.settings,
            scale=settings.scale,
            prototype_centering=settings.prototype_centering,
        )
        head = AdaptedHead(read_head(self.model), settings.ensemble_weight)
        train_head(
            head.head,
            objective,
            tokens,
            settings,
            seed=job.settings.seed,
            progress=job.progress,
        )
        return head

    def _fit_pairs(
        self, others: Tokens, own: tuple[Halves, Halves], boxes: list[Box]
    ) -> tuple[AdaptedHead, dict[str, float]]:
        """Train on real pairs; the interpolation weight that is best on real photos is taken.

        Args:
            others: of synthetic photos and of the trained ones, each time all photos in turn.
            own: of the trained photos, whole and cropped to their boxes.
        """
        job, settings = self.job, self.job.settings.pairs
        task = job.task
        rows = np.flatnonzero(np.isin(task.trained_classes, task.paired))
        views = self._views(rows, boxes)
        classes = np.tile(task.trained_classes[rows], len(own) + settings.views)
        is_real = np.tile(task.is_real[rows], len(own) + settings.views)
        tokens = np.concatenate([*(one[rows] for one in own), views])
        queries, pictures = (Tokens((tokens[side],), classes[side]) for side in (is_real, ~is_real))
        stays = np.flatnonzero(np.tile(~task.is_real, len(others) // len(task.trained)))
        pairs = Pairs(queries, pictures, others, stays)
        start = start_of(read_head(self.model))
        trained = train_on_pairs(
            start, pairs, settings, seed=job.settings.seed, progress=job.progress
        )
        best: tuple[AdaptedHead, dict[str, float]] | None = None
        for weight in settings.interpolation_weights:
            head = AdaptedHead(interpolated_head(start, trained, weight), 1.0)
            figures = self._validate(head)
            if best is None or real_score(figures) > real_score(best[1]):
                best = head, figures
        assert best is not None
        return best

    def _views(self, rows: Ints, boxes: list[Box]) -> Halves:
        """Tokens of random crops of trained photos: one of each, then a second one of each."""
        job, shape = self.job, self.cache.encoder.card.crop_shape
        views = job.settings.pairs.views
        job.progress.begin("views", views * len(rows))
        found: list[Halves] = []
        for some in batched([(view, row) for view in range(views) for row in rows.tolist()], 64):
            crops = [
                random_view(
                    job.foregrounds.photo(int(job.task.trained[row])),
                    boxes[row],
                    shape,
                    np.random.default_rng([job.settings.seed, row, view]),
                )
                for view, row in some
            ]
            tokens = np.empty((len(crops), 2, self.cache.encoder.card.dimension), np.float16)
            for size in {crop.shape for crop in crops}:
                same = [at for at, crop in enumerate(crops) if crop.shape == size]
                tokens[same] = self.cache.head_inputs(np.stack([crops[at] for at in same])).tokens
            found.append(tokens)
        return np.concatenate(found) if found else np.empty((0, 2, 0), np.float16)

    def _validate(self, head: AdaptedHead | None) -> dict[str, float]:
        self.job.progress.begin("validate", self.passes)
        return self.job.validation.evaluate(HeadEncoder(self.cache, head))

    def _synthesis_ends(self) -> float | None:
        """When synthesis ends: what came before counts, and training comes after."""
        if self.job.settings.minutes is None:
            return None
        now = time.monotonic()
        left = self.job.began + 60 * self.job.settings.minutes - now
        return now + SYNTHESIS_SHARE * max(0.0, left)

    def _gallery_tokens(self) -> tuple[tuple[Halves, Halves], Floats, list[Box]]:
        """Tokens of the trained photos, whole and cropped to their boxes; their vectors; these."""
        job, cache = self.job, self.cache
        job.progress.begin("gallery", 4 * len(job.task.trained))
        encoder = HeadEncoder(cache)
        pad = job.task.locator.pad if job.task.locator else 0.0
        whole: list[Halves] = []
        boxes: list[Halves] = []
        vectors: list[Floats] = []
        places: list[Box] = []
        for rows in batched(job.task.trained.tolist(), cache.encoder.batch):
            photos: list[RGB] = [job.foregrounds.photo(row) for row in rows]
            embedded: list[PhotoEmbedding] = embed(
                encoder, photos, locator=job.task.locator, gallery=True
            )
            vectors += [one.vector for one in embedded]
            places += [one.box.padded(pad) for one in embedded]
            for kept, at in (
                (whole, [WHOLE_PHOTO] * len(rows)),
                (boxes, places[-len(rows) :]),
            ):
                crops = [encoder.crop_shape.cut(*one) for one in zip(photos, at, strict=True)]
                kept += [cache.head_inputs(one[None]).tokens for one in crops]
        return (np.concatenate(whole), np.concatenate(boxes)), np.stack(vectors), places


@dataclass(frozen=True, slots=True)
class HeadEncoder:
    """The built-in encoder, alone or with an adapted head, as `embed` takes an encoder."""

    cache: CachedEncoder
    head: AdaptedHead | None = None

    @property
    def crop_shape(self) -> CropShape:
        """As the built-in encoder's."""
        return self.cache.encoder.card.crop_shape

    @property
    def n_passes(self) -> int:
        """As the built-in encoder's."""
        return self.cache.encoder.card.n_passes

    def encode(self, crops: Bytes) -> EncoderOutput:
        """As `satchel.encode.encoder.Encoder.encode`; without local features, equal for all."""
        inputs = self.cache.head_inputs(crops)
        if self.head is None:
            return EncoderOutput(inputs.vectors, inputs.saliency)
        return EncoderOutput(self.head.ensemble_vectors(inputs), inputs.saliency)


def token_source(encoder: TokenEncoder, model: onnx.ModelProto) -> TokenSource:
    """The encoder of synthetic photos: on the GPU where there is one, else the served one itself.

    Gallery photos and validation queries pass the encoder itself anywhere: it is what is served.
    """
    if torch.cuda.is_available():
        return TorchTokenEncoder(model, torch.device("cuda"))
    return encoder
