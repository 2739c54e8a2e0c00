"""Copies of the catalogue's own pictures: how many are found, and how many other photos are, too.

    python -m benchmarks.own_pictures [dev|test]

Copies: pictures of each task's gallery, recompressed, resized, cropped or brightened, then decoded
and embedded as uploads are. Other photos: the queries of the task; and each picture of the gallery
as a query to the others, among which are near twins with other codes. The figures behind
docs/decisions/0037-own-pictures.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.accuracy import Photos, by_product, embedded, shipped
from benchmarks.datasets import Task, distinct_paths, tasks
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.curate.own_pictures import OwnPictures, with_picture
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.embedder import Embedder
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.images import RGB, closer, decode, encode_jpeg
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules
from satchel.search.searcher import Searcher

SAMPLED = 40
"""Pictures of each gallery that are copied."""


def resized(pixels: RGB, scale: float) -> RGB:
    """Scaled in both directions."""
    return rgb(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def cropped(pixels: RGB, share: float) -> RGB:
    """Without a share of the width and height, two thirds of it from the right and the bottom."""
    height, width = pixels.shape[:2]
    left, top = round(share * width / 3), round(share * height / 3)
    return pixels[top : top + round((1 - share) * height), left : left + round((1 - share) * width)]


def brighter(pixels: RGB, gain: float) -> RGB:
    """Every level multiplied."""
    return rgb(np.clip(pixels.astype(np.float32) * gain, 0, 255))


COPIES: dict[str, Callable[[RGB], bytes]] = {
    "JPEG 40": lambda pixels: encode_jpeg(pixels, 40),
    "JPEG 60": lambda pixels: encode_jpeg(pixels, 60),
    "JPEG 95": lambda pixels: encode_jpeg(pixels, 95),
    "half the size": lambda pixels: encode_jpeg(resized(pixels, 0.5), 85),
    "a quarter of the size": lambda pixels: encode_jpeg(resized(pixels, 0.25), 85),
    "2 % cropped": lambda pixels: encode_jpeg(cropped(pixels, 0.02), 85),
    "5 % cropped": lambda pixels: encode_jpeg(cropped(pixels, 0.05), 85),
    "10 % cropped": lambda pixels: encode_jpeg(cropped(pixels, 0.1), 85),
    "15 % brighter": lambda pixels: encode_jpeg(brighter(pixels, 1.15), 85),
    "15 % darker": lambda pixels: encode_jpeg(brighter(pixels, 0.85), 85),
    "5 % cropped, half the size, JPEG 60": lambda pixels: encode_jpeg(
        resized(cropped(pixels, 0.05), 0.5), 60
    ),
}


class Gallery:
    """A task's gallery, in which own pictures are looked for as identification does."""

    def __init__(self, task: Task, photos: Photos) -> None:
        self.ordered, self.codes = by_product(task)
        products = [self.codes.index(photo.code) for photo in self.ordered]
        self._gallery = OfflineGallery((photos[photo.path] for photo in self.ordered), products)
        self.searcher: Searcher = self._gallery.searcher(SearchRules())
        self.own = OwnPictures(
            self._stored,
            photos.n_passes,
            lambda name: self.path(name).read_bytes(),
            DuplicateThresholds(),
        )

    def path(self, name: str) -> Path:
        """File of a photo of the gallery."""
        return self.ordered[int(name, 16)].path

    def _stored(self, names: Sequence[str]) -> Mapping[str, PhotoEmbedding]:
        return {name: self._gallery.photo(int(name, 16)) for name in names}

    def found(self, query: PhotoEmbedding, without_rows: Sequence[int] = ()) -> list[Path]:
        """Files of the pictures that a query is a copy of."""
        ranked = self.searcher.rank([query], top=5, without_rows=without_rows)
        names = [one.photo for one in ranked]
        return [self.path(name) for name in self.own.copied(query, names)]

    def row(self, at: int) -> int:
        """Row in the index of a photo of the gallery."""
        return int(self._gallery.rows[at])


def as_upload(embedder: Embedder, data: bytes) -> PhotoEmbedding:
    """Embed a file as an upload is embedded."""
    pixels = decode(data)
    (found,) = embedder.embed([pixels], closer=lambda _, box: closer(data, box))
    return with_picture(found, pixels)


def copies_found(task: Task, gallery: Gallery, embedder: Embedder) -> Counter[str]:
    """How many copies of each kind are found to be of their picture, and of `wrong` ones."""
    step = max(1, len(task.gallery) // SAMPLED)
    found: Counter[str] = Counter()
    for photo in task.gallery[::step][:SAMPLED]:
        pixels = decode(photo.path.read_bytes(), min_side_px=None)
        for kind, copy in COPIES.items():
            named = gallery.found(as_upload(embedder, copy(pixels)))
            found[kind] += photo.path in named
            found["wrong"] += any(path != photo.path for path in named)
        found["pictures"] += 1
    return found


def others_found(task: Task, gallery: Gallery, photos: Photos) -> dict[str, Any]:
    """Other photos that are taken for own pictures: queries, and pictures of the gallery."""

    def shown(path: Path) -> PhotoEmbedding:
        return with_picture(photos.query(path), decode(path.read_bytes()))

    queries = {str(query.path): gallery.found(shown(query.path)) for query in task.queries}
    pictures = {
        str(photo.path): gallery.found(shown(photo.path), [gallery.row(at)])
        for at, photo in enumerate(gallery.ordered)
    }
    named = {"queries": queries, "pictures": pictures}
    counts = {kind: len(found) for kind, found in named.items()}
    pairs = {
        f"{kind} taken for copies": [(path, str(own[0])) for path, own in found.items() if own]
        for kind, found in named.items()
    }
    return counts | pairs


def main() -> None:
    """Print the tables and write the JSON."""
    split = sys.argv[1] if len(sys.argv) > 1 else "dev"
    chosen = tasks(split)
    embedder = shipped()
    report(split, chosen, embedded(distinct_paths(chosen), embedder), embedder)


def report(split: str, chosen: Sequence[Task], photos: Photos, embedder: Embedder) -> None:
    """Measure, print and write."""
    rows: list[list[object]] = []
    others: list[list[object]] = []
    figures = []
    for task in chosen:
        gallery = Gallery(task, photos)
        measure: Callable[[], dict[str, Any]] = partial(others_found, task, gallery, photos)
        copies, other = copies_found(task, gallery, embedder), measure()
        rows.append([task.name, copies["pictures"], *(copies[kind] for kind in COPIES)])
        others.append([task.name, *(v if isinstance(v, int) else len(v) for v in other.values())])
        figures.append({"task": task.name, "copies": copies, "others": other})
    print_table("Copies found", ["gallery", "pictures", *COPIES], rows)
    print_table("Other photos", ["task", *figures[0]["others"]], others)
    write_json(f"own-pictures-{split}", figures)


if __name__ == "__main__":
    main()
