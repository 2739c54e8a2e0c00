"""Training speed of Satchel's loop against a plain PyTorch loop on the same network.

    python -m benchmarks.training_speed [--sides 160 224] [--photos shop big]

The plain loop is that of tutorials: Pillow, torchvision's RandomResizedCrop, flip and ColorJitter,
a DataLoader with 0, 1 or 2 workers (whichever is fastest), AdamW, cross-entropy, fp32; and the same
in channels-last layout. Satchel's is `satchel.train.fit.fit`, with the strongest augmentation,
moving average and gradient clipping. Each runs in its own process, in turns; ratios are medians
over the rounds. Time is measured from the first photo read to the end of the last step, as wall
time and as processor time, which other load on the machine does not change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.datasets import SHARED
from benchmarks.reporting import print_table, write_json
from benchmarks.speed import big_photos
from satchel.parallel import cores
from satchel.train.batches import TrainingPhotos, shown_batches
from satchel.train.classifier import Head
from satchel.train.fit import fit
from satchel.train.fitting import Fitting, Trainable
from satchel.train.memory import keep_freed_memory
from satchel.train.samplers import ShuffledBatches
from satchel.train.settings import ClassifierSettings

BATCH = 32
STEPS = 8
ROUNDS = 3
CLASSES = 81
BACKBONE = "efficientnet_lite0"
WORKERS = (0, 1, 2)
CLOCKS = ("wall", "processor")


@dataclass(frozen=True)
class Took:
    """Seconds of a turn: wall time, and processor time of all cores."""

    wall: float
    processor: float


class Stopwatch:
    """Measures a turn; processor time of workers is counted once they have ended."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), _processor_s()

    def wall(self) -> float:
        """Wall time so far."""
        return time.perf_counter() - self._wall

    def processor(self) -> float:
        """Processor time so far."""
        return _processor_s() - self._processor


def _processor_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


# -- Satchel's side -----------------------------------------------------------------------------


class StepTimer:
    """A `satchel.progress.Progress` that times training up to its last step."""

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """Start."""
        self._watch = Stopwatch()

    def advance(self, count: int = 1) -> None:
        """Take the time."""
        self.took = Took(self._watch.wall(), self._watch.processor())


def satchel(paths: list[Path], side_px: int, precision: str) -> tuple[Took, str]:
    """One epoch of `fit`; and the precision that it used."""
    from satchel.records import WHOLE_PHOTO
    from satchel.train.pretrained import create

    settings = ClassifierSettings(side_px=side_px, epochs=1, batch=BATCH, precision=precision)
    by_name = {str(number): path for number, path in enumerate(paths)}
    photos = TrainingPhotos(
        tuple(by_name),
        np.arange(len(paths), dtype=np.int64) % CLASSES,
        (WHOLE_PHOTO,) * len(paths),
        lambda name: by_name[name].read_bytes(),
    )
    backbone = create(BACKBONE)
    timer = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        state = fit(
            Fitting(
                trainable=Trainable(backbone, Head(backbone.dimension, CLASSES, settings)),
                shown=shown_batches(photos, settings),
                batches=lambda process, processes: ShuffledBatches(
                    len(paths), batch_size=BATCH, seed=0, process=process, processes=processes
                ),
                settings=settings,
                validate=lambda averaged: {"score": 0.0},
                on_epoch=lambda epoch, figures: None,
                progress=timer,
            ),
            checkpoint=Path(folder) / "checkpoint.safetensors",
            best=Path(folder) / "best.safetensors",
        )
    return timer.took, state.precision


# -- the plain side -----------------------------------------------------------------------------


