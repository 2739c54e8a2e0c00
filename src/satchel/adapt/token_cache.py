"""Caches of the inputs of the built-in encoder's head, in files of the run's folder.

Everything before the head is frozen, so a photo passes it once: `CachedEncoder` for the gallery
and the validation queries, `SyntheticTokens` for synthetic photos. A killed run resumes from both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel.adapt.clip_head import HeadInput, TokenEncoder, TokenSource
from satchel.adapt.compose.foreground import open_rows
from satchel.adapt.compose.synthesis import Composer
from satchel.arrays import Bytes, Halves, Ints
from satchel.files import write_atomically
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import Progress
from satchel.train.runs import Run, readable

PASSES: Final = "passes.npy"
SYNTHETIC: Final = "synthetic.npy"
SCHEDULE: Final = "schedule.json"

TIMED_BATCHES: Final = 8
"""Batches of synthetic photos by which the rate is measured; the first two warm up."""


class CachedEncoder:
    """The built-in encoder with a cache: each crop is encoded once, by a hash of its pixels."""

    def __init__(
        self, encoder: TokenEncoder, path: Path, most: int, advance: Callable[[int], None]
    ) -> None:
        """Open the cache.

        Args:
            most: capacity, in distinct crops.
            advance: called with the number of crops of each pass.
        """
        self.encoder = encoder
        self._advance = advance
        side = encoder.card.input_side_px
        sample = encoder.head_inputs(np.zeros((1, side, side, 3), np.uint8))
        row = [
            ("vectors", np.float32, sample.vectors.shape[1:]),
            ("saliency", np.float32, sample.saliency.shape[1:]),
            ("tokens", np.float16, sample.tokens.shape[1:]),
            ("key", np.uint8, (16,)),
        ]
        self._rows = open_rows(path, most, np.dtype(row))
        keys = [key.tobytes() for key in self._rows["key"]]
        self._at = {key: at for at, key in enumerate(keys) if any(key)}

    def head_inputs(self, crops: Bytes) -> HeadInput:
        """As `TokenEncoder.head_inputs`."""
        keys = [blake2b(crop.tobytes(), digest_size=16).digest() for crop in crops]
        new = list({key: at for at, key in enumerate(keys) if key not in self._at}.values())
        batches = list(batched(new, self.encoder.batch))
        encoded = map_in_order(
            lambda rows: self.encoder.head_inputs(crops[rows]), batches, workers=cores()
        )
        for rows, found in zip(batches, encoded, strict=True):
            for at, row in enumerate(rows):
                self._keep(keys[row], found, at)
        self._advance(len(crops))
        cached = self._rows[[self._at[key] for key in keys]]
        return HeadInput(cached["vectors"], cached["saliency"], cached["tokens"])

    def _keep(self, key: bytes, found: HeadInput, at: int) -> None:
        row = len(self._at)
        self._rows[row]["vectors"] = found.vectors[at]
        self._rows[row]["saliency"] = found.saliency[at]
        self._rows[row]["tokens"] = found.tokens[at]
        self._rows[row]["key"] = np.frombuffer(key, np.uint8)  # last: from now on the row counts
        self._at[key] = row


@dataclass(frozen=True, slots=True)
class Schedule:
    """Synthetic photos of each gallery photo, and measured photos a second."""

    per_photo: int
    per_second: float

    @classmethod
    def read(cls, run: Run) -> Schedule | None:
        """Read the schedule that an earlier process wrote; None: there is none yet."""
        path = run.folder / SCHEDULE
        with readable(path):
            return cls(**json.loads(path.read_bytes())) if path.exists() else None

    def write(self, run: Run) -> Schedule:
        """Write it to the run's folder."""
        write_atomically(run.folder / SCHEDULE, json.dumps(asdict(self)).encode())
        return self


@dataclass(frozen=True, slots=True)
class SyntheticTokens:
    """Head inputs of synthetic photos, kept row by row.

    Row i is of gallery photo i modulo their number; it depends on the seed and i alone.

    Attributes:
        photos: shape (p,): rows of the foregrounds that are composed.
        max_per_photo: synthetic photos of each.
        ends: `time.monotonic` by which the last should be encoded; None: there is time for all.
    """

    composer: Composer
    source: TokenSource
    photos: Ints
    max_per_photo: int
    seed: int
    run: Run
    ends: float | None

    def encode(self, progress: Progress) -> tuple[Halves, Schedule]:
        """Compose and encode, or resume; shape (per_photo × photos, 2, d), and the schedule."""
        count = len(self.photos)
        rows = self._open()
        done = int(rows["done"].sum())
        schedule = Schedule.read(self.run)
        if schedule is None:
            end = min(len(rows), done + TIMED_BATCHES * self.source.batch)
            per_second = self._rate(rows, done, end)
            done = int(rows["done"].sum())
            schedule = self._schedule(per_second, done).write(self.run)
        total = schedule.per_photo * count
        progress.begin("synthesise", total, min(done, total))
        for encoded in self._encoded(rows, done, total):
            progress.advance(encoded)
            done += encoded
            if self.ends is not None and time.monotonic() > self.ends and done >= count:
                fewer = min(schedule.per_photo, done // count)
                schedule = Schedule(fewer, schedule.per_second).write(self.run)
                break
        rows.flush()
        return rows["tokens"][: schedule.per_photo * count], schedule

    def _open(self) -> np.memmap[Any, Any]:
        """The file, sized for the maximum; unwritten rows take no disk space."""
        shape = self.source.head_tokens(self._compose([0])).shape[1:]
        row = np.dtype([("tokens", np.float16, shape), ("done", np.bool_)])
        return open_rows(self.run.folder / SYNTHETIC, self.max_per_photo * len(self.photos), row)

    def _rate(self, rows: np.memmap[Any, Any], done: int, until: int) -> float:
        """Synthetic photos a second, measured on the first batches."""
        began, counted = time.monotonic(), -2 * self.source.batch
        for encoded in self._encoded(rows, done, until):
            counted += encoded
            if counted == 0:
                began = time.monotonic()
        taken = time.monotonic() - began
        return counted / taken if counted > 0 else (until - done) / max(taken, 1e-3)

    def _schedule(self, per_second: float, done: int) -> Schedule:
        per_photo = self.max_per_photo
        if self.ends is not None:
            fit = done + max(0.0, self.ends - time.monotonic()) * per_second
            per_photo = min(per_photo, max(1, int(fit / len(self.photos))))
        return Schedule(per_photo, per_second)

    def _encoded(self, rows: np.memmap[Any, Any], first: int, end: int) -> Iterator[int]:
        """Compose and encode rows; yields how many more are done each time."""

        def work(batch: list[int]) -> Halves:
            return self.source.head_tokens(self._compose(batch))

        batches = list(batched(range(first, end), self.source.batch))
        encoded = map_in_order(work, batches, workers=cores())
        for batch, tokens in zip(batches, encoded, strict=True):
            rows["tokens"][batch[0] : batch[-1] + 1] = tokens
            rows["done"][batch[0] : batch[-1] + 1] = True
            yield len(batch)

    def _compose(self, batch: list[int]) -> Bytes:
        composed = []
        for row in batch:
            photo = int(self.photos[row % len(self.photos)])
            rng = np.random.default_rng([self.seed, row])
            composed.append(self.composer.compose(photo, rng, view="whole"))
        return np.stack(composed)
