"""A run that is killed repeatedly ends with the weights of an undisturbed one.

    python -m benchmarks.kills [--kills 20]                       (some minutes on two cores)

`satchel train` on 200 Grocery photos, once undisturbed, once killed with SIGKILL at random moments
(every other time while it starts; else during a step, a validation or a write) and resumed with
`--resume` each time. Compared: the figures of every epoch, and SHA-256 of the weights. Reported as
well: the time that a kill costs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

from benchmarks.datasets import SHARED, tasks
from benchmarks.reporting import print_table, write_json
from satchel.train.runs import Run

CLASSES = 10
PHOTOS_EACH = 20
EPOCHS = 150
SETTINGS = (
    *("--backbone", "small_cnn", "--epochs", str(EPOCHS), "--tracker", "none"),
    *("--set", "side_px=64", "--set", "batch=16", "--set", "mix=0.3", "--set", "precision=fp32"),
)


def satchel(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a command."""
    command = [sys.executable, "-m", "satchel", "--workspace", str(folder), *words]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, stdout=quiet, stderr=quiet, env={**os.environ, "NO_COLOR": "1"}
    )


def prepare(folder: Path) -> None:
    """Make a workspace of a few classes with a few photos each."""
    gallery = tasks("dev")[1].gallery  # Grocery's training photos
    codes = sorted({photo.code for photo in gallery}, key=int)[:CLASSES]
    with (folder / "some.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["code", "photo"])
        for code in codes:
            own = [photo.path for photo in gallery if photo.code == code]
            rows.writerows(
                [f"G{code}", str(path.relative_to(SHARED))] for path in own[:PHOTOS_EACH]
            )
    for words in (
        ("init", str(folder)),
        ("import", str(folder / "some.csv"), "--photos", str(SHARED)),
        ("split", "default"),
    ):
        if satchel(folder, *words).wait():
            raise SystemExit(f"satchel {words[0]} failed")


def undisturbed(folder: Path) -> tuple[Run, float, float]:
    """An undisturbed run; seconds until the end of its first epoch, and in all."""
    run = Run(folder / "runs" / "whole")
    began = time.monotonic()
    process = satchel(folder, "train", "classifier", "--name", "whole", *SETTINGS)
    while not run.curves() and process.poll() is None:
        time.sleep(0.05)
    first = time.monotonic() - began
    if process.wait():
        raise SystemExit("the undisturbed run failed")
    return run, first, time.monotonic() - began


def killed(folder: Path, kills: int, first_s: float, epoch_s: float) -> tuple[Run, float, int]:
    """A run killed so often; seconds in all, and the number of kills without a new epoch."""
    rng = random.Random(0)
    run = Run(folder / "runs" / "killed")
    words: tuple[str, ...] = ("--name", "killed", *SETTINGS)
    spent, fruitless = 0.0, 0
    for number in range(kills):
        before = len(run.curves())
        began = time.monotonic()
        process = satchel(folder, "train", "classifier", *words)
        if number % 2:
            while process.poll() is None and len(run.curves()) == before:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 3 * epoch_s))
        else:
            time.sleep(rng.uniform(0.3, 1) * first_s)
        if process.poll() is not None:
            raise SystemExit("the run finished before all kills; give it more epochs")
        process.kill()
        process.wait()
        spent += time.monotonic() - began
        fruitless += len(run.curves()) == before
        if (run.folder / "run.json").exists():
            words = ("--resume", "killed", "--tracker", "none")
            if run.state() != "crashed":
                raise SystemExit(f"a killed run shows as {run.state()}")
    began = time.monotonic()
    if satchel(folder, "train", "classifier", *words).wait():
        raise SystemExit("the killed run did not finish")
    return run, spent + time.monotonic() - began, fruitless


def weights(run: Run) -> str:
    """SHA-256 of all tensors of the best weights, with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(run.best).items()):
        digest.update(name.encode() + str(tensor.dtype).encode() + tensor.tobytes())
    return digest.hexdigest()


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        whole, first_s, whole_s = undisturbed(folder)
        epoch_s = (whole_s - first_s) / (EPOCHS - 1)
        broken, broken_s, fruitless = killed(folder, kills, first_s, epoch_s)
        figures = {
            "kills": kills,
            "of them without a new epoch": fruitless,
            "epochs": EPOCHS,
            "undisturbed, s": whole_s,
            "until the end of its first epoch, s": first_s,
            "killed, s": broken_s,
            "cost of a kill, s": (broken_s - whole_s) / kills,
            "figures of all epochs equal": whole.curves() == broken.curves(),
            "best figures equal": whole.read().figures == broken.read().figures,
            "weights equal": weights(whole) == weights(broken),
            "sha256 of the weights": weights(broken),
            "state": broken.state(),
        }
    rows = [[key, f"{v:.1f}" if isinstance(v, float) else v] for key, v in figures.items()]
    print_table(f"{kills} kills", ["", ""], rows)
    write_json("kills", figures)


if __name__ == "__main__":
    main()
