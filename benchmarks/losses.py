"""Metric-learning losses on one split with equal epochs, against the zero-shot baseline.

    python -m benchmarks.losses [FOLDER] [--only NAME …]         (25 minutes on two idle cores)

The Grocery Store Dataset, its 81 fine classes divided by a seed. Of 41 classes the official
training and validation photos are used: 31 for training, 10 for validation (best epoch and
interpolation weight). The official test photos of the other 40 are the queries, evaluated once,
when all runs are finished:

- among themselves: each query searched among the other queries;
- in a gallery: among the official training and validation photos of those 40 classes, as products
  added after training are searched;
- seen classes: test photos of the 31 training classes among their training photos.

FOLDER keeps the workspace. Each loss is a run of `satchel train encoder`: an interrupted benchmark
resumes there, with the same result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.datasets import grocery_workspace
from benchmarks.reporting import print_table, write_json
from satchel.catalog.training import KeptPhoto
from satchel.evaluate.retrieval import Retrieval, retrieval
from satchel.intervals import difference, interval
from satchel.parallel import cores
from satchel.train.backbones import Backbone, channels_last
from satchel.train.encoder import load_encoder, unit_vectors
from satchel.train.memory import keep_freed_memory
from satchel.train.pretrained import create
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace

SEED = 0
KNOWN = 41
"""Classes used in training and validation."""

N_VALIDATION = 10
"""Of them, those used only for validation."""

SPLIT = "half"
SIDE_PX = 128
EPOCHS = 3
SETTINGS = (
    f"side_px={SIDE_PX}",
    "recipe=strong",
    "precision=fp32",
    "learning_rate=3e-4",
    "freeze_statistics=true",
    "blend_with_start=[0.5, 0.75]",
)

LOSSES: dict[str, tuple[str, ...]] = {
    "contrastive": ("contrastive",),
    "triplet, semi-hard": ("triplet", "mining=semihard"),
    "triplet, hard": ("triplet", "mining=hard"),
    "margin": ("margin",),
    "center": ("center",),
    "cascaded": ("cascaded",),
    "supcon": ("supcon",),
    "multi-similarity": ("multi_similarity",),
    "arcface, sub-centres": ("subcenter_arcface",),
    "proxy-anchor": ("proxy_anchor",),
}
"""Name in the table → the loss and its options; the first six are the seed's."""


@dataclass(frozen=True)
class Searches:
    """Searches by name: queries and gallery; None: among the queries themselves."""

    photos: list[KeptPhoto]
    split: Split

    def all(self) -> dict[str, tuple[tuple[Named, ...], tuple[Named, ...] | None]]:
        """The three searches of the test photos."""
        trained, unseen = set(self.split.products()), set(self.split.products("test"))
        return {
            "among themselves": (self.split.test, None),
            "in a gallery": (self.split.test, _official(self.photos, unseen, "train", "val")),
            "seen classes": (_official(self.photos, trained, "test"), self.split.train),
        }


def _official(photos: list[KeptPhoto], codes: set[str], *parts: str) -> tuple[Named, ...]:
    chosen = (p for p in photos if p.code in codes and p.attributes["part"] in parts)
    return tuple(sorted((p.code, p.sha256) for p in chosen))


def make_split(photos: list[KeptPhoto]) -> Split:
    """The split described at the head of this file."""
    codes = sorted({photo.code for photo in photos})
    order = np.random.default_rng(SEED).permutation(len(codes))
    known = [codes[at] for at in order[:KNOWN]]
    return Split(
        protocol="open",
        seed=SEED,
        made_by={"known": KNOWN, "validation": N_VALIDATION},
        train=_official(photos, set(known[:-N_VALIDATION]), "train", "val"),
        val=_official(photos, set(known[-N_VALIDATION:]), "train", "val"),
        test=_official(photos, set(codes) - set(known), "test"),
    )


def train(folder: Path, name: str) -> Run:
    """Train with a loss, or resume."""
    loss, *options = LOSSES[name]
    label = "-".join([loss, *(option.split("=")[1] for option in options)])
    command = [sys.executable, "-m", "satchel", "--workspace", str(folder), "train", "encoder"]
    run = Run(folder / "runs" / label)
    if not run.folder.exists():
        command += ["--split", SPLIT, "--name", label, "--loss", loss, "--epochs", str(EPOCHS)]
        command += [word for option in options for word in ("--option", option)]
        command += [word for setting in SETTINGS for word in ("--set", setting)]
    elif run.state() == "finished":
        return run
    else:
        command += ["--resume", label]
    subprocess.run([*command, "--tracker", "none"], check=True, env={**os.environ, "NO_COLOR": "1"})
    return run


