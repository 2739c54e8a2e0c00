"""What it is worth that crops keep a photo's proportions, where the gallery's are others.

    python benchmarks/proportions.py

Queries of the dev tasks (every tenth of Grocery's, all of Luma's), as they are and cut to what
phones take; gallery and queries all squeezed into squares, and kept as they are. The table behind
docs/decisions/0018-proportions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from accuracy import Seen, ranks, vectors_of
from datasets import Task, tasks
from reporting import print_table, write_json
from satchel.encode.crops import CropShape
from satchel.encode.embed import PhotoEncoder, embed
from satchel.encode.encoder import Encoder
from satchel.encode.output import EncoderOutput
from satchel.images import RGB, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules

FRAMES = {"as it is": None, "1:1": 1.0, "3:4": 3 / 4, "4:3": 4 / 3, "9:16": 9 / 16}
"""Width by height of what is cut out of the middle of each query."""

TOP = (1, 3, 5)
BATCH = 8


@dataclass(frozen=True)
class Squeezing:
    """An encoder that takes squares alone."""

    encoder: Encoder

    @property
    def crop_shape(self) -> CropShape:
        """Squares, as large as the encoder's."""
        return CropShape(self.encoder.crop_shape.side_px)

    @property
    def n_passes(self) -> int:
        """The encoder's."""
        return self.encoder.n_passes

    def encode(self, crops: np.ndarray) -> EncoderOutput:
        """The encoder's."""
        return self.encoder.encode(crops)


def framed(photo: RGB, proportion: float | None) -> RGB:
    """The largest middle of a photo of this width by height; None: all of it."""
    height, width = photo.shape[:2]
    if proportion is None:
        return photo
    kept = min(width, round(height * proportion)), min(height, round(width / proportion))
    left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
    return photo[top : top + kept[1], left : left + kept[0]]


def seen_by(
    encoder: PhotoEncoder,
    paths: list[Path],
    *,
    gallery: bool = False,
    cut: Callable[[RGB], RGB] = lambda photo: photo,
) -> dict[Path, PhotoEmbedding]:
    """Embed photos as `Identifier` does."""

    def work(batch: list[Path]) -> list[PhotoEmbedding]:
        photos = [cut(decode(path.read_bytes())) for path in batch]
        return embed(encoder, photos, gallery=gallery)

    batches = list(batched(paths, BATCH))
    done = map_in_order(work, batches, workers=cores())
    with Progress() as progress:
        found = [seen for batch in progress.track(done, len(batches)) for seen in batch]
    return dict(zip(paths, found, strict=True))


def some(task: Task) -> Task:
    """The task with at most some three hundred queries, evenly taken."""
    return replace(task, queries=task.queries[:: max(1, len(task.queries) // 290)])


def main() -> None:
    """Print the table and write the JSON."""
    encoder = Encoder.load()
    studio, _, luma = tasks("dev")
    rows, figures = [], []
    for task in map(some, (studio, luma)):
        for side, looking in {"squeezed": Squeezing(encoder), "kept (ships)": encoder}.items():
            gallery = seen_by(looking, [photo.path for photo in task.gallery], gallery=True)
            for frame, proportion in FRAMES.items():
                queries = seen_by(
                    looking,
                    [query.path for query in task.queries],
                    cut=lambda photo, proportion=proportion: framed(photo, proportion),
                )
                seen = Seen(gallery | queries, encoder.n_passes)
                line = {"task": task.name, "queries": len(queries), "frame": frame, "side": side}
                for parts in (0.0, SearchRules().patch_weight):
                    rank = ranks(task, vectors_of(seen), seen, SearchRules(patch_weight=parts))
                    name = "with parts" if parts else "whole"
                    line[name] = {k: float((rank <= k).mean()) for k in TOP}
                figures.append(line)
                shown = (
                    " / ".join(f"{100 * share:.1f}" for share in line[name].values())
                    for name in ("whole", "with parts")
                )
                rows.append([task.name, frame, side, *shown])
    header = ["task", "query", "crops", "whole, top-1/3/5 %", "with parts"]
    print_table("Proportions", header, sorted(rows, key=lambda row: row[:2]))
    write_json("proportions", figures)


if __name__ == "__main__":
    main()
