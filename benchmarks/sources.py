"""What each source of compositions teaches: adapting without one at a time.

    python benchmarks/sources.py [--each 16] [--every 3]

The built-in encoder's head is adapted to Grocery's 81 studio pictures by `satchel adapt`'s own
functions: with everything that a composition is made of, without each of them, and with all of them
weaker and stronger. Dev queries are then searched as identification searches them. Three runs with
everything, by three seeds, say how much chance alone makes; every other run has the first seed, and
is compared with that run query by query. A stopped run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from accuracy import Seen, all_described, nearest_ranks, ranks, vectors_of
from adapt import Told, workspace_of
from datasets import SHARED, LabelledPhoto, Task, tasks
from reporting import RESULTS, print_table, write_json
from satchel.adapt.clip_head import AdaptedHead, TellingEncoder
from satchel.adapt.head import HeadsLook, RememberedPasses
from satchel.adapt.run import begin_adapting
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import decode
from satchel.onnx_model import read_model
from satchel.parallel import batched
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules
from satchel.train.loaded import read_head_file
from satchel.train.settings import HeadSettings, SynthSettings
from satchel.workflows.train import go_on

TOP = (1, 3, 5)
NAME = "sources-dev"

WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "perspective": {"perspective": 0.0, "aspect": 1.0},
    "turning": {"turn_deg": 0.0, "upside": 0.0},
    "sizes (0.7 of the frame always)": {"smallest": 0.7, "largest": 0.7},
    "many of a product": {"many": 0.0},
    "other products behind": {"neighbours": 0.0},
    "hands": {"held": 0.0},
    "things in front": {"hidden": 0.0},
    "real backgrounds": {"real": 0.0},
    "drawn backgrounds": {"real": 1.0},
    "shadow": {"shadow": 0.0},
    "light across the photo": {"light": 0.0},
    "exposure, white balance, contrast, saturation": {
        "brightness": 0.0,
        "white_balance": 0.0,
        "contrast": 0.0,
        "saturation": 0.0,
    },
    "blur": {"blurred": 0.0},
    "noise and JPEG": {"noisy": 0.0, "jpeg": 0.0},
}
"""What is left out → how."""

AMPLITUDES = (
    "perspective",
    "turn_deg",
    "light",
    "brightness",
    "white_balance",
    "contrast",
    "saturation",
    "blur_px",
    "noise_levels",
)
STRENGTHS: dict[str, dict[str, Any]] = {
    f"nothing, {factor:g} times as strong": {
        name: factor * getattr(SynthSettings(), name) for name in AMPLITUDES
    }
    for factor in (0.5, 1.5)
}
"""All sources, but weaker or stronger."""

SEEDS = 3


class Searched:
    """The task's photos, each looked at once: any head's vectors come of what was kept."""

    def __init__(self, task: Task, folder: Path) -> None:
        card = read_card()
        tower = TellingEncoder(card, onnx.load_from_string(read_model(card, BUILTIN.parent)))
        most = 2 * len(task.gallery) + len(task.queries)
        self._task = task
        self._passes = RememberedPasses(tower, folder / "passes.npy", most, lambda _: None)
        paths = [photo.path for photo in (*task.gallery, *task.queries)]
        looked = all_described(paths, Encoder.load(), gallery=False)  # patches are of one look
        self._patches = {path: one.patches for path, one in looked.items()}

    def ranks(self, head: AdaptedHead | None) -> dict[str, np.ndarray]:
        """Rank of each query's right code: by the nearest whole photo, and as it ships.

        Args:
            head: beside the built-in one; None: the built-in one alone.
        """
        look = HeadsLook(self._passes, head)
        found = self._seen(look, self._task.gallery, gallery=True)
        found |= self._seen(look, self._task.queries, gallery=False)
        seen = Seen(found, look.n_passes)
        whole = {path: photo.whole for path, photo in seen.items()}
        return {
            "plain": nearest_ranks(self._task, whole),
            "ships": ranks(self._task, vectors_of(seen), seen, SearchRules()),
        }

    def _seen(
        self, look: HeadsLook, photos: Sequence[LabelledPhoto], *, gallery: bool
    ) -> dict[Path, PhotoEmbedding]:
        found = {}
        for some in batched(photos, 8):
            seen = embed(look, [decode(one.path.read_bytes()) for one in some], gallery=gallery)
            for photo, one in zip(some, seen, strict=True):
                found[photo.path] = replace(one, patches=self._patches[photo.path])
        return found


def adapted(task: Task, settings: HeadSettings) -> AdaptedHead:
    """The head that `satchel adapt` makes of the task's gallery."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = workspace_of(task, Path(folder) / "w", "clip-b16")
        run = begin_adapting(workspace, settings, "adapt")
        go_on(workspace, run, progress=Told(), trackers=(), on_epoch=lambda *_: None)
        return read_head_file(run.best)


