"""A classifier on the Grocery Store Dataset's official split: accuracy by training time.

    python -m benchmarks.grocery_classifier [FOLDER]

Two runs by the command line, on two cores: a usable model within five minutes, and the best within
ninety. Both are trained on `train` and chosen on `val`, and evaluated once on the 2,485 test
photos. FOLDER keeps the workspace: an interrupted benchmark resumes there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.datasets import grocery_workspace
from benchmarks.reporting import print_table, write_json

PUBLISHED_TOP1 = 0.860
"""The best published figure known for the 81 fine classes."""

LINEAR_PROBE = {"top1": 0.749, "top5": 0.962}
"""A linear classifier on frozen EfficientNet-Lite0 features, whole photos at 224 pixels."""

RUNS: dict[str, tuple[str, ...]] = {
    "first": (
        *("--minutes", "3.5", "--set", "side_px=160", "--set", "first_side_px=128"),
        *("--set", "learning_rate=3e-4", "--set", "layer_decay=0.9"),
    ),
    "best": (
        *("--minutes", "66", "--backbone", "efficientnet_lite2", "--set", "side_px=288"),
        *("--set", "first_side_px=160", "--set", "mix=0.2", "--set", "learning_rate=4e-4"),
        *("--set", "layer_decay=0.9", "--set", "threads=1"),
    ),
}
"""The best runs on one core: two cores need less time."""


def satchel(folder: Path, *words: str) -> None:
    """Run a command."""
    command = [sys.executable, "-m", "satchel", "--workspace", str(folder), *words]
    subprocess.run(command, check=True, env={**os.environ, "NO_COLOR": "1"})


def prepare(folder: Path) -> None:
    """Import and index the photos; freeze the official split."""
    grocery_workspace(folder)
    if not (folder / "splits" / "official.json").exists():
        satchel(folder, "split", "official", "--column", "part")


def train(folder: Path, name: str) -> dict[str, Any]:
    """Train a run, or resume it; return its record."""
    path = folder / "runs" / name / "run.json"
    if not path.exists():
        begin = ("--split", "official", "--name", name, "--tracker", "none", *RUNS[name])
        satchel(folder, "train", "classifier", *begin)
    elif json.loads(path.read_text())["state"] != "finished":
        satchel(folder, "train", "classifier", "--resume", name, "--tracker", "none")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def tested(folder: Path, name: str) -> dict[str, Any]:
    """Evaluate a run on the test photos, once; return the figures by name."""
    path = folder / "runs" / name / "test" / "report.json"
    if not path.exists():
        satchel(folder, "evaluate", name)
    report = json.loads(path.read_text())
    return {figure["name"]: figure for figure in report["figures"]}


def main() -> None:
    """Train, evaluate, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="satchel-grocery-"))
    prepare(folder)
    records = {name: train(folder, name) for name in RUNS}
    figures: dict[str, Any] = {"published top-1": PUBLISHED_TOP1, "linear probe": LINEAR_PROBE}
    rows: list[list[str]] = [
        ["best published", "", "", f"{PUBLISHED_TOP1:.1%}", ""],
        ["linear probe", "", "", *(f"{value:.1%}" for value in LINEAR_PROBE.values())],
    ]
    for name, record in records.items():
        found = tested(folder, name)
        figures[name] = {"record": record, "test": found}
        rows.append(
            [
                f"{name}: {record['settings']['backbone']}",
                f"{record['seconds'] / 60:.1f}",
                f"{record['epochs']}",
                *(_cell(found[f"{key}, softmax head"]) for key in ("Top-1", "Top-5")),
            ]
        )
    print_table("Grocery, 2,485 test photos", ["", "minutes", "epochs", "top-1", "top-5"], rows)
    write_json("grocery-classifier", figures)


def _cell(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.1%} ({figure['low']:.1%} – {figure['high']:.1%})"


if __name__ == "__main__":
    main()
