"""Synthetic photos on a GPU: composed by worker processes while training uses the first ones."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from satchel.adapt.compose.backgrounds import Backgrounds
from satchel.adapt.compose.foreground import Foregrounds
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.settings import SynthSettings
from satchel.images import RGB

COMPOSED_PX: Final = 256
"""Side of synthetic photos, of which crops show a part."""

P_CLEAN: Final = 0.15
"""Share of photos that are the source image itself, hardly changed."""

VIEW_WEIGHTS: Final = (1.0, 0.5, 0.0)
"""Probabilities of whole photos and of crops to the product's box: this encoder's passes."""

LOADED: Final = 64
"""Synthetic photos of one message of a process."""


class SyntheticPhotos(Dataset[torch.Tensor]):
    """Synthetic photos in order: each source image once per round.

    Each worker opens the files itself, so that processes can be spawned: forked ones
    would inherit locks that threads of OpenCV hold.
    """

    def __init__(self, foregrounds: Path, backgrounds: Path, *, rounds: int, seed: int) -> None:
        """Compose this many photos of each source image.

        Args:
            foregrounds: file of `extract_foregrounds`.
            backgrounds: file of `Backgrounds.photos`, as `numpy.save` writes it.
        """
        self._files = foregrounds, backgrounds
        self._seed = seed
        self._composer: Composer | None = None
        self.pictures = len(np.load(foregrounds, mmap_mode="r"))
        self.rounds = rounds

    def __len__(self) -> int:
        return self.pictures * self.rounds

    def __getitem__(self, at: int) -> torch.Tensor:
        """Synthetic photo `at`, of picture `at` modulo their count; (side, side, 3), uint8."""
        self._composer = self._composer or self._opened()
        rng = np.random.default_rng((self._seed, at))
        return torch.from_numpy(self._composer.compose(at % self.pictures, rng))

    def _opened(self) -> Composer:
        cv2.setNumThreads(1)  # there are as many processes as cores
        foregrounds, backgrounds = (np.load(file, mmap_mode="r") for file in self._files)
        return Composer(
            Foregrounds(foregrounds),
            SynthSettings(),
            side_px=COMPOSED_PX,
            backgrounds=Backgrounds(backgrounds),
            p_clean=P_CLEAN,
            view_weights=VIEW_WEIGHTS,
        )


class Pool:
    """The synthetic photos that are ready, on the GPU.

    Attributes:
        composed: shape (rounds × pictures, side, side, 3), uint8; round by round.
        each: rounds that are ready; 1 at least.
    """

    def __init__(self, synthetic: SyntheticPhotos, device: torch.device, workers: int) -> None:
        shape = (len(synthetic), COMPOSED_PX, COMPOSED_PX, 3)
        self.composed = torch.empty(shape, dtype=torch.uint8, device=device)
        self.each = 0
        self._pictures = synthetic.pictures
        self._loader = DataLoader(
            synthetic,
            batch_size=LOADED,
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
        )
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._ready, self._stopped = threading.Event(), threading.Event()
        self._failed: BaseException | None = None

    def __enter__(self) -> Pool:
        """Start composing; return when there is one synthetic photo of each source image."""
        self._thread.start()
        self._ready.wait()
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._failed and not kind:  # fewer synthetic photos than requested
            raise self._failed

    def _fill(self) -> None:
        filled = 0
        try:
            for batch in self._loader:
                self.composed[filled : filled + len(batch)] = batch.to(self.composed.device)
                filled += len(batch)
                self.each = filled // self._pictures
                if self.each:
                    self._ready.set()
                if self._stopped.is_set():
                    return
        except BaseException as error:  # raised where the result is awaited
            self._failed = error
        finally:
            self._ready.set()


def clean_pictures(foregrounds: Foregrounds) -> npt.NDArray[np.uint8]:
    """The unchanged source images, padded to squares; shape (n, side, side, 3)."""
    return np.stack(
        [squared(foregrounds.photo(row), COMPOSED_PX) for row in range(len(foregrounds))]
    )


def squared(picture: RGB, side_px: int) -> RGB:
    """Pad an image to a square by repeating its outermost pixels."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, size_wh, interpolation=method)
    top, left = (side_px - size_wh[1]) // 2, (side_px - size_wh[0]) // 2
    bottom, right = side_px - size_wh[1] - top, side_px - size_wh[0] - left
    found = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return found.astype(np.uint8, copy=False)