def runs(each: int) -> dict[str, HeadSettings]:
    """Every run's settings, by what it does without and its seed."""
    common = {"minutes": None, "each": each, "held_out": 0.0, "checks": 2}
    backgrounds = str(SHARED / "street" / "images")
    found = {}
    for what, change in (WITHOUT | STRENGTHS).items():
        for seed in range(SEEDS if what == "nothing" else 1):
            synth = SynthSettings(**({"clean": 0.0} | change))
            settings = HeadSettings(**common, seed=seed, backgrounds=backgrounds, synth=synth)
            found[f"{what}, seed {seed}"] = settings
    return found


def compared(found: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Gain in top-1 over other ranks of the same queries, and its standard error."""
    gain = (found <= 1).astype(float) - (other <= 1)
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))


def told(ranks_found: np.ndarray) -> str:
    """One digit for each query: its rank, 6 for all that are beyond the fifth."""
    return "".join(str(min(int(rank), 6)) for rank in ranks_found)


def shown(figures: dict[str, dict[str, str]]) -> list[list[object]]:
    """Rows of the table."""
    rows: list[list[object]] = []
    full = figures.get("nothing, seed 0")
    for what, by_way in figures.items():
        row: list[object] = [what]
        for way, digits in by_way.items():
            found = np.array(list(digits), int)
            row.append(" / ".join(f"{100 * (found <= k).mean():.1f}" for k in TOP))
            gain, error = compared(found, np.array(list((full or by_way)[way]), int))
            row.append(f"{100 * gain:+.1f} ± {100 * error:.1f}")
        rows.append(row)
    return rows


def unfinished(about: dict[str, Any], wanted: set[str]) -> dict[str, dict[str, str]]:
    """What a run of the same kind that was stopped has left; nothing where it came to its end."""
    written = RESULTS / f"{NAME}.json"
    kept = json.loads(written.read_bytes())["figures"] if written.exists() else {}
    found: dict[str, dict[str, str]] = kept.get("ranks", {})
    return found if about.items() <= kept.items() and found.keys() < wanted else {}


def main() -> None:
    """Adapt, search, print the table and write the JSON after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=16, help="compositions of each picture")
    parser.add_argument("--every", type=int, default=3, help="every so-many-th query")
    given = parser.parse_args()
    task = tasks("dev")[0]
    task = replace(task, queries=task.queries[:: given.every])
    about = {"task": task.name, "each": given.each, "every": given.every}
    wanted: dict[str, HeadSettings | None] = {"no adapting": None, **runs(given.each)}
    figures = unfinished(about, set(wanted))
    with tempfile.TemporaryDirectory() as folder:
        searched = Searched(task, Path(folder))
        for what, settings in wanted.items():
            if what in figures:
                continue
            found = searched.ranks(adapted(task, settings) if settings else None)
            figures[what] = {way: told(rank) for way, rank in found.items()}
            write_json(NAME, about | {"ranks": figures})
    print_table(
        f"{task.name}, {len(task.queries)} queries: adapting without one source of compositions",
        ["without", "plain, top-1/3/5 %", "top-1, gain", "ships, top-1/3/5 %", "top-1, gain"],
        shown(figures),
    )


if __name__ == "__main__":
    main()
