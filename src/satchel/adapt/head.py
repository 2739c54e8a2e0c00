"""`satchel adapt` where the built-in encoder answers: its head, fitted to the catalogue.

All of the tower before its head is frozen. So each composition passes it once, and what goes into
the head is kept: 3 KB. On these the head is trained, in seconds, as a normalised softmax over the
products. It answers beside the tower's own head, whose vector stays in the answer.

A run that was killed goes on where it stopped: cut-outs, passes and the plan are in its folder.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import torch

from satchel.adapt.clip_head import (
    AdaptedHead,
    Head,
    Passed,
    Telling,
    TellingEncoder,
    read_head,
)
from satchel.adapt.clip_torch import TowerOnCard
from satchel.adapt.compose.foreground import Cutouts, opened_rows
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.run import (
    CUTOUTS,
    SERVED,
    AdaptTask,
    MarginSoftmax,
    Outcome,
    backgrounds_of,
    cut_outs,
    held_out_checks,
    objective_of,
)
from satchel.adapt.validation import Checks
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.crops import CropShape
from satchel.encode.embed import embed
from satchel.encode.output import EncoderOutput
from satchel.files import write_atomically
from satchel.images import RGB
from satchel.onnx_model import read_model
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import Progress
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.train.fit import TrainingState, save_weights
from satchel.train.loaded import BESIDE, read_head_file, same_base
from satchel.train.runs import Run, readable
from satchel.train.settings import HeadSettings, SynthSettings

Crops = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Ints = npt.NDArray[np.int64]

PASSES: Final = "passes.npy"
"""What the gallery's pictures and the checks gave."""

COMPOSED: Final = "composed.npy"
"""What the compositions gave."""

PLAN: Final = "plan.json"

REHEARSED: Final = 8
"""Batches of compositions by which the rate is measured; the first two do not count."""

COMPOSING: Final = 0.85
"""Share of what is left of the time in which compositions are made; then come training, checks."""


# -- what passes the tower -------------------------------------------------------------------------


class RememberedPasses:
    """The tower, whose passes are kept in a file: what was seen before is not computed again.

    Crops are known by a hash of their pixels.
    """

    def __init__(
        self, tower: TellingEncoder, path: Path, most: int, advance: Callable[[int], None]
    ) -> None:
        self.tower = tower
        self._advance = advance
        side = tower.card.input_side_px
        shown = tower.passed(np.zeros((1, side, side, 3), np.uint8))
        kind = [
            ("vectors", np.float32, shown.vectors.shape[1:]),
            ("saliency", np.float32, shown.saliency.shape[1:]),
            ("tokens", np.float16, shown.tokens.shape[1:]),
            ("key", np.uint8, (16,)),
        ]
        self._rows = opened_rows(path, most, np.dtype(kind))
        keys = [key.tobytes() for key in self._rows["key"]]
        self._at = {key: at for at, key in enumerate(keys) if any(key)}

    def passed(self, crops: Crops) -> Passed:
        """As `TellingEncoder.passed`."""
        keys = [blake2b(one.tobytes(), digest_size=16).digest() for one in crops]
        new = list({key: at for at, key in enumerate(keys) if key not in self._at}.values())
        batches = list(batched(new, self.tower.batch))
        made = map_in_order(lambda rows: self.tower.passed(crops[rows]), batches, workers=cores())
        for rows, found in zip(batches, made, strict=True):
            for at, row in enumerate(rows):
                self._keep(keys[row], found, at)
        self._advance(len(crops))
        seen = self._rows[[self._at[key] for key in keys]]
        return Passed(seen["vectors"], seen["saliency"], seen["tokens"])

    def _keep(self, key: bytes, found: Passed, at: int) -> None:
        row = len(self._at)
        self._rows[row]["vectors"] = found.vectors[at]
        self._rows[row]["saliency"] = found.saliency[at]
        self._rows[row]["tokens"] = found.tokens[at]
        self._rows[row]["key"] = np.frombuffer(key, np.uint8)  # last: from now on it counts
        self._at[key] = row


@dataclass(frozen=True, slots=True)
class HeadsLook:
    """The built-in encoder with a head beside its own, or alone, as `embed` takes an encoder."""

    passes: RememberedPasses
    head: AdaptedHead | None = None

    @property
    def crop_shape(self) -> CropShape:
        """As the built-in encoder's."""
        return self.passes.tower.card.crop_shape

    @property
    def n_passes(self) -> int:
        """As the built-in encoder's."""
        return self.passes.tower.card.n_passes

    def encode(self, crops: Crops) -> EncoderOutput:
        """As `satchel.encode.encoder.Encoder.encode`; patches, the same for all heads, left out."""
        seen = self.passes.passed(crops)
        if self.head is None:
            return EncoderOutput(seen.vectors, seen.saliency)
        return EncoderOutput(self.head.beside_start(seen), seen.saliency)


