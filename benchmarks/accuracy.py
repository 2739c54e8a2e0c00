"""Top-1/2/3/5 on real photos: the plain whole-photo embedding beside what ships.

    python benchmarks/accuracy.py [dev|test]

Plain: the whole photo through the same network, average-pooled, the best single neighbour.
Ships: what `Identifier` does: three looks, summed (satchel.encode.embed), then rank_products.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets import Task, distinct_paths, tasks
from reporting import bootstrap_interval, print_table, write_json
from satchel.catalog.store import GalleryVectors
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import RGB, crop, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.records import WHOLE_PHOTO
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products

TOP = (1, 2, 3, 5)
Vectors = dict[Path, np.ndarray]


def plain_vectors(encoder: Encoder, photos: list[RGB]) -> np.ndarray:
    """Whole photos, one pass; shape (n, d)."""
    side = encoder.card.input_side_px
    return encoder.encode(np.stack([crop(photo, WHOLE_PHOTO, side) for photo in photos]))[0]


def shipped_vectors(encoder: Encoder, photos: list[RGB]) -> np.ndarray:
    """What gallery and queries get; shape (n, d)."""
    return np.stack([seen.vector for seen in embed(encoder, photos)])


METHODS: dict[str, Callable[[Encoder, list[RGB]], np.ndarray]] = {
    "plain": plain_vectors,
    "ships": shipped_vectors,
}


def all_vectors(paths: list[Path], encoder: Encoder) -> dict[str, Vectors]:
    """Embed every photo by every method; decoded once."""

    def work(batch: list[Path]) -> dict[str, np.ndarray]:
        photos = [decode(path.read_bytes()) for path in batch]
        return {name: method(encoder, photos) for name, method in METHODS.items()}

    found: dict[str, Vectors] = {name: {} for name in METHODS}
    batches = list(batched(paths, 8))
    for batch, vectors in zip(batches, map_in_order(work, batches, workers=cores()), strict=True):
        for name, rows in vectors.items():
            found[name].update(zip(batch, rows, strict=True))
    return found


def index_of(task: Task, vectors: Vectors) -> tuple[GalleryIndex, list[str]]:
    """Return the task's gallery as an index, and its codes by product id."""
    codes = sorted({photo.code for photo in task.gallery})
    number = {code: at for at, code in enumerate(codes)}
    gallery = sorted(task.gallery, key=lambda photo: number[photo.code])
    return GalleryIndex(
        GalleryVectors(
            np.stack([vectors[photo.path] for photo in gallery]),
            np.array([number[photo.code] for photo in gallery]),
            np.zeros((len(gallery), 32), np.uint8),
            revision=0,
        ),
        encoder="benchmark",
    ), codes


def ranks(task: Task, vectors: Vectors) -> np.ndarray:
    """Rank of the right code for each query, 1 the best; 99 where it is not among the first 5."""
    index, codes = index_of(task, vectors)
    found = []
    for query in task.queries:
        ranked = rank_products(index, vectors[query.path][None], top=max(TOP), temperature=1.0)
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


RANKINGS = {"plain": nearest_ranks, "ships": ranks}


def main() -> None:
    """Print the table and write the JSON."""
    split = sys.argv[1] if len(sys.argv) > 1 else "test"
    chosen = tasks(split)
    vectors = all_vectors(distinct_paths(chosen), Encoder.load())
    rows, figures = [], []
    for task in chosen:
        for method in METHODS:
            rank = RANKINGS[method](task, vectors[method])
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
