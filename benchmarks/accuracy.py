"""Top-1/2/3/5 on real photos: the plain whole-photo embedding beside what ships.

    python benchmarks/accuracy.py [dev|test]

Plain: the whole photo through the same network, the best single neighbour.
Ships: what `Identifier` does: looks and colours as satchel.encode.embed has them, whitened by the
task's gallery (satchel.search.index), then rank_products. Between them, step by step.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from datasets import LabelledPhoto, Task, distinct_paths, tasks
from reporting import bootstrap_interval, print_table, write_json
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.embed import as_query, embed
from satchel.encode.encoder import Encoder
from satchel.images import decode
from satchel.parallel import batched, cores, map_in_order, small_products
from satchel.records import PhotoEmbedding
from satchel.search.index import PLAIN, GalleryIndex
from satchel.search.patch_matching import MAX_SAMPLED_PHOTOS, PatchMatcher
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules

TOP = (1, 2, 3, 5)
Vectors = dict[Path, np.ndarray]


class Seen(dict[Path, PhotoEmbedding]):
    """Photos as the gallery has them; `asked` gives them as queries."""

    def __init__(self, photos: dict[Path, PhotoEmbedding], n_passes: int) -> None:
        super().__init__(photos)
        self.n_passes = n_passes

    def asked(self, path: Path) -> PhotoEmbedding:
        """The photo as it is searched for."""
        return as_query(self[path], self.n_passes)


def all_described(paths: list[Path], encoder: Encoder, *, gallery: bool = True) -> Seen:
    """Look at every photo as `Identifier` does; those that are only asked, once is enough."""

    def work(batch: list[Path]) -> list[PhotoEmbedding]:
        return embed(encoder, [decode(path.read_bytes()) for path in batch], gallery=gallery)

    batches = list(batched(paths, 8))
    done = map_in_order(work, batches, workers=cores())
    with Progress() as progress:
        found = [seen for batch in progress.track(done, len(batches)) for seen in batch]
    return Seen(dict(zip(paths, found, strict=True)), encoder.n_passes)


def all_vectors(paths: list[Path], encoder: Encoder) -> dict[str, Vectors]:
    """Vectors of every photo: `plain` of the whole photo, `ships` of all looks."""
    found = all_described(paths, encoder)
    return {
        "plain": {path: seen.whole for path, seen in found.items()},
        "ships": vectors_of(found),
    }


def vectors_of(seen: Seen) -> Vectors:
    """The vectors of all looks."""
    return {path: photo.vector for path, photo in seen.items()}


def index_of(
    task: Task,
    vectors: Vectors,
    seen: Seen | None = None,
    rules: SearchRules = PLAIN,
) -> tuple[GalleryIndex, list[str]]:
    """Return the task's gallery as an index, and its codes by product id.

    Args:
        seen: what `rules` other than `PLAIN` need besides the vectors.
    """
    photos, codes = by_product(task)
    number = {code: at for at, code in enumerate(codes)}
    gallery = GalleryVectors(
        np.stack([vectors[photo.path] for photo in photos]),
        np.array([number[photo.code] for photo in photos]),
        np.stack([_name(row) for row in range(len(photos))]),
        revision=0,
    )
    if seen is None:
        return GalleryIndex(gallery, encoder="benchmark"), codes
    colours = np.stack([seen[photo.path].colours for photo in photos])
    views = np.stack([seen[photo.path].whole - seen[photo.path].vector for photo in photos])
    described = replace(gallery, colours=colours)
    patches = [part for photo in photos if (part := seen[photo.path].patches) is not None]
    some = np.concatenate(patches[:: -(-len(patches) // MAX_SAMPLED_PHOTOS)]) if patches else None
    return GalleryIndex.of(described, "benchmark", views, rules, some), codes


def by_product(task: Task) -> tuple[list[LabelledPhoto], list[str]]:
    """The gallery's photos as an index has them, and the codes of their products, in order."""
    codes = sorted({photo.code for photo in task.gallery})
    return sorted(task.gallery, key=lambda photo: codes.index(photo.code)), codes


def _name(row: int) -> np.ndarray:
    """What stands for the SHA-256 of a row's photo."""
    return np.frombuffer(row.to_bytes(32, "big"), np.uint8)


class Asking:
    """Matches parts of queries with the pictures of a task's gallery, as `Identifier` does."""

    def __init__(self, task: Task, seen: Seen) -> None:
        photos, _ = by_product(task)
        parts = [seen[photo.path].patches for photo in photos]
        self._stored = [b"" if part is None else part.tobytes() for part in parts]

    def read(self, photos: Sequence[str]) -> list[bytes]:
        """As `Catalogue.patches`."""
        return [self._stored[int(name, 16)] for name in photos]

    def __call__(self, query: PhotoEmbedding) -> PatchMatcher | None:
        """The matcher of one photo."""
        return None if query.patches is None else PatchMatcher([query.patches], self.read)


def ranks(
    task: Task,
    vectors: Vectors,
    seen: Seen | None = None,
    rules: SearchRules = PLAIN,
) -> np.ndarray:
    """Rank of the right code for each query, 1 the best; 99 where it is not among the first 5."""
    index, codes = index_of(task, vectors, seen, rules)
    found = []
    asking = None if seen is None else Asking(task, seen)
    for query in task.queries:
        asked = vectors[query.path] if seen is None else seen.asked(query.path).described
        matcher = asking(seen[query.path]) if seen is not None and asking is not None else None
        with small_products():
            ranked = rank_products(index, asked[None], top=max(TOP), matcher=matcher)
        names = [codes[product.product] for product in ranked]
        found.append(names.index(query.code) + 1 if query.code in names else 99)
    return np.array(found)


def nearest_ranks(task: Task, vectors: Vectors) -> np.ndarray:
    """The same by the best single neighbour: a product's score is its nearest photo's cosine."""
    index, codes = index_of(task, vectors)
    queries = np.stack([vectors[query.path] for query in task.queries])
    starts = np.searchsorted(index.gallery.products, np.arange(len(codes)))
    scores = np.maximum.reduceat(queries @ index.gallery.vectors.T, starts, axis=1)
    right = scores[np.arange(len(queries)), [codes.index(query.code) for query in task.queries]]
    return (scores > right[:, None]).sum(1) + 1


STEPS = {
    "as the gallery is": PLAIN,
    "+ whitened by views": SearchRules(
        product_power=0, colour_weight=0, rerank_weight=0, patch_weight=0
    ),
    "+ whitened by products": SearchRules(colour_weight=0, rerank_weight=0, patch_weight=0),
    "+ colours": SearchRules(rerank_weight=0, patch_weight=0),
    "+ rivals": SearchRules(patch_weight=0),
    "+ patches (ships)": SearchRules(),
}
"""Each step of the ranking upon the one before it, as rules of the index."""


def main() -> None:
    """Print the table and write the JSON."""
    split = sys.argv[1] if len(sys.argv) > 1 else "test"
    chosen = tasks(split)
    seen = all_described(distinct_paths(chosen), Encoder.load())
    vectors = vectors_of(seen)
    whole = {path: photo.whole for path, photo in seen.items()}
    rows, figures = [], []
    for task in chosen:
        found = {"plain": nearest_ranks(task, whole)}
        for step, rules in STEPS.items():
            found[step] = ranks(task, vectors, seen, rules)
        for method, rank in found.items():
            shares = {k: float((rank <= k).mean()) for k in TOP}
            intervals = {k: bootstrap_interval(rank <= k) for k in TOP}
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
    print_table(f"Accuracy ({split})", header, rows)
    write_json(f"accuracy-{split}", figures)


if __name__ == "__main__":
    main()