# -- compositions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """How many compositions of each picture there are, and how many a second were measured."""

    each: int
    per_second: float

    @classmethod
    def read(cls, run: Run) -> Plan | None:
        """Read what was planned before; None: nothing yet."""
        path = run.folder / PLAN
        with readable(path):
            return cls(**json.loads(path.read_bytes())) if path.exists() else None

    def write(self, run: Run) -> Plan:
        """Write it to the run's folder."""
        told = {"each": self.each, "per_second": self.per_second}
        write_atomically(run.folder / PLAN, json.dumps(told).encode())
        return self


@dataclass(frozen=True, slots=True)
class Composing:
    """Compositions pass the tower; what they give is kept in a file, row by row.

    Row i shows picture i modulo their number; it depends on the seed and i alone.

    Attributes:
        pictures: rows of the cut-outs that are composed.
        ends: `time.monotonic` at which the last should be made; None: there is time for all.
    """

    composer: Composer
    tower: Telling
    pictures: Ints
    settings: HeadSettings
    run: Run
    ends: float | None

    def tokens(self, progress: Progress) -> tuple[Halves, Plan]:
        """Make them, or go on; shape (each × pictures, 2, d), and what was planned."""
        count = len(self.pictures)
        rows = self._opened()
        done = int(rows["done"].sum())
        plan = Plan.read(self.run)
        if plan is None:
            per_second = self._rate(rows, done, min(len(rows), done + REHEARSED * self.tower.batch))
            done = int(rows["done"].sum())
            plan = self._planned(per_second, done).write(self.run)
        progress.begin("compose", plan.each * count, min(done, plan.each * count))
        for made in self._made(rows, done, plan.each * count):
            progress.advance(made)
            done += made
            if self.ends is not None and time.monotonic() > self.ends and done >= count:
                plan = Plan(min(plan.each, done // count), plan.per_second).write(self.run)
                break
        rows.flush()
        return rows["tokens"][: plan.each * count], plan

    def _opened(self) -> np.memmap[Any, Any]:
        """The file, with room for the most there may be; what is not written takes no room."""
        shape = self.tower.head_tokens(self._crops([0])).shape[1:]
        kind = np.dtype([("tokens", np.float16, shape), ("done", np.bool_)])
        most = self.settings.each * len(self.pictures)
        return opened_rows(self.run.folder / COMPOSED, most, kind)

    def _rate(self, rows: np.memmap[Any, Any], done: int, until: int) -> float:
        """Compositions a second, by those that are made first."""
        began, counted = time.monotonic(), -2 * self.tower.batch
        for made in self._made(rows, done, until):
            counted += made
            if counted == 0:
                began = time.monotonic()
        taken = time.monotonic() - began
        return counted / taken if counted > 0 else (until - done) / max(taken, 1e-3)

    def _planned(self, per_second: float, done: int) -> Plan:
        each = self.settings.each
        if self.ends is not None:
            fit = done + max(0.0, self.ends - time.monotonic()) * per_second
            each = min(each, max(1, int(fit / len(self.pictures))))
        return Plan(each, per_second)

    def _made(self, rows: np.memmap[Any, Any], first: int, end: int) -> Iterator[int]:
        """Make rows; yields how many more are done each time."""

        def work(batch: list[int]) -> Halves:
            return self.tower.head_tokens(self._crops(batch))

        batches = list(batched(range(first, end), self.tower.batch))
        made = map_in_order(work, batches, workers=cores())
        for batch, found in zip(batches, made, strict=True):
            rows["tokens"][batch[0] : batch[-1] + 1] = found
            rows["done"][batch[0] : batch[-1] + 1] = True
            yield len(batch)

    def _crops(self, batch: list[int]) -> Crops:
        composed = []
        for row in batch:
            picture = int(self.pictures[row % len(self.pictures)])
            rng = np.random.default_rng([self.settings.seed, row])
            composed.append(self.composer.compose(picture, rng, kind="whole"))
        return np.stack(composed)


# -- training --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """What a head is trained on: tokens in several arrays, shape (n, 2, d) each; and classes."""

    tokens: tuple[Halves, ...]
    classes: Ints

    def batch(self, rows: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and classes of some rows, counted through all arrays."""
        found = np.empty((len(rows), *self.tokens[0].shape[1:]), np.float32)
        first = 0
        for part in self.tokens:
            here = (rows >= first) & (rows < first + len(part))
            found[here] = part[rows[here] - first]
            first += len(part)
        return torch.from_numpy(found), torch.from_numpy(self.classes[rows])


def train_head(
    head: Head, objective: MarginSoftmax, shown: Shown, settings: HeadSettings, progress: Progress
) -> None:
    """Train a head: AdamW, its rates warmed up and let down by a cosine."""
    count = len(shown.classes)
    size = min(settings.batch, count)
    steps = settings.epochs * (count // size)
    progress.begin("adapt", steps * size)
    groups = ((head, settings.learning_rate), (objective, settings.head_rate))
    optimizer = torch.optim.AdamW(
        [{"params": list(part.parameters()), "lr": rate} for part, rate in groups],
        weight_decay=settings.weight_decay,
    )
    warm = max(1, round(settings.warmup * steps))
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    head.train()
    for rows in _shuffled(count, size, settings):
        tokens, classes = shown.batch(rows)
        loss = objective(head(tokens), classes, classes, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        progress.advance(len(rows))
    head.eval()


def _shuffled(count: int, size: int, settings: HeadSettings) -> Iterator[Ints]:
    """Rows of each batch, all epochs; what is left over of an epoch is left out."""
    for epoch in range(settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(count)
        yield from order[: count // size * size].reshape(-1, size)


# -- the run ---------------------------------------------------------------------------------------


def adapt_head(
    task: AdaptTask,
    settings: HeadSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> TrainingState:
    """Adapt, or go on where the run stopped; the run's folder gets the head and its `Outcome`.

    Raises:
        UsageError: the folder of backgrounds holds none, or the built-in encoder is another one
            than the run began with.
    """
    began = time.monotonic()
    cv2.setNumThreads(1)  # compositions are made one a core, beside the network
    card = read_card()
    same_base(run, settings, card.sha256)
    model = onnx.load_from_string(read_model(card, BUILTIN.parent))
    tower, side_px = TellingEncoder(card, model), card.input_side_px
    cutouts = cut_outs(task, side_px, run, progress)
    seen, unseen = backgrounds_of(settings, side_px)
    checks = held_out_checks(task, cutouts, settings, unseen, side_px)
    most = 2 * len(cutouts) + len(checks.queries)
    passes = RememberedPasses(tower, run.folder / PASSES, most, progress.advance)
    judge = _Judge(checks, passes, most, progress)
    before = judge.figures("look", _served_before(run))
    composer = Composer(cutouts, _whole(settings), side_px=side_px, backgrounds=seen)
    ends = _composing_ends(began, settings)
    telling = composing_tower(tower, model)
    composed, plan = Composing(composer, telling, task.trained, settings, run, ends).tokens(
        progress
    )
    own, vectors = _own_looks(passes, cutouts, task, progress)
    shown = Shown((composed, *own), np.tile(task.trained_classes, plan.each + len(own)))
    head = AdaptedHead(read_head(model), settings.beside)
    train_head(head.head, objective_of(task, vectors, settings), shown, settings, progress)
    chosen = judge.figures("check", head)
    Outcome(share=settings.beside, start=before, chosen=chosen).write(run)
    save_weights(head.head, run.best, {BESIDE: str(head.beside)})
    on_epoch(settings.epochs, chosen | {"each": plan.each, "per_second": plan.per_second})
    for name in (CUTOUTS, PASSES, COMPOSED):  # made again in minutes
        (run.folder / name).unlink(missing_ok=True)
    return TrainingState(step=settings.epochs, epochs=settings.epochs)


def composing_tower(tower: TellingEncoder, model: onnx.ModelProto) -> Telling:
    """What compositions pass: the encoder itself; its tower on a graphics card where there is one.

    Pictures and checks pass the encoder itself anywhere: it is what will answer.
    """
    return TowerOnCard(model, torch.device("cuda")) if torch.cuda.is_available() else tower


def _composing_ends(began: float, settings: HeadSettings) -> float | None:
    """When compositions end: what came before them counts, and training comes after."""
    if settings.minutes is None:
        return None
    now = time.monotonic()
    return now + COMPOSING * max(0.0, began + 60 * settings.minutes - now)


def _whole(settings: HeadSettings) -> SynthSettings:
    """How compositions are made: the gallery's own pictures are shown besides, each look once."""
    return settings.synth.model_copy(update={"clean": 0.0})


def _served_before(run: Run) -> AdaptedHead | None:
    """The head that answered as the run began, beside the tower's own."""
    path = run.folder / SERVED
    return read_head_file(path) if path.exists() else None


@dataclass(frozen=True, slots=True)
class _Judge:
    """Figures of heads that answer beside the tower's own; all share the same passes.

    Attributes:
        crops: how many are looked at for one head's.
    """

    checks: Checks
    passes: RememberedPasses
    crops: int
    progress: Progress

    def figures(self, stage: str, head: AdaptedHead | None) -> dict[str, float]:
        """Of one head; None: of the tower's own alone."""
        self.progress.begin(stage, self.crops)
        return self.checks.figures(self.checks.ask(HeadsLook(self.passes, head)))


def _own_looks(
    passes: RememberedPasses, cutouts: Cutouts, task: AdaptTask, progress: Progress
) -> tuple[tuple[Halves, Halves], Floats]:
    """Tokens of the trained pictures, whole and at their box; and their vectors by the start."""
    progress.begin("look again", 4 * len(task.trained))
    look = HeadsLook(passes)
    whole: list[Halves] = []
    boxes: list[Halves] = []
    vectors: list[Floats] = []
    for rows in batched(task.trained.tolist(), passes.tower.batch):
        pictures: list[RGB] = [cutouts.picture(row) for row in rows]
        seen: list[PhotoEmbedding] = embed(look, pictures, gallery=True)
        vectors += [one.vector for one in seen]
        for kept, places in ((whole, [WHOLE_PHOTO] * len(rows)), (boxes, [s.box for s in seen])):
            crops = [look.crop_shape.cut(*one) for one in zip(pictures, places, strict=True)]
            kept += [passes.passed(one[None]).tokens for one in crops]
    return (np.concatenate(whole), np.concatenate(boxes)), np.stack(vectors)
