"""Adapting to a catalogue of one studio photo per product, compared with zero-shot.

    python -m benchmarks.adapt [--encoder clip-b16|lite0] [--minutes 12] [--every 1]
                               [--gallery grocery|luma|dreambooth] [--test]
    python -m benchmarks.adapt --products 3000 [--minutes 30]

For each gallery a workspace is made of it alone, `satchel adapt` runs in it (by the same functions
that the command calls, with the named encoder served) on drawn backgrounds and the street photos,
which are in no task, and the queries are searched with the exported ONNX file. Steps: the plain
whole photo, all passes, the ranking. clip-b16: the start, the adapted head alone, and the ensemble
of both, which would be served. lite0: the start, the end of training alone, and its average with
the start. Choices are made on the dev queries; --test measures the test
queries too.

--products times the commands themselves instead, as a user runs them, on so many different pictures
of the shared data, each a product of its own.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import RULES, Photos, embedded, nearest_ranks, ranks, shipped
from benchmarks.datasets import SHARED, Task, distinct_paths, tasks
from benchmarks.reporting import bootstrap_interval, print_table, write_json
from satchel.adapt.files import ADAPTED_WEIGHTS, START_WEIGHTS
from satchel.adapt.interpolation import interpolated
from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.cli.shared import pairs
from satchel.encode.embedder import Embedder
from satchel.encode.registry import BUILTINS
from satchel.files import write_atomically
from satchel.progress import SILENT
from satchel.records import PhotoEmbedding
from satchel.search.index import PLAIN
from satchel.search.rules import SearchRules
from satchel.train.checkpoint import strip_prefix
from satchel.train.runs import Run
from satchel.train.settings import read_settings_file
from satchel.workflows.adapt import begin_adapting
from satchel.workflows.export import export_run, model_name
from satchel.workflows.promote import promote_encoder
from satchel.workflows.train import resume
from satchel.workspace import Workspace

TOP = (1, 2, 3, 5)

GALLERIES = {
    "grocery": {"dev": "studio → train+val", "test": "studio → test"},
    "luma": {"dev": "styles A", "test": "others, all"},
    "dreambooth": {"test": "DreamBooth"},
}
"""Gallery → part of the names of the tasks that search it, by split."""


class PrintedProgress:
    """Prints how far training is, once a minute."""

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """A stage begins."""
        self._what, self._total, self._done, self._at = stage, total, done, time.monotonic()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        if time.monotonic() - self._at > 60:
            print(f"{self._what}: {self._done:,} of {self._total:,}", flush=True)
            self._at = time.monotonic()


def workspace_of(task: Task, folder: Path, encoder_name: str) -> Workspace:
    """A workspace that holds the task's gallery, imported and embedded as a user's would be."""
    workspace = Workspace.create(folder)
    rows = folder / "gallery.csv"
    with rows.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "photo"))
        for at, photo in enumerate(task.gallery):
            name = f"{at}{photo.path.suffix}"
            shutil.copy(photo.path, folder / name)
            writer.writerow((photo.code, name))
    import_rows(
        open_rows(rows).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=print,
    )
    promote_encoder(workspace, encoder_name, progress=SILENT)
    return workspace


def exported(workspace: Workspace, run: Run, share: float) -> Embedder:
    """The ONNX file of the run with a share of the trained weights."""
    from safetensors.torch import load_file, save_file

    start = load_file(run.folder / START_WEIGHTS)
    end = strip_prefix("backbone.", load_file(run.best))
    kept = (run.folder / ADAPTED_WEIGHTS).read_bytes()
    mixed = {name: value.contiguous() for name, value in interpolated(start, end, share).items()}
    save_file(mixed, run.folder / ADAPTED_WEIGHTS)
    export_run(workspace, run)
    write_atomically(run.folder / ADAPTED_WEIGHTS, kept)
    return shipped(workspace.models / model_name(run, "fp16") / "card.json")


def head_photos(workspace: Workspace, run: Run, chosen: list[Task]) -> dict[str, Photos]:
    """Embeddings of every photo by the exported file, and by each of its two heads alone."""
    export_run(workspace, run)
    embedder = shipped(workspace.models / model_name(run, "fp16") / "card.json")
    gallery = {photo.path for task in chosen for photo in task.gallery}
    asked = [path for path in distinct_paths(chosen) if path not in gallery]
    both = embedded(sorted(gallery), embedder)
    both.update(embedded(asked, embedder, gallery=False))
    width = embedder.encoder.card.dimension // 2
    parts = {"zero-shot": slice(0, width), "adapted, alone": slice(width, None)}
    found = {
        name: Photos({path: member(one, part) for path, one in both.items()}, both.n_passes)
        for name, part in parts.items()
    }
    return found | {"adapted, side by side": both}


def member(photo: PhotoEmbedding, part: slice) -> PhotoEmbedding:
    """One head's vectors: of summed passes, the slices are the head's own vectors."""

    def cut(vector: np.ndarray) -> np.ndarray:
        found: np.ndarray = vector[part] / np.linalg.norm(vector[part])
        return found

    return replace(photo, whole=cut(photo.whole), vector=cut(photo.vector))


def network_photos(workspace: Workspace, run: Run, chosen: list[Task]) -> dict[str, Photos]:
    """Embeddings by the light encoder, and by interpolations of its trained weights."""
    paths = distinct_paths(chosen)
    found = {"zero-shot": embedded(paths, shipped(BUILTINS["lite0"]))}
    for share in dict.fromkeys(
        (1.0, run.read().settings_as(AdaptSettings).network.interpolation_weight)
    ):
        name = f"adapted, {share:.0%} of the trained weights"
        found[name] = embedded(paths, exported(workspace, run, share))
    return found


EMBEDDED: dict[str, Callable[[Workspace, Run, list[Task]], dict[str, Photos]]] = {
    "clip-b16": head_photos,
    "lite0": network_photos,
}


def measured(chosen: list[Task], settings: AdaptSettings, encoder: str) -> list[dict[str, Any]]:
    """Adapt to the gallery that these tasks search, and measure every step on each."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = workspace_of(chosen[0], Path(folder) / "w", encoder)
        run = begin_adapting(workspace, settings, "adapt")
        began = time.monotonic()
        record = resume(workspace, run, progress=PrintedProgress(), on_epoch=print_epoch)
        minutes = (time.monotonic() - began) / 60
        outcome = Outcome.read(run)
        print(f"{minutes:.1f} minutes", outcome, flush=True)
        found = EMBEDDED[encoder](workspace, run, chosen)
    about = {"minutes": minutes, "held_out": outcome.model_dump(mode="json")}
    about |= {
        key: record.figures[key] for key in ("per_photo", "per_second") if key in record.figures
    }
    return [figure | about for task in chosen for figure in figures_of(task, found, RULES[encoder])]


