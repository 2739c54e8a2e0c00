"""Batches of real pairs for a whole image encoder: photos, cut anew at each step.

A batch is a function of the seed and its number, as in `satchel.train.samplers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from satchel.adapt.pair_training import VIEWS, with_twins
from satchel.adapt.pair_views import random_view
from satchel.adapt.run import Job
from satchel.arrays import Bools, Bytes, Ints
from satchel.encode.crops import CropShape
from satchel.images import RGB
from satchel.parallel import cores, map_in_order
from satchel.records import WHOLE_PHOTO, Box
from satchel.train.batches import Step
from satchel.train.samplers import Batches, Rows

P_SYNTHETIC: Final = 0.5
"""Share of the photos that only keep their vectors that are synthetic."""


@dataclass(frozen=True, slots=True)
class PairRows:
    """Rows of the trained photos, by what they are.

    Attributes:
        queries, pictures: of each product with pairs, sellers' photos and the catalogue's.
        stays: of all catalogue photos, whose vectors are to stay.
    """

    queries: tuple[Ints, ...]
    pictures: tuple[Ints, ...]
    stays: Ints

    @classmethod
    def of(cls, classes: Ints, real: Bools, paired: Ints) -> PairRows:
        """Sort rows by their classes and whether sellers took them, both of shape (t,)."""
        queries, pictures = (
            tuple(np.flatnonzero((classes == one) & kind) for one in paired)
            for kind in (real, ~real)
        )
        return cls(queries, pictures, np.flatnonzero(~real))


class PairBatches(Batches):
    """Rows of sellers' photos, of as many catalogue photos of the same products, and of others."""

    def __init__(
        self,
        rows: PairRows,
        twins: Ints,
        *,
        batch: int,
        steps: int,
        twins_each: int,
        seed: int,
        process: int,
        processes: int,
    ) -> None:
        """Plan batches.

        Args:
            twins: near twins of each product, see `satchel.adapt.pair_training.near_twins`.
            batch: photos of pairs, at most; half as many others come in addition.
            steps: batches of an epoch, of all processes together.
        """
        self._rows, self._twins, self._twins_each = rows, twins, twins_each
        self._steps = steps
        most = max(2, batch // (2 * VIEWS))
        self._products = min(len(twins), most)
        self._groups = max(1, self._products // (1 + twins_each))
        size = 3 * VIEWS * self._products
        super().__init__(batch_size=size, seed=seed, process=process, processes=processes)

    def _plan(self, rng: np.random.Generator) -> Rows:
        return np.stack([self._batch(rng) for _ in range(self._even(self._steps))])

    def _batch(self, rng: np.random.Generator) -> Rows:
        chosen = with_twins(self._twins, self._groups, self._twins_each, rng)
        rest = rng.permutation(np.setdiff1d(np.arange(len(self._twins)), chosen))
        chosen = np.concatenate([chosen, rest])[: self._products]
        asked, shown = (
            np.concatenate([rng.choice(kind[one], VIEWS) for one in chosen])
            for kind in (self._rows.queries, self._rows.pictures)
        )
        return np.concatenate([asked, shown, rng.choice(self._rows.stays, len(shown))])


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Crops of pairs.

    Attributes:
        classes: shape (q + p,), int64: of sellers' photos first, then of the catalogue's.
        queries: q.
        groups: crops of one shape, (m, h, w, 3), uint8, each with their places in the batch, (m,).
    """

    classes: Ints
    queries: int
    groups: tuple[tuple[Ints, Bytes], ...]

    def __len__(self) -> int:
        return sum(len(places) for places, _ in self.groups)

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of `satchel.adapt.pair_network.PairNetwork`."""
        return self.classes, self.queries, *(part for group in self.groups for part in group)


def pair_batches(
    job: Job, boxes: Sequence[Box], shape: CropShape
) -> Callable[[Iterable[Step]], Iterator[PairBatch]]:
    """Steps → batches, a few ahead.

    Args:
        boxes: of the object in each trained photo.
    """
    task, seed = job.task, job.settings.seed
    composer = job.composer(job.side_px)

    def crop(row: int, rng: np.random.Generator, *, synthetic: bool) -> RGB:
        place = int(task.trained[row])
        if synthetic:
            return shape.cut(composer.compose(place, rng, view="whole"), WHOLE_PHOTO)
        return random_view(job.foregrounds.photo(place), boxes[row], shape, rng)

    def work(step: Step) -> PairBatch:
        pairs = 2 * len(step.rows) // 3
        crops = []
        for at, row in enumerate(step.rows.tolist()):
            rng = np.random.default_rng([seed, step.epoch, step.number, at])
            synthetic = at >= pairs and rng.random() < P_SYNTHETIC
            crops.append(crop(row, rng, synthetic=synthetic))
        classes = task.trained_classes[step.rows[:pairs]]
        return PairBatch(classes, pairs // 2, tuple(by_shape(crops)))

    def batches(steps: Iterable[Step]) -> Iterator[PairBatch]:
        yield from map_in_order(work, steps, workers=cores(), ahead=1)

    return batches


def by_shape(crops: Sequence[RGB]) -> Iterator[tuple[Ints, Bytes]]:
    """Yield crops of one shape, (m, h, w, 3), each time with their places, (m,)."""
    for size in sorted({crop.shape for crop in crops}):
        places = np.array([at for at, crop in enumerate(crops) if crop.shape == size])
        yield places, np.stack([crops[at] for at in places])
