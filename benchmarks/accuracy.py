"""Top-1/2/3/5 on real photos: plain whole-photo embeddings, each step of the ranking, what ships.

    python -m benchmarks.accuracy [dev|test] [clip-b16|lite0]

Every row but `plain` is ranked by `satchel.evaluate.offline`, as `Identifier` ranks, under other
rules. Plain: the whole photo's vector and the best single neighbour. Of the light encoder, plain
and what ships.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.datasets import LabelledPhoto, Task, distinct_paths, tasks
from benchmarks.reporting import bootstrap_interval, print_table, write_json
from satchel.cli.shared import Bars
from satchel.encode.card import BUILTIN
from satchel.encode.embed import as_query
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.encode.registry import BUILTINS
from satchel.evaluate.offline import Query, embed_photos, rank_queries
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.images import RGB, closer, decode
from satchel.locate.registry import configured_locator
from satchel.locate.rules import LocateRules
from satchel.records import Box, PhotoEmbedding
from satchel.search.index import PLAIN
from satchel.search.rules import SearchRules

TOP = (1, 2, 3, 5)
BEYOND = 99
"""Rank of a right code that is not among the ranked."""

STEPS = {
    "as the gallery is": PLAIN,
    "+ whitened by views": SearchRules(
        product_power=0, colour_weight=0, rerank_weight=0, patch_weight=0
    ),
    "+ whitened by products": SearchRules(colour_weight=0, rerank_weight=0, patch_weight=0),
    "+ colours": SearchRules(rerank_weight=0, patch_weight=0),
    "+ re-ranking": SearchRules(patch_weight=0),
    "+ local features (ships)": SearchRules(),
}
"""Each step of the ranking upon the one before it, as rules of the index."""

RULES = {"clip-b16": SearchRules(), "lite0": SearchRules(colour_weight=0.2)}
"""Best settings of each encoder."""


class Photos(dict[Path, PhotoEmbedding]):
    """PhotoEmbedding gallery photos by file; `query` gives one as a query."""

    def __init__(self, photos: dict[Path, PhotoEmbedding], n_passes: int) -> None:
        super().__init__(photos)
        self.n_passes = n_passes

    def query(self, path: Path) -> PhotoEmbedding:
        """A photo as a query."""
        return as_query(self[path], self.n_passes)


def read(path: Path) -> RGB:
    """Pixels of a file."""
    return decode(path.read_bytes())


def shipped(encoder: Path = BUILTIN) -> Embedder:
    """An encoder with the locator of a new workspace's settings.

    Args:
        encoder: its card.
    """
    locator = configured_locator(LocateRules(), Path())
    return Embedder(Encoder.load(encoder), locator.load() if locator else None)


def embedded(paths: Iterable[Path], embedder: Embedder, *, gallery: bool = True) -> Photos:
    """Embed every photo; those that are queries alone need no second view (`gallery=False`)."""
    every, encoder = list(paths), embedder.encoder
    with Bars() as bars:
        bars.begin("embed", len(every))
        found = embed_photos(
            encoder,
            every,
            read,
            locator=embedder.locator,
            closer=near,
            gallery=gallery,
            progress=bars,
        )
        return Photos(dict(zip(every, found, strict=True)), encoder.n_passes)


def near(path: Path, box: Box) -> RGB:
    """Pixels of a file, more of them where a box is small."""
    return closer(path.read_bytes(), box)


def by_product(task: Task) -> tuple[list[LabelledPhoto], list[str]]:
    """The gallery's photos ordered by product, and the codes of their products, in order."""
    codes = sorted({photo.code for photo in task.gallery})
    return sorted(task.gallery, key=lambda photo: codes.index(photo.code)), codes


def gallery_of(task: Task, photos: Photos) -> tuple[OfflineGallery, list[str]]:
    """The task's gallery, and its codes by product id."""
    ordered, codes = by_product(task)
    products = [codes.index(photo.code) for photo in ordered]
    return OfflineGallery((photos[photo.path] for photo in ordered), products), codes


def ranks(task: Task, photos: Photos, rules: SearchRules) -> np.ndarray:
    """Rank of the right code for each query, 1 the best; `BEYOND` where it is not ranked."""
    gallery, codes = gallery_of(task, photos)
    queries = (Query(photos.query(query.path)) for query in task.queries)
    found = rank_queries(gallery.searcher(rules), queries)
    rank = found.ranks([codes.index(query.code) for query in task.queries])
    return np.where(rank == 0, BEYOND, rank)


def nearest_ranks(task: Task, photos: Photos) -> np.ndarray:
    """The same by whole photos and the best single neighbour of each product."""
    ordered, codes = by_product(task)
    gallery = np.stack([photos[photo.path].whole for photo in ordered])
    wanted = np.stack([photos[query.path].whole for query in task.queries])
    products = [codes.index(photo.code) for photo in ordered]
    starts = np.searchsorted(products, np.arange(len(codes)))
    scores = np.maximum.reduceat(wanted @ gallery.T, starts, axis=1)
    right = scores[np.arange(len(wanted)), [codes.index(query.code) for query in task.queries]]
    ranked: np.ndarray = (scores > right[:, None]).sum(1) + 1
    return ranked


def main() -> None:
    """Print the table and write the JSON."""
    split, name = (*sys.argv[1:], *("test", "clip-b16")[len(sys.argv) - 1 :])
    steps = STEPS if name == "clip-b16" else {"ships": RULES[name]}
    chosen = tasks(split)
    photos = embedded(distinct_paths(chosen), shipped(BUILTINS[name]))
    rows, figures = [], []
    for task in chosen:
        found = {"plain": nearest_ranks(task, photos)}
        for step, rules in steps.items():
            found[step] = ranks(task, photos, rules)
        for method, rank in found.items():
            codes = [query.code for query in task.queries]
            shares = {k: float((rank <= k).mean()) for k in TOP}
            intervals = {k: bootstrap_interval(rank <= k, codes) for k in TOP}
            low, high = intervals[1]
            rows.append(
                [task.name, method, len(rank)]
                + [f"{100 * shares[k]:.1f}" for k in TOP]
                + [f"{100 * low:.1f} to {100 * high:.1f}"]
            )
            figures.append(
                {
                    "task": task.name,
                    "method": method,
                    "queries": len(rank),
                    "products": len({photo.code for photo in task.gallery}),
                    "top": shares,
                    "interval_95": intervals,
                }
            )
    header = ["task", "method", "queries", *(f"top-{k} %" for k in TOP), "95 % interval, top-1"]
    print_table(f"Accuracy ({split}, {name})", header, rows)
    write_json(f"accuracy-{split}" if name == "clip-b16" else f"accuracy-{split}-{name}", figures)


if __name__ == "__main__":
    main()
