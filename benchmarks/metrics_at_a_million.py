"""Exact retrieval metrics over a million gallery vectors: time and memory.

    python -m benchmarks.metrics_at_a_million                     (some minutes, 6 GB of disk)

Compared with pytorch-metric-learning's AccuracyCalculator (faiss, exact), up to the largest gallery
for which it computes MAP@R in reasonable memory: it keeps as many neighbours of every query as the
largest class has photos. Each measurement runs in a separate process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reporting import print_table, write_json

DIMENSION = 1_280
QUERIES = 500
PRODUCTS = 2_000
SIZES = (100_000, 1_000_000)
THEIRS_UP_TO = 100_000
BLOCK = 50_000


def make(folder: Path, size: int) -> None:
    """Gaussian clusters, one a product, written block by block."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(PRODUCTS, DIMENSION)).astype(np.float32)
    shape = (size, DIMENSION)
    gallery = np.lib.format.open_memmap(
        folder / "gallery.npy", mode="w+", dtype=np.float32, shape=shape
    )
    labels = rng.integers(0, PRODUCTS, size)
    for first in range(0, size, BLOCK):
        own = labels[first : first + BLOCK]
        noise = rng.standard_normal((len(own), DIMENSION), dtype=np.float32)
        gallery[first : first + BLOCK] = centres[own] + 5 * noise
    gallery.flush()
    of_queries = rng.integers(0, PRODUCTS, QUERIES)
    noise = rng.standard_normal((QUERIES, DIMENSION), dtype=np.float32)
    np.savez(
        folder / "rest.npz",
        labels=labels,
        of_queries=of_queries,
        queries=centres[of_queries] + 5 * noise,
    )


def measure(side: str, folder: Path) -> dict[str, float]:
    """Metrics, seconds, and peak memory above that of the vectors."""
    rest = np.load(folder / "rest.npz")
    queries, labels, of_queries = rest["queries"], rest["labels"], rest["of_queries"]
    if side == "ours":
        from satchel.evaluate.retrieval import retrieval

        gallery = np.load(folder / "gallery.npy", mmap_mode="r")
        memory = Memory()
        began = time.perf_counter()
        found = retrieval(queries, of_queries, gallery, labels, ks=(1, 5))
        took = time.perf_counter() - began
        figures = {
            "Recall@1": found.recall_at[1],
            "R-precision": found.r_precision,
            "MAP@R": found.map_at_r,
        }
    else:
        import torch
        from pytorch_metric_learning.distances import CosineSimilarity
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
        from pytorch_metric_learning.utils.inference import CustomKNN

        wanted = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
        gallery = torch.from_numpy(np.load(folder / "gallery.npy"))
        memory = Memory()
        calculator = AccuracyCalculator(
            include=wanted,
            k="max_bin_count",
            device=torch.device("cpu"),
            knn_func=CustomKNN(CosineSimilarity(), batch_size=100),
        )
        began = time.perf_counter()
        got = calculator.get_accuracy(
            torch.from_numpy(queries),
            torch.from_numpy(of_queries),
            gallery,
            torch.from_numpy(labels),
        )
        took = time.perf_counter() - began
        figures = dict(
            zip(("Recall@1", "R-precision", "MAP@R"), (got[k] for k in wanted), strict=True)
        )
    return {
        "seconds": took,
        "MB above the vectors": memory.end(),
        **{name: float(value) for name, value in figures.items()},
    }


class Memory:
    """Peak anonymous memory; pages of a mapped file, which the system can reclaim, do not count."""

    def __init__(self) -> None:
        self._before = self._peak = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> float:
        """Peak megabytes above the start."""
        self._over.set()
        self._thread.join()
        return (self._peak - self._before) / 1e3

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._peak = max(self._peak, self._now())

    def _now(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def main() -> None:
    """Print the table and write the JSON."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return
    figures: dict[str, Any] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name), size)
            for side in ("ours", "theirs") if size <= THEIRS_UP_TO else ("ours",):
                command = [sys.executable, "-m", "benchmarks.metrics_at_a_million", side, name]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                figures[f"{size:,}, {side}"] = json.loads(done.stdout.splitlines()[-1])
    header = ["gallery, side", *next(iter(figures.values()))]
    rows = [[name, *(f"{value:.4g}" for value in own.values())] for name, own in figures.items()]
    print_table(f"{QUERIES} queries, {DIMENSION} numbers a vector", header, rows)
    write_json("metrics-at-a-million", figures)


if __name__ == "__main__":
    main()
