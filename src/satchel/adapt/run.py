"""Adapt the served encoder to one catalogue: synthetic photos in, a validated encoder out.

Every product is a class of a cosine softmax; training sees synthetic photos of the products
(`satchel.adapt.compose`). What is fitted is a `Method`: the head of the built-in encoder
(`satchel.adapt.head`), or a whole network (`satchel.adapt.network`). Either is an ensemble member
next to the encoder it started from, so that nothing is forgotten. The weights of the ensemble
are fixed: synthetic queries would choose all of the adapted member, which real photos would not
(docs/decisions/0013-adapting-again.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2

from satchel.adapt.compose.backgrounds import Backgrounds, load_backgrounds
from satchel.adapt.compose.foreground import Foregrounds, extract_foregrounds
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings
from satchel.adapt.task import AdaptTask
from satchel.adapt.validation import Validation, make_validation
from satchel.progress import Progress
from satchel.train.batches import DECODE_MARGIN
from satchel.train.fitting import TrainingState
from satchel.train.runs import Run

OnEpoch = Callable[[int, dict[str, float]], None]

FOREGROUNDS: Final = "foregrounds.npy"

QUERY_SIDE: Final = 1.5
"""Side of a synthetic query ÷ the network's input side: its crops still fill the input."""

VAL_BACKGROUNDS: Final = 0.2
"""Share of the real backgrounds that training never sees."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that an adapting run needs, whatever it fits.

    Attributes:
        side_px: of synthetic photos for training.
        backgrounds: real ones to train on; None: all are drawn.
        began: `time.monotonic` at the run's beginning.
    """

    task: AdaptTask
    settings: AdaptSettings
    run: Run
    side_px: int
    foregrounds: Foregrounds
    backgrounds: Backgrounds | None
    validation: Validation
    progress: Progress
    began: float

    def composer(self, side_px: int, *, p_clean: float = 0.0) -> Composer:
        """Compose photos for training."""
        return Composer(
            self.foregrounds,
            self.settings.synth,
            side_px=side_px,
            backgrounds=self.backgrounds,
            p_clean=p_clean,
        )


class Method(Protocol):
    """What is fitted to a catalogue, and how."""

    def validate_served(self) -> dict[str, float]:
        """Figures of the encoder that was served as the run began."""

    def fit(self, on_epoch: OnEpoch) -> tuple[TrainingState, dict[str, float]]:
        """Train, or resume; write the result to the run's folder and return its figures."""


def prepare(
    task: AdaptTask, settings: AdaptSettings, run: Run, *, side_px: int, progress: Progress
) -> Job:
    """Extract the foregrounds, read the backgrounds, compose the validation queries.

    Args:
        side_px: input side in training.

    Raises:
        UsageError: the folder of backgrounds holds no photo.
    """
    began = time.monotonic()
    cv2.setNumThreads(1)  # composing runs one photo a core, in parallel with the network
    query_side_px = round(QUERY_SIDE * side_px)
    train_backgrounds, val_backgrounds = None, None
    if settings.backgrounds is not None:
        photos = load_backgrounds(Path(settings.backgrounds), query_side_px)
        train_backgrounds, val_backgrounds = photos.split(VAL_BACKGROUNDS)
    foregrounds = extract_foregrounds(
        run.folder / FOREGROUNDS,
        task.photos.names,
        task.photos.boxes,
        task.photos.read,
        side_px=round(DECODE_MARGIN * side_px),
        progress=progress,
    )
    validation = make_validation(
        foregrounds,
        task.photos.labels,
        Composer(foregrounds, settings.synth, side_px=query_side_px, backgrounds=val_backgrounds),
        val_products=task.val_products,
        count=settings.n_val_queries,
        seed=settings.seed,
        locator=task.locator,
        real=task.real if len(task.real) else None,
    )
    return Job(
        task, settings, run, side_px, foregrounds, train_backgrounds, validation, progress, began
    )


def adapt(job: Job, method: Method, on_epoch: OnEpoch) -> TrainingState:
    """Adapt, or resume where the run stopped; the run's folder gets the `Outcome`."""
    start = method.validate_served()
    state, adapted = method.fit(on_epoch)
    Outcome(start=start, adapted=adapted).write(job.run)
    (job.run.folder / FOREGROUNDS).unlink(missing_ok=True)  # large, and extracted in minutes
    return state