def search(
    workspace: Workspace, searches: Searches, backbone: Backbone, side_px: int
) -> dict[str, tuple[Retrieval, list[str]]]:
    """Retrieval of each search, and the class of each query."""
    vectors: dict[Named, np.ndarray] = {}
    wanted = {
        name: None
        for queries, gallery in searches.all().values()
        for name in (*queries, *(gallery or ()))
    }
    named = tuple(wanted)
    shown = part_photos(workspace, searches.photos, named, ())
    vectors = dict(zip(named, unit_vectors(backbone, shown, side_px), strict=True))

    def side(names: Iterable[Named]) -> tuple[np.ndarray, np.ndarray]:
        names = list(names)
        return np.array([vectors[name] for name in names]), np.array([code for code, _ in names])

    found = {}
    for name, (queries, gallery) in searches.all().items():
        own = np.arange(len(queries)) if gallery is None else None
        result = retrieval(*side(queries), *side(gallery or queries), own=own, ks=(1, 5))
        found[name] = (result, [code for code, _ in queries])
    return found


def summary(found: dict[str, tuple[Retrieval, list[str]]]) -> dict[str, Any]:
    """Figures with their intervals, and hits for paired comparisons, as JSON."""
    figures: dict[str, Any] = {}
    for name, (result, codes) in found.items():
        hit = {k: (result.first_rank >= 1) & (result.first_rank <= k) for k in (1, 5)}
        mean = {
            "Recall@1": interval(hit[1], codes),
            "Recall@5": interval(hit[5], codes),
            "MAP@R": interval(result.average_precision, codes),
        }
        figures[name] = {
            "queries": len(codes),
            **{key: {"value": i.value, "low": i.low, "high": i.high} for key, i in mean.items()},
            "first hits": np.flatnonzero(hit[1]).tolist(),
            "classes": codes,
        }
    return figures


def tested(folder: Path, key: str, evaluate: Any) -> dict[str, Any]:
    """Evaluate once and keep the figures."""
    path = folder / "tested" / f"{key}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(summary(evaluate())))
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures


def gain(figures: dict[str, Any], zero: dict[str, Any], name: str) -> dict[str, float]:
    """Recall@1 minus that of the zero-shot baseline, paired by query, resampled by class."""

    def hits(of: dict[str, Any]) -> np.ndarray:
        hit = np.zeros(of[name]["queries"])
        hit[of[name]["first hits"]] = 1
        return hit

    found = difference(hits(zero), hits(figures), zero[name]["classes"])
    return {"value": found.value, "low": found.low, "high": found.high}


def report(tested_of: dict[str, dict[str, Any]], runs: dict[str, Run]) -> None:
    """Print the tables, write the JSON."""
    zero = tested_of[f"zero-shot, {SIDE_PX}²"]
    out: dict[str, Any] = {}
    for name, figures in tested_of.items():
        out[name] = {
            search_name: {k: v for k, v in own.items() if k not in ("first hits", "classes")}
            | {"gain over zero-shot": gain(figures, zero, search_name)}
            for search_name, own in figures.items()
        }
        if name in runs:
            record = runs[name].read()
            out[name]["run"] = {
                "settings": record.settings,
                "minutes": record.seconds / 60,
                "epochs": record.epochs,
                "val": record.figures,
            }
    for search_name in zero:
        rows = []
        for name, figures in out.items():
            own, val = figures[search_name], figures.get("run", {}).get("val", {})
            over = own["gain over zero-shot"]
            rows.append(
                [
                    name,
                    f"{val['trained_share']:g}" if val else "",
                    *(_cell(own[key]) for key in ("Recall@1", "Recall@5", "MAP@R")),
                    f"{100 * over['value']:+.1f} ({100 * over['low']:+.1f} … "
                    f"{100 * over['high']:+.1f})",
                ]
            )
        header = [
            "loss",
            "weight of the trained",
            "Recall@1",
            "Recall@5",
            "MAP@R",
            "Recall@1, gain",
        ]
        print_table(f"{search_name}: {zero[search_name]['queries']} queries", header, rows)
    write_json("losses", out)


def _cell(figure: dict[str, float]) -> str:
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f} – {100 * figure['high']:.1f})"


def main() -> None:
    """Train, evaluate, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", nargs="+", choices=LOSSES, help="train these; evaluate nothing")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="satchel-losses-"))
    workspace = grocery_workspace(folder)
    photos = workspace_photos(workspace)
    path = workspace.split_path(SPLIT)
    if not path.exists():
        make_split(photos).save(path)
    runs = {name: train(folder, name) for name in given.only or LOSSES}
    if given.only:
        return
    keep_freed_memory()
    torch.set_num_threads(cores())
    searches = Searches(photos, Split.load(path))
    tested_of = {}
    for side_px in (SIDE_PX, 224):
        backbone = channels_last(create("efficientnet_lite0").eval())
        tested_of[f"zero-shot, {side_px}²"] = tested(
            folder,
            f"zero-{side_px}",
            lambda b=backbone, s=side_px: search(workspace, searches, b, s),
        )
    for name, run in runs.items():
        tested_of[name] = tested(
            folder,
            run.name,
            lambda run=run: search(workspace, searches, load_encoder(run)[0], SIDE_PX),
        )
    report(tested_of, runs)


if __name__ == "__main__":
    main()
