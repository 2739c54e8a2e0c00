"""Adapting to a catalogue of one studio picture per product: each step beside plain zero-shot.

    python benchmarks/adapt.py dev|test [--minutes 12] [--task grocery|luma|dreambooth] [--share S]

For each task a workspace is made of its gallery alone, `satchel adapt` runs in it (by the same
functions that the command calls) on drawn backgrounds and the street photos, which are in no task,
and the queries are searched with the exported ONNX file. Steps: the plain whole photo, the three
looks that ship, the end of training by itself, and the average with the start that the held-out
compositions chose. `dev` is for choosing; `test` is run once.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from accuracy import all_vectors, nearest_ranks, ranks
from datasets import SHARED, Task, distinct_paths, tasks
from reporting import bootstrap_interval, print_table, write_json
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.encode.encoder import Encoder
from satchel.files import write_atomically
from satchel.search.build import build_index, embed_gallery
from satchel.train.adapt import Outcome, averaged, begin_adapting
from satchel.train.fit import save_weights
from satchel.train.loaded import ADAPTED
from satchel.train.programme import go_on
from satchel.train.promote import export_run, model_name
from satchel.train.runs import Run
from satchel.train.settings import AdaptSettings
from satchel.workspace import Workspace

TOP = (1, 2, 3, 5)
CHOSEN = {
    "dev": {"grocery": "studio → train+val", "luma": "styles A"},
    "test": {"grocery": "studio → test", "luma": "others, all", "dreambooth": "DreamBooth"},
}


class Told:
    """Tells how far training is, once a minute."""

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """A stage begins."""
        self._what, self._total, self._done, self._at = what, total, done, time.monotonic()

    def advance(self, photos: int) -> None:
        """So many more are done."""
        self._done += photos
        if time.monotonic() - self._at > 60:
            print(f"{self._what}: {self._done:,} of {self._total:,}", flush=True)
            self._at = time.monotonic()


def workspace_of(task: Task, folder: Path) -> Workspace:
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
        on_progress=lambda _: None,
    )
    encoder = Encoder.load()
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        encoder,
        on_progress=lambda _: None,
        on_problem=print,
    )
    build_index(workspace.catalogue, encoder, workspace.index_path)
    return workspace


def exported(workspace: Workspace, run: Run, share: float) -> Encoder:
    """The ONNX file of the run with a share of the trained weights."""
    from safetensors.torch import load_file

    start = load_file(run.folder / "start.safetensors")
    end = {
        name.removeprefix("backbone."): value
        for name, value in load_file(run.best).items()
        if name.startswith("backbone.")
    }
    kept = (run.folder / ADAPTED).read_bytes()
    save_weights(_State(averaged(start, end, share)), run.folder / ADAPTED)  # type: ignore[arg-type]
    export_run(workspace, run)
    write_atomically(run.folder / ADAPTED, kept)
    return Encoder.load(workspace.models / model_name(run, "fp16") / "card.json")


class _State:
    """Tensors as `save_weights` takes a module's."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self._tensors = tensors

    def state_dict(self) -> dict[str, Any]:
        """The tensors."""
        return self._tensors


def measured(name: str, task: Task, settings: AdaptSettings) -> list[dict[str, Any]]:
    """Adapt to one task's gallery and measure every step."""
    paths = distinct_paths([task])
    builtin = all_vectors(paths, Encoder.load())
    found = {
        "zero-shot, plain": nearest_ranks(task, builtin["plain"]),
        "zero-shot, three looks": ranks(task, builtin["ships"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        workspace = workspace_of(task, Path(folder) / "w")
        run = begin_adapting(workspace, settings, "adapt")
        began = time.monotonic()
        go_on(
            workspace,
            run,
            report=Told(),
            trackers=(),
            on_epoch=lambda epoch, figures: print(
                epoch, {key: round(value, 3) for key, value in figures.items()}, flush=True
            ),
        )
        minutes = (time.monotonic() - began) / 60
        outcome = Outcome.read(run)
        for step, share in (("adapted, end of training", 1.0), ("adapted", outcome.share)):
            encoder = exported(workspace, run, share)
            vectors = all_vectors(paths, encoder)
            told = f"{step}, averaged {share:.0%}" if step == "adapted" else step
            found[f"{told}, plain"] = nearest_ranks(task, vectors["plain"])
            found[f"{told}, three looks"] = ranks(task, vectors["ships"])
    plain = found["zero-shot, plain"]
    return [
        {
            "task": name,
            "step": step,
            "queries": len(rank),
            "products": len({photo.code for photo in task.gallery}),
            "top": {k: float((rank <= k).mean()) for k in TOP},
            "interval_95": {k: bootstrap_interval(rank <= k) for k in (1, 5)},
            "gain": {k: float((rank <= k).mean() - (plain <= k).mean()) for k in TOP},
            "minutes": minutes,
            "held_out": outcome.model_dump(mode="json"),
        }
        for step, rank in found.items()
    ]


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=("dev", "test"))
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--task", choices=("grocery", "luma", "dreambooth"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    settings = AdaptSettings.model_validate(
        {"minutes": given.minutes, "backgrounds": str(SHARED / "street" / "images")}
        | {key: value for key, _, value in (pair.partition("=") for pair in given.set)}
    )
    figures: list[dict[str, Any]] = []
    for name, part in CHOSEN[given.split].items():
        if given.task in (None, name):
            (task,) = (task for task in tasks(given.split) if part in task.name)
            figures += measured(task.name, task, settings)
            write_json(
                f"adapt-{given.split}-{name}", [f for f in figures if f["task"] == task.name]
            )
    print_table(
        f"Adapting ({given.split})",
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
