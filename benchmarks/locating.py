"""Does the locator find the object, and is the object then named? On photos that it does not fill.

    python -m benchmarks.locating [dev|test] [--clutter] [--plain]
                                  [--locator builtin|saliency|CARD.json|MODEL.cfg]

Ranks the tasks of `benchmarks.field`, or clutter alone, and with `--plain` those of
`benchmarks.datasets`, queried with the whole photo, the located good alone, what identification
shows of both, and the true box. Figures are given for all queries and by the share of the photo
that the object covers. Boxes are compared with saliency's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.accuracy import BEYOND, Photos, embedded, gallery_of, near, read
from benchmarks.datasets import LabelledPhoto, Task, tasks
from benchmarks.field import SIZES, clutter, field_tasks, share_of
from benchmarks.reporting import print_table, write_json
from satchel.cli.shared import Bars
from satchel.encode.embed import as_query, embed
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.evaluate.offline import Query, rank_queries
from satchel.locate.locator import Locator
from satchel.locate.registry import configured_locator
from satchel.locate.rules import BUILTIN, LocateRules
from satchel.parallel import batched, cores, map_in_order
from satchel.records import Box, PhotoEmbedding
from satchel.search.rules import SearchRules

TOP: Final = (1, 3, 5)
TOGETHER: Final = 16
FOUND_IOU: Final = 0.5
BANDS: Final = ((0.0, 1.01), (0.0, 0.2), *SIZES)
"""Shares of the photo that figures are given for: all, less than a fifth, and bands of it."""


def main() -> None:
    """Print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", nargs="?", default="test", choices=("dev", "test"))
    parser.add_argument("--locator", default=BUILTIN)
    parser.add_argument("--clutter", action="store_true", help="no placed objects")
    parser.add_argument("--plain", action="store_true", help="the tasks of benchmarks.datasets too")
    chosen = parser.parse_args()
    encoder = Encoder.load(threads=1)
    file = configured_locator(LocateRules(model=chosen.locator), Path())
    locator = file.load() if file else None
    field = [clutter(chosen.split)] if chosen.clutter else field_tasks(chosen.split, encoder)
    plain = tasks(chosen.split) if chosen.plain else []
    galleries: dict[tuple[LabelledPhoto, ...], Photos] = {}  # tasks share them
    figures: list[dict[str, Any]] = []
    for task in field + plain:
        if task.gallery not in galleries:
            paths = (photo.path for photo in task.gallery)
            galleries[task.gallery] = embedded(paths, Embedder(encoder, locator))
        figures += compare(task, galleries[task.gallery], encoder, locator)
    report(f"{chosen.split}, locator: {chosen.locator}", figures)
    write_json(f"locating-{chosen.split}", figures)


def report(title: str, figures: list[dict[str, Any]]) -> None:
    """Print the tables."""
    for name, columns in (("Accuracy", TOP_COLUMNS), ("Boxes", BOX_COLUMNS)):
        rows = [
            [f["task"], f["queried with"], f["share of the photo"], f["queries"]]
            + [f"{100 * f[key]:.1f}" for key in columns]
            for f in figures
            if all(f[key] is not None for key in columns)
        ]
        header = ["task", "queried with", "object's share", "queries", *(f"{k} %" for k in columns)]
        print_table(f"{name} ({title})", header, rows)


TOP_COLUMNS: Final = tuple(f"top-{k}" for k in TOP)
BOX_COLUMNS: Final = ("mean IoU", "IoU ≥ 0.5")


def compare(
    task: Task, gallery: Photos, encoder: Encoder, locator: Locator | None
) -> Iterator[dict[str, Any]]:
    """Figures of one task, for each way of querying and each band of sizes."""
    located = asked(task, encoder, locator)
    ways = {
        "whole photo": asked(task, encoder),
        "located good alone": asked(task, encoder, locator, [query.box for query in located]),
        "as shipped": located,
    }
    if all(query.box for query in task.queries):
        true = [query.box for query in task.queries]
        ways["true box"] = asked(task, encoder, locator, true)
    shares = np.array([share_of(query) for query in task.queries])
    for way, queries in ways.items():
        rank = rank_of_right(task, gallery, queries)
        overlap = np.array(
            [q.box.iou(e.box) if q.box else 1.0 for q, e in zip(task.queries, queries, strict=True)]
        )
        for low, high in BANDS:
            rows = (shares >= low) & (shares < high)
            if rows.any():
                yield {
                    "task": task.name,
                    "queried with": way,
                    "share of the photo": f"{low:.0%} to {min(high, 1):.0%}",
                    "queries": int(rows.sum()),
                    **{f"top-{k}": float((rank[rows] <= k).mean()) for k in TOP},
                    "mean IoU": float(overlap[rows].mean()) if task.queries[0].box else None,
                    "IoU ≥ 0.5": float((overlap[rows] >= FOUND_IOU).mean())
                    if task.queries[0].box
                    else None,
                }


def asked(
    task: Task,
    encoder: Encoder,
    locator: Locator | None = None,
    boxes: Sequence[Box | None] | None = None,
) -> list[PhotoEmbedding]:
    """The queries' embeddings, as identification makes them; with these boxes, if given."""

    def work(batch: list[tuple[LabelledPhoto, Box | None]]) -> list[PhotoEmbedding]:
        return embed(
            encoder,
            [read(query.path) for query, _ in batch],
            locator=locator,
            boxes=[box for _, box in batch],
            closer=lambda at, box: near(batch[at][0].path, box),
        )

    pairs = list(zip(task.queries, boxes or [None] * len(task.queries), strict=True))
    found: list[PhotoEmbedding] = []
    with Bars() as bars:
        bars.begin(f"queries of {task.name}", len(pairs))
        for some in map_in_order(work, batched(pairs, TOGETHER), workers=cores()):
            found += some
            bars.advance(len(some))
    return found


def rank_of_right(task: Task, photos: Photos, queries: Sequence[PhotoEmbedding]) -> np.ndarray:
    """Rank of the right code of each query, 1 the best; `BEYOND` where it is not ranked."""
    gallery, codes = gallery_of(task, photos)
    asked = (Query(as_query(query, photos.n_passes)) for query in queries)
    rank = rank_queries(gallery.searcher(SearchRules()), asked).ranks(
        [codes.index(query.code) for query in task.queries]
    )
    return np.where(rank == 0, BEYOND, rank)


if __name__ == "__main__":
    main()