def print_epoch(epoch: int, figures: dict[str, float]) -> None:
    """Print an epoch's figures."""
    print(epoch, {key: round(value, 3) for key, value in figures.items()}, flush=True)


def figures_of(
    task: Task, by_encoder: dict[str, Photos], rules: SearchRules
) -> list[dict[str, Any]]:
    """Top-k of one task by every encoder, plain and as it ships, and the gain over the first."""
    found = {}
    for encoder, photos in by_encoder.items():
        found[f"{encoder}, plain"] = nearest_ranks(task, photos)
        if photos.n_passes > 1:
            found[f"{encoder}, three passes"] = ranks(task, photos, PLAIN)
        found[f"{encoder}, as it ships"] = ranks(task, photos, rules)
    plain = found["zero-shot, plain"]
    codes = [query.code for query in task.queries]
    return [
        {
            "task": task.name,
            "step": step,
            "queries": len(rank),
            "products": len({photo.code for photo in task.gallery}),
            "top": {k: float((rank <= k).mean()) for k in TOP},
            "interval_95": {k: bootstrap_interval(rank <= k, codes) for k in (1, 5)},
            "gain": {k: float((rank <= k).mean() - (plain <= k).mean()) for k in TOP},
        }
        for step, rank in found.items()
    ]


def timed(products: int, minutes: float) -> None:
    """Minutes of each command from photos to a served adapted encoder."""
    galleries = [photo.path for task in tasks("dev") for photo in task.gallery]
    paths = list(dict.fromkeys([*galleries, *distinct_paths(tasks("dev"))]))[:products]
    if len(paths) < products:
        raise SystemExit(f"expected at most {len(paths)} products, got {products}")
    with tempfile.TemporaryDirectory() as folder:
        rows, workspace = Path(folder) / "pictures.csv", Path(folder) / "w"
        with rows.open("w", newline="") as file:
            shown = [(f"P{at}", path.relative_to(SHARED)) for at, path in enumerate(paths)]
            csv.writer(file).writerows([("code", "photo"), *shown])
        adapt = ("adapt", "--name", "timed", "--minutes", str(minutes))
        steps: tuple[tuple[str | Path, ...], ...] = (
            ("init", workspace),
            ("import", rows, "--photos", SHARED),
            ("index",),
            (*adapt, "--backgrounds", SHARED / "street" / "images", "--no-promote"),
            ("promote", "timed"),
        )
        taken = {}
        for step in steps:
            at = () if step[0] == "init" else ("--workspace", workspace)
            began = time.monotonic()
            subprocess.run([sys.executable, "-m", "satchel", *at, *step], check=True)
            taken[str(step[0])] = (time.monotonic() - began) / 60
        record = Run.find(workspace / "runs", "timed").read()
    write_json(
        f"adapt-{products}-products",
        {"products": products, "minutes": taken, "run": record.figures},
    )
    print_table(
        f"{products:,} products",
        ["command", "minutes"],
        [[step, f"{spent:.1f}"] for step, spent in taken.items()],
    )


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", choices=tuple(EMBEDDED), default="clip-b16")
    parser.add_argument("--every", type=int, default=1, help="every so-many-th dev query alone")
    parser.add_argument("--minutes", type=float, help="12 by default; of --products 30")
    parser.add_argument("--products", type=int, help="time the commands on so many pictures")
    parser.add_argument("--gallery", choices=tuple(GALLERIES))
    parser.add_argument("--test", action="store_true", help="measure the test queries too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    if given.products:
        timed(given.products, given.minutes or 30.0)
        return
    settings = read_settings_file(
        AdaptSettings,
        None,
        {"minutes": given.minutes or 12.0, "backgrounds": str(SHARED / "street" / "images")},
        pairs(given.set),
    )
    figures: list[dict[str, Any]] = []
    for gallery, parts in GALLERIES.items():
        splits = [split for split in parts if split == "dev" or given.test]
        if given.gallery not in (None, gallery) or not splits:
            continue
        every = {"dev": given.every, "test": 1}
        chosen = [
            replace(task, queries=task.queries[:: every[split]])
            for split in splits
            for task in tasks(split)
            if parts[split] in task.name
        ]
        found = measured(chosen, settings, given.encoder)
        write_json(
            f"adapt-{gallery}" if given.encoder == "lite0" else f"adapt-{given.encoder}-{gallery}",
            {"settings": settings.model_dump(mode="json", exclude={"backgrounds"}), "steps": found},
        )
        figures += found
    print_table(
        "Adapting",
        ["task", "step", *(f"top-{k} %" for k in TOP), "gain, top-1", "gain, top-5"],
        [
            [
                f["task"],
                f["step"],
                *(f"{100 * f['top'][k]:.1f}" for k in TOP),
                f"{100 * f['gain'][1]:+.1f}",
                f"{100 * f['gain'][5]:+.1f}",
            ]
            for f in figures
        ],
    )


if __name__ == "__main__":
    main()