def plain(paths: list[Path], side_px: int, workers: int, channels_last: bool) -> Took:
    """One epoch of a tutorial's loop."""
    from satchel.train.pretrained import create

    create(BACKBONE)  # makes torchvision importable with a CPU build of torch
    import timm
    from PIL import Image
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(side_px),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )

    class Photos(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
            return transform(Image.open(paths[at]).convert("RGB")), at % CLASSES

    model = timm.create_model(BACKBONE, pretrained=False, num_classes=CLASSES)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    watch = Stopwatch()
    loader = torch.utils.data.DataLoader(
        Photos(),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,  # as in a tutorial's process
    )
    batches = iter(loader)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for images, labels in batches:
        logits = model(images.contiguous(memory_format=layout))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    wall = watch.wall()
    del batches, loader  # its workers end
    return Took(wall, watch.processor())


# -- taking turns -------------------------------------------------------------------------------


def serve(side: str, pipe: Connection) -> None:
    """A side's process: runs a turn for each message."""
    torch.set_num_threads(cores())
    if side == "satchel":
        keep_freed_memory()  # as `satchel train` does
    work: Callable[..., Any] = satchel if side == "satchel" else plain
    while True:
        pipe.send(work(*pipe.recv()))


class Side:
    """A side's process, controlled by the parent."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, theirs))
        self._process.start()

    def __call__(self, *arguments: Any) -> Any:
        """Run a turn; return its result."""
        self._pipe.send(arguments)
        return self._pipe.recv()

    def close(self) -> None:
        """Kill its process."""
        self._process.kill()
        self._process.join()


def compare(paths: list[Path], side_px: int, ours: Side, theirs: Side) -> dict[str, Any]:
    """Photos a second of each loop, and ratios; a first round warms up and chooses the workers."""
    _, precision = ours(paths, side_px, "auto")
    first = {workers: theirs(paths, side_px, workers, True).wall for workers in WORKERS}
    workers = min(first, key=first.__getitem__)
    rounds: list[dict[str, Took]] = []
    for _ in range(ROUNDS):
        rounds.append(
            {
                "satchel": ours(paths, side_px, precision)[0],
                "plain": theirs(paths, side_px, workers, False),
                "plain, channels-last": theirs(paths, side_px, workers, True),
            }
        )
    figures: dict[str, Any] = {"precision": precision, "workers of plain": workers}
    for clock in CLOCKS:
        seconds = {way: [getattr(r[way], clock) for r in rounds] for way in rounds[0]}
        figures[clock] = {
            "photos/s": {w: len(paths) / statistics.median(s) for w, s in seconds.items()},
            "times plain": _ratio(seconds["plain"], seconds["satchel"]),
            "times plain, channels-last": _ratio(
                seconds["plain, channels-last"], seconds["satchel"]
            ),
        }
    return figures


def _ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def shop_photos() -> list[Path]:
    """Phone photos taken in shops, short side 288 pixels, in random order."""
    paths = sorted((SHARED / "grocery" / "dataset" / "train").rglob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(paths))
    return [paths[at] for at in order[: BATCH * STEPS]]


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[160, 224])
    parser.add_argument("--photos", nargs="+", choices=("shop", "big"), default=["shop", "big"])
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    rows = []
    with (
        closing(Side("satchel")) as ours,
        closing(Side("plain")) as theirs,
        tempfile.TemporaryDirectory() as folder,
    ):
        for kind in given.photos:
            if kind == "shop":
                paths = shop_photos()
            else:
                big = big_photos(Path(folder))
                paths = [big[at % len(big)] for at in range(BATCH * STEPS)]
            for side_px in given.sides:
                found = compare(paths, side_px, ours, theirs)
                figures[f"{kind}, {side_px}²"] = found
                rows += [_row(f"{kind}, {side_px}², {clock}", found, clock) for clock in CLOCKS]
                print(rows[-2:], flush=True)
    header = [
        "photos, side, clock",
        "precision",
        "plain",
        "channels-last",
        "Satchel",
        "× plain",
        "× channels-last",
    ]
    title = f"Training {BACKBONE}, photos/s, {cores()} processors, batches of {BATCH}"
    print_table(title, header, rows)
    write_json("training-speed", figures)


def _row(name: str, found: dict[str, Any], clock: str) -> list[str]:
    own = found[clock]
    rates = own["photos/s"]
    return [
        name,
        found["precision"],
        f"{rates['plain']:.1f}",
        f"{rates['plain, channels-last']:.1f}",
        f"{rates['ships']:.1f}",
        f"{own['times plain']:.2f}",
        f"{own['times plain, channels-last']:.2f}",
    ]


if __name__ == "__main__":
    main()
