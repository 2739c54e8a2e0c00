"""Fineness of a photo: whether its pixels hold detail, or were enlarged from fewer.

Only of photos that have copies, since every pixel is decoded: of two copies, the larger one may be
an enlargement of the smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from satchel.catalog.curation import CurationStore, GalleryPhotos
from satchel.catalog.photos import PhotoStore
from satchel.curate.orientation import Copies
from satchel.errors import CatalogueError, PhotoError
from satchel.images import RGB, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress

KEY: Final = "fineness"
"""Under which it is kept among a photo's contents."""

COMMIT_PHOTOS: Final = 128
SIDE_PX: Final = 512
"""Side of the part that is measured, from the middle of the photo."""

COARSE: Final = (0.12, 0.25)
FINE: Final = (0.36, 0.5)
"""Bands of spatial frequencies, in cycles per pixel. Enlarging by 1.4 or more moves all that a
picture has below the second."""


def unmeasured(photos: GalleryPhotos, copies: Copies) -> list[int]:
    """Rows of photos that have copies and no fineness yet, each photo once."""
    rows = sorted({row for pair in copies for row in pair})
    first = {photos.sha256[row]: row for row in reversed(rows)}
    return sorted(row for row in first.values() if KEY not in photos.contents[row])


def measure_fineness(
    curation: CurationStore,
    store: PhotoStore,
    photos: GalleryPhotos,
    rows: Sequence[int],
    *,
    progress: Progress = SILENT,
) -> None:
    """Measure and store the fineness of these photos; it is added to `photos.contents`, too.

    A photo that cannot be decoded gets 0, as one without any detail.
    """

    def measured(row: int) -> float:
        try:
            return round(fineness(decode(store.read(photos.sha256[row]), min_side_px=None)), 5)
        except (PhotoError, CatalogueError):
            return 0.0

    progress.begin("detail", len(rows))
    values = map_in_order(measured, rows, workers=cores())
    for some in batched(zip(rows, values, strict=True), COMMIT_PHOTOS):
        by_name = {photos.sha256[row]: value for row, value in some}
        curation.put_content(KEY, by_name)
        for content, name in zip(photos.contents, photos.sha256, strict=True):
            if name in by_name:
                content[KEY] = by_name[name]
        progress.advance(len(some))


def fineness(pixels: RGB) -> float:
    """Amplitude of the finest detail ÷ that of coarser detail, in the middle of a picture.

    Args:
        pixels: shape (h, w, 3), uint8, at the photo's own size.

    Returns:
        ≥ 0: about 0.1 to 0.5 for photos as cameras and shops give them; a tenth of that or less
        for enlargements.
    """
    height, width = (min(side, SIDE_PX) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    grey = cv2.cvtColor(pixels[top : top + height, left : left + width], cv2.COLOR_RGB2GRAY)
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum = np.abs(np.fft.rfft2((grey - grey.mean()) * window))
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])

    def amplitude(band: tuple[float, float]) -> float:
        inside = spectrum[(radius >= band[0]) & (radius < band[1])]
        return float(np.median(inside)) if inside.size else 0.0

    coarse = amplitude(COARSE)
    return amplitude(FINE) / coarse if coarse > 0 else 0.0
