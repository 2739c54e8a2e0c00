"""Learning from real pairs: what it gains on goods that it never saw, and costs on others.

    python -m benchmarks.pairs [dev|test] [FOLDER] [--set KEY=VALUE …]      (needs the train extra)

A workspace has clutter's shop photos and, of the dev half of its products, buyers' photos as real
queries, of which 30 % of the products are held out for validation. `satchel adapt` learns from them
by the functions that the command calls. `dev` measures the held-out products, by which the
interpolation weight was chosen; `test` the other half's, that are in no pair, and queries of three
other tasks.
`--set pairs.blocks=12` trains the whole encoder instead of its head.

FOLDER keeps the workspace: an interrupted run resumes there.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.accuracy import embedded
from benchmarks.adapt import PrintedProgress, print_epoch
from benchmarks.datasets import SHARED, Task, tasks
from benchmarks.field import clutter
from benchmarks.locating import asked, rank_of_right
from benchmarks.reporting import print_table, write_json
from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.cli.adapt import REAL_VAL_SHARE
from satchel.cli.shared import pairs
from satchel.encode.card import BUILTIN
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.locate.locator import Locator
from satchel.progress import SILENT
from satchel.served import load_locator
from satchel.train.dealing import SplitOptions, make_split
from satchel.train.runs import Run
from satchel.train.settings import read_settings_file
from satchel.train.splits import Split
from satchel.workflows.adapt import begin_adapting
from satchel.workflows.kinds import TRAINED_VIT
from satchel.workflows.promote import exported_model, promote_encoder
from satchel.workflows.split import labelled, workspace_photos
from satchel.workflows.train import resume
from satchel.workspace import Workspace

TOP: Final = (1, 3, 5)
GAINS: Final = (1, 5)
NAME: Final = "pairs"
MEMBERS: Final = ("start", "trained")
BUYERS: Final = "buyers"
TAKEN_BY: Final = "taken_by"
"""Column of the catalogue file that says who took a photo."""

EVERY: Final = {"Grocery: studio → test": 5}
"""Every so-many-th query of a task; of the other tasks all."""

OTHERS: Final = (*EVERY, "Luma: main view → others, all", "DreamBooth: first photo → others")


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", nargs="?", default="test", choices=("dev", "test"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    settings = read_settings_file(AdaptSettings, None, pairs(given.set))
    with tempfile.TemporaryDirectory() as temporary:
        workspace = pairs_workspace(given.folder or Path(temporary) / "w")
        run, split = _learned(workspace, settings)
        figures = list(_measured(given.split, workspace, run, split))
        record, outcome = run.read(), Outcome.read(run)
    write_json(
        f"pairs-{given.split}" + ("-whole" if record.kind == TRAINED_VIT.name else ""),
        {
            "minutes": record.seconds / 60,
            "photos": len(set(split.train) & set(split.queries)),
            "products": len({code for code, _ in set(split.train) & set(split.queries)}),
            "held_out": outcome.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json"),
            "tasks": figures,
        },
    )
    print_table(
        f"Real pairs ({given.split}): {record.seconds / 60:.1f} minutes",
        ["task", "queried with", "queries", *MEMBERS, *(f"top-{k}" for k in GAINS)],
        [
            [f["task"], f["queried with"], f["queries"]]
            + [" / ".join(f"{100 * f[name][k]:.1f}" for k in TOP) for name in MEMBERS]
            + ["{:+.1f} ± {:.1f}".format(*(100 * one for one in f["gain"][k])) for k in GAINS]
            for f in figures
        ],
    )


def pairs_workspace(folder: Path) -> Workspace:
    """A workspace of shops' photos, and of buyers' photos of the dev half; made where missing."""
    if (folder / "satchel.toml").exists():
        return Workspace.open(folder)
    workspace, task = Workspace.create(folder), clutter("dev")
    table = folder / "clutter.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("code", "photo", TAKEN_BY))
        for photos, who in ((task.gallery, "shops"), (task.queries, BUYERS)):
            rows.writerows((one.code, one.path.relative_to(SHARED), who) for one in photos)
    import_rows(
        open_rows(table, photos=SHARED).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=print,
    )
    return workspace


def _learned(workspace: Workspace, settings: AdaptSettings) -> tuple[Run, Split]:
    """Learn from the pairs, or resume; the run and its split."""
    promote_encoder(workspace, "clip-b16", progress=SILENT)
    if (workspace.runs / NAME).exists():
        run = Run.find(workspace.runs, NAME)
    else:
        photos = workspace_photos(workspace)
        queries = [
            (photo.code, photo.sha256)
            for photo in photos
            if photo.attributes.get(TAKEN_BY) == BUYERS
        ]
        options = SplitOptions(protocol="open", val=REAL_VAL_SHARE, test=0.0)
        made = make_split(labelled(workspace, photos, column=None), options, queries=queries)
        run = begin_adapting(workspace, settings, NAME, made)
    resume(workspace, run, progress=PrintedProgress(), on_epoch=print_epoch)
    return run, Split.load(workspace.split_path(NAME))


def _measured(part: str, workspace: Workspace, run: Run, split: Split) -> Iterator[dict[str, Any]]:
    """Figures of each task, with the encoder as it was and as it is now."""
    locator = load_locator(workspace)
    encoders = {
        "start": Encoder.load(BUILTIN, threads=1),
        "trained": Encoder.load(exported_model(workspace, run), threads=1),
    }
    for task in _tasks(part, split):
        found = {name: _ranks(task, encoder, locator) for name, encoder in encoders.items()}
        for way in found["start"]:
            start, trained = (found[name][way] for name in MEMBERS)
            yield {
                "task": task.name,
                "queried with": way,
                "queries": len(task.queries),
                "start": {k: float((start <= k).mean()) for k in TOP},
                "trained": {k: float((trained <= k).mean()) for k in TOP},
                "gain": {k: _gain(start, trained, k) for k in GAINS},
            }


def _tasks(part: str, split: Split) -> list[Task]:
    """What is measured: of `dev` the products that were held out."""
    task = clutter(part)
    if part == "dev":
        codes = set(split.products("val"))
        return [replace(task, queries=tuple(one for one in task.queries if one.code in codes))]
    others = [one for one in tasks("test") if one.name in OTHERS]
    return [
        task,
        *(replace(one, queries=one.queries[:: EVERY.get(one.name, 1)]) for one in others),
    ]


def _ranks(task: Task, encoder: Encoder, locator: Locator | None) -> dict[str, np.ndarray]:
    """Ranks by one encoder, as shipped and with the true box, if that is known."""
    gallery = embedded((photo.path for photo in task.gallery), Embedder(encoder, locator))
    ways = {"as shipped": asked(task, encoder, locator)}
    if all(query.box for query in task.queries):
        true = [query.box for query in task.queries]
        ways["true box"] = asked(task, encoder, locator, true)
    return {way: rank_of_right(task, gallery, queries) for way, queries in ways.items()}


def _gain(start: np.ndarray, trained: np.ndarray, k: int) -> tuple[float, float]:
    """Difference of accuracy within the first k, and its standard error."""
    found = (trained <= k).astype(float) - (start <= k)
    return float(found.mean()), float(found.std() / np.sqrt(len(found)))


if __name__ == "__main__":
    main()
