"""Maps of the frozen stem, written once: training on them skips most of its work.

The stem is not trained, so its maps of a view never change. They are kept in half precision, in
files of `TOGETHER` views; a killed run goes on with the first file that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import nn

from satchel.files import atomic_path
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import Progress
from satchel.train.batches import Step
from satchel.train.locator.augment import random_view
from satchel.train.locator.batches import NO_LABEL, DetectionBatch, collate
from satchel.train.locator.lite0 import Lite0Detector, MainPredictions
from satchel.train.locator.samples import Sample, Samples

TOGETHER: Final = 256
"""Views of a file."""

AT_ONCE: Final = 16
"""Views that the stem sees at once."""


class AfterStem(nn.Module):
    """A detector that is given the stem's maps instead of pixels."""

    def __init__(self, network: Lite0Detector) -> None:
        super().__init__()
        self.network = network

    def forward(self, maps: torch.Tensor) -> MainPredictions:
        """Predict boxes from maps at stride 8, shape (n, 40, h / 8, w / 8)."""
        predicted: MainPredictions = self.network.predict(*self.network.backbone.after_stem(maps))
        return predicted


@dataclass(frozen=True, slots=True)
class StemMaps:
    """Maps in a folder, shape (h / 8, w / 8, 40), float16, with boxes, labels and main goods."""

    folder: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def view(self, row: int) -> tuple[Sample, int]:
        """A view, its maps in place of pixels; and which box is the main good's."""
        file, place = divmod(row, TOGETHER)
        maps = np.load(self._maps(file), mmap_mode="r")[place]
        with np.load(self._boxes(file)) as boxes:
            own = boxes["rows"] == place
            sample = cast("Sample", (np.asarray(maps), boxes["boxes"][own], boxes["labels"][own]))
            return sample, int(boxes["mains"][place])

    def batches(self, steps: Iterable[Step]) -> Iterator[DetectionBatch]:
        """Yield the batches of these steps, a few ahead of the consumer."""

        def work(step: Step) -> DetectionBatch:
            return collate([self.view(int(row)) for row in step.rows], plain=False)

        yield from map_in_order(work, steps, workers=1, ahead=2)

    def write(
        self, samples: Samples, network: Lite0Detector, *, side_px: int, seed: int, bar: Progress
    ) -> None:
        """Write what is missing: each sample once, as a random view."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = -(-self.count // TOGETHER)
        missing = [file for file in range(files) if not self._boxes(file).exists()]
        bar.begin("maps of the stem", self.count, (files - len(missing)) * TOGETHER)
        rows = [row for row in range(self.count) if row // TOGETHER in missing]

        def viewed(row: int) -> tuple[Sample, int]:
            rng = np.random.default_rng([seed, row])
            pixels, boxes, labels = samples[row]
            numbered = pixels, boxes, np.arange(len(labels))
            pixels, boxes, kept = random_view(numbered, side_px, (1.0, 1.0), rng)
            main = np.flatnonzero(kept == 0)
            return (pixels, boxes, labels[kept]), int(main[0]) if len(main) else NO_LABEL

        views = map_in_order(viewed, rows, workers=cores())
        for file, some in zip(missing, batched(views, TOGETHER), strict=True):
            self._write(file, some, network)
            bar.advance(len(some))

    def _write(self, file: int, views: list[tuple[Sample, int]], network: Lite0Detector) -> None:
        pixels = torch.from_numpy(np.stack([one for (one, _, _), _ in views])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            parts = [network.backbone.low(part.float()) for part in pixels.split(AT_ONCE)]
        maps = torch.cat(parts).permute(0, 2, 3, 1).half().contiguous().numpy()
        counts = [len(labels) for (_, _, labels), _ in views]
        arrays: dict[str, Any] = {
            "rows": np.repeat(np.arange(len(views)), counts),
            "boxes": np.concatenate([boxes for (_, boxes, _), _ in views]),
            "labels": np.concatenate([labels for (_, _, labels), _ in views]),
            "mains": np.array([main for _, main in views]),
        }
        with atomic_path(self._maps(file)) as path, path.open("wb") as out:
            np.save(out, maps)
        with atomic_path(self._boxes(file)) as path, path.open("wb") as out:
            np.savez(out, **arrays)

    def _maps(self, file: int) -> Path:
        return self.folder / f"maps-{file:05d}.npy"

    def _boxes(self, file: int) -> Path:
        return self.folder / f"boxes-{file:05d}.npz"
