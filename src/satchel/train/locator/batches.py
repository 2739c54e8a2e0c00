"""Samples → training batches, augmented in threads while the network computes.

A batch is a pure function of the settings and its step, so that a run that was killed resumes with
exactly the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from satchel.arrays import Bytes, Floats, Ints
from satchel.images import RGB
from satchel.parallel import cores, map_in_order
from satchel.train.batches import Step
from satchel.train.locator.augment import mosaic, random_view
from satchel.train.locator.figures import Boxes
from satchel.train.locator.samples import Sample, Samples, says_main
from satchel.train.settings import LocatorSettings

STRIDE_PX: Final = 32
"""Input sides are whole multiples of this, the coarsest stride."""

NO_LABEL: Final = -1


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """A batch of training views.

    Attributes:
        images: shape (n, side, side, 3), uint8.
        boxes: shape (n, m, 4), float32, xyxy in pixels; m: the most boxes of a view, at least 1.
        labels: shape (n, m), int64; `NO_LABEL` where a view has fewer boxes.
        mains: shape (n,), int64: which box is the main good's; `NO_LABEL` where none is known.
        plain: of the last epochs: no mosaics, and box offsets have a loss of their own.
    """

    images: Bytes
    boxes: Floats
    labels: Ints
    mains: Ints
    plain: bool

    def __len__(self) -> int:
        return len(self.images)

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of the network and its objective."""
        return self.images, self.boxes, self.labels, self.plain, self.mains


def detection_batches(
    samples: Samples, settings: LocatorSettings, steps: Iterable[Step]
) -> Iterator[DetectionBatch]:
    """Yield the batches of these steps, a few ahead of the consumer."""

    def work(step: Step) -> DetectionBatch:
        plain = is_plain(settings, step)
        side = step_side(settings, step)
        views = [
            _view(
                samples,
                int(row),
                side,
                plain=plain,
                settings=settings,
                rng=np.random.default_rng([settings.seed, step.epoch, step.number, at]),
            )
            for at, row in enumerate(step.rows)
        ]
        return collate(views, plain=plain)

    yield from map_in_order(work, steps, workers=cores(), ahead=1)


def is_plain(settings: LocatorSettings, step: Step) -> bool:
    """Whether a step is in the last epochs, which show single photos as they are asked about."""
    return step.epochs > 0 and step.epoch >= step.epochs - settings.plain_epochs(step.epochs)


def step_side(settings: LocatorSettings, step: Step) -> int:
    """Input side of a step: at random around that of its epoch, if multi-scale is on."""
    reach = settings.multi_scale
    if reach == 0 or is_plain(settings, step):
        return step.side_px
    rng = np.random.default_rng([settings.seed, step.epoch, step.number])
    side = step.side_px + STRIDE_PX * int(rng.integers(-reach, reach + 1))
    return max(2 * STRIDE_PX, side)


def collate(views: list[tuple[Sample, int]], *, plain: bool) -> DetectionBatch:
    """Stack views of one size, each with its main box; boxes are filled up to the most of any."""
    most = max(1, *(len(labels) for (_, _, labels), _ in views))
    boxes = np.zeros((len(views), most, 4), np.float32)
    labels = np.full((len(views), most), NO_LABEL, np.int64)
    for at, ((_, own, classes), _) in enumerate(views):
        boxes[at, : len(own)] = own
        labels[at, : len(classes)] = classes
    images = np.stack([pixels for (pixels, _, _), _ in views])
    mains = np.array([main for _, main in views], np.int64)
    return DetectionBatch(images, boxes, labels, mains, plain)


def _view(
    samples: Samples,
    row: int,
    side: int,
    *,
    plain: bool,
    settings: LocatorSettings,
    rng: np.random.Generator,
) -> tuple[Sample, int]:
    """A view, and which of its boxes is the main good's; a mosaic has none."""
    if not plain and rng.random() < settings.mosaic:
        others = rng.integers(0, len(samples), 3)
        four = [samples[one] for one in (row, *others.tolist())]
        return mosaic(four, side, settings.mosaic_scales, rng), NO_LABEL
    pixels, boxes, labels = samples[row]
    main = 0 if says_main(samples) else _main_place(pixels, boxes, labels)
    # In place of labels: which boxes remain.
    numbered = pixels, boxes, np.arange(len(labels))
    pixels, boxes, rows = random_view(numbered, side, settings.scales, rng)
    places = np.flatnonzero(rows == main)
    return (pixels, boxes, labels[rows]), int(places[0]) if len(places) else NO_LABEL


def _main_place(pixels: RGB, boxes: Floats, labels: Ints) -> int | None:
    height, width = pixels.shape[:2]
    return Boxes.true(boxes / np.array([width, height] * 2), labels).main_place()
