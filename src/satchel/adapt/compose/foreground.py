"""Foreground segmentation without a trained network: gallery photo → product with a soft mask.

A studio photo has an even background: it is flood-filled from the photo's border, and what the
flood does not reach is the product. Elsewhere GrabCut segments the located box (Rother, Kolmogorov
and Blake, "GrabCut", SIGGRAPH 2004), and where that fails the box itself is taken, with soft edges.

Foregrounds are extracted once and kept in one memory-mapped file, one row for each photo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Bytes, Floats
from satchel.errors import PhotoError
from satchel.images import RGB, decode, shrunk
from satchel.locate.background import (
    BACKGROUND_DISTANCE,
    WORK_SIDE_PX,
    background_colour,
    lab_of,
)
from satchel.parallel import cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import WHOLE_PHOTO, Box

RGBA = npt.NDArray[np.uint8]
"""Shape (height, width, 4), uint8; colours are multiplied by the mask, which is the last."""
Mask = npt.NDArray[np.uint8]

GAP_PX: Final = 5
"""Width of a gap in an outline that the flood does not pass: white things on a white background."""

HALO_PX: Final = 9
HOLE_DISTANCE: Final = 1.0
HOLE_PART: Final = 0.01
"""Share of the product that a hole has at least."""

PART: Final = 0.02
"""Share of the largest piece that another must have to belong to the product; others are specks."""

LEAST: Final = 0.02
MOST: Final = 0.98
"""Share of the photo that a product covers: outside these limits the segmentation has failed."""

GRABCUT_SIDE_PX: Final = 144
GRABCUT_ROUNDS: Final = 3
SOFT_BOX: Final = 0.06
"""Width of a box's soft edge, as a share of its shorter side."""

FLUSH_ROWS: Final = 128
"""Photos between two writes to disk: the work that a kill can lose."""


def extract_foreground(pixels: RGB, box: Box = WHOLE_PHOTO) -> RGBA:
    """Extract the product from a photo.

    Args:
        pixels: shape (h, w, 3), uint8, upright.
        box: of the product; used where the background is not even.

    Returns:
        The product in the rectangle that just holds it, at the photo's own scale; colours
        premultiplied by the mask.
    """
    mask = even_background_mask(pixels)
    if mask is None:
        mask = grabcut_mask(pixels, box)
    if mask is None:
        mask = _soft_box_mask(pixels.shape[:2], box)
    size_wh = pixels.shape[1], pixels.shape[0]
    # Enlarged, the mask of a smaller copy is soft by itself.
    mask = cv2.resize(mask, size_wh, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    y0, y1, x0, x1 = _extent(mask > 127) or (0, size_wh[1], 0, size_wh[0])
    y0, x0 = max(0, y0 - 1), max(0, x0 - 1)
    return multiplied(pixels[y0 : y1 + 1, x0 : x1 + 1], mask[y0 : y1 + 1, x0 : x1 + 1])


def multiplied(pixels: RGB, mask: Mask) -> RGBA:
    """Join colours, multiplied by the mask, and mask."""
    shares = cv2.merge([mask, mask, mask])
    colours = cv2.multiply(np.ascontiguousarray(pixels), shares, scale=1 / 255)
    return np.dstack([colours, mask]).astype(np.uint8, copy=False)


def even_background_mask(pixels: RGB) -> Mask | None:
    """Mask of what is on an even background, shape (h', w'), uint8; None where it is not even."""
    lab = lab_of(shrunk(pixels, WORK_SIDE_PX))
    background = background_colour(lab)
    if background is None:
        return None
    distance = np.linalg.norm(lab - background, axis=2)
    mask = _not_flooded((distance > BACKGROUND_DISTANCE).astype(np.uint8))
    mask &= ~_halo(mask, distance) & ~_holes(mask, distance)
    mask = _without_specks(_opened_up(mask))
    return _softened(mask) if LEAST <= mask.mean() <= MOST else None


def _not_flooded(other: Mask) -> Mask:
    """Mask of the pixels that a flood fill from the border does not reach; 0 or 1.

    Outlines are closed first, so that the flood does not enter through a pale edge.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP_PX, GAP_PX))
    padded = cv2.copyMakeBorder(other, GAP_PX, GAP_PX, GAP_PX, GAP_PX, cv2.BORDER_CONSTANT, value=0)
    # The product continues beyond the photo's edge: the flood must not enter it there either.
    for rows in ((slice(None, GAP_PX), GAP_PX), (slice(-GAP_PX, None), -GAP_PX - 1)):
        padded[rows[0]] = padded[rows[1]]
        padded[:, rows[0]] = padded[:, rows[1]][:, None]
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    framed = cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 2)
    inner = framed[1 + GAP_PX : -1 - GAP_PX, 1 + GAP_PX : -1 - GAP_PX]
    reached: Mask = (inner != 2).astype(np.uint8)
    return reached


def _halo(mask: Mask, distance: Floats) -> Mask:
    """JPEG fringes around an outline: nearly the background's colour, at the mask's edge."""
    inner = cv2.erode(mask, np.ones((HALO_PX, HALO_PX), np.uint8))
    return ((mask > inner) & (distance < 2 * BACKGROUND_DISTANCE)).astype(np.uint8)


def _holes(mask: Mask, distance: Floats) -> Mask:
    """Holes, such as behind a handle: large, and exactly of the background's colour."""
    same = ((mask > 0) & (distance <= HOLE_DISTANCE)).astype(np.uint8)
    same = _opened_up(same)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(same, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= HOLE_PART * mask.sum()
    large[0] = False
    holes = cv2.dilate(large[labels].astype(np.uint8), np.ones((5, 5), np.uint8))
    return holes.astype(np.uint8, copy=False)


def _opened_up(mask: Mask) -> Mask:
    """Morphological opening: remove structures thinner than three pixels."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return opened.astype(np.uint8, copy=False)


def _without_specks(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept: Mask = (areas >= PART * areas.max())[labels].astype(np.uint8)
    return kept


def grabcut_mask(pixels: RGB, box: Box) -> Mask | None:
    """Mask of what GrabCut finds in the box, shape (h', w'), uint8; None where it fails."""
    copy = np.ascontiguousarray(shrunk(pixels, GRABCUT_SIDE_PX))
    height, width = copy.shape[:2]
    # A box as wide as the photo leaves no certain background: use a rim instead.
    x0, y0 = max(2, int(box.x0 * width)), max(2, int(box.y0 * height))
    x1, y1 = min(width - 2, round(box.x1 * width)), min(height - 2, round(box.y1 * height))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    labels = np.zeros((height, width), np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # of this thread: its clusters begin at random
    try:
        place = (x0, y0, x1 - x0, y1 - y0)
        cv2.grabCut(copy, labels, place, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # one colour everywhere: nothing to segment
        return None
    mask = _without_specks(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))
    share = float(mask.sum()) / ((x1 - x0) * (y1 - y0))
    return _softened(mask) if 0.2 <= share <= MOST else None


def _soft_box_mask(size_hw: tuple[int, ...], box: Box) -> Mask:
    height, width = size_hw
    mask = np.zeros((height, width), np.uint8)
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box.xyxy, (width, height) * 2, strict=True))
    mask[y0:y1, x0:x1] = 255
    soft = SOFT_BOX * max(2, min(x1 - x0, y1 - y0))
    return cv2.GaussianBlur(mask, (0, 0), soft / 2, borderType=cv2.BORDER_CONSTANT).astype(
        np.uint8, copy=False
    )


def _softened(mask: Mask) -> Mask:
    """0 or 1 → 0 to 255 with an edge of about two pixels, a half pixel further in."""
    soft = cv2.GaussianBlur(mask * np.uint8(255), (0, 0), 0.9).astype(np.int16)
    edged: Mask = np.clip((soft - 70) * 1.6, 0, 255).astype(np.uint8)
    return edged


def _extent(mask: Bools) -> tuple[int, int, int, int] | None:
    """First and last + 1 row, first and last + 1 column that the mask touches; None: none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


# -- the file of all of them -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foregrounds:
    """Foregrounds of a gallery's photos, and the photos themselves.

    Attributes:
        rows: structured array, shape (n,): `foreground`, (side, side, 4), uint8, and `photo`,
            (side, side, 3), uint8, the product and the whole photo in their upper left corners;
            `size_hw` and `photo_hw`, their sizes.
    """

    rows: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side_px(self) -> int:
        """Longer side of foregrounds and photos, at most."""
        return int(self.rows.dtype["foreground"].shape[0])

    def foreground(self, row: int) -> RGBA:
        """The foreground of one photo, in the rectangle that just holds it."""
        height, width = (int(side) for side in self.rows[row]["size_hw"])
        foreground: RGBA = self.rows[row]["foreground"][:height, :width]
        return foreground

    def photo(self, row: int) -> RGB:
        """One whole photo, in its own proportions."""
        height, width = (int(side) for side in self.rows[row]["photo_hw"])
        photo: RGB = self.rows[row]["photo"][:height, :width]
        return photo


def row_type(side_px: int) -> np.dtype[Any]:
    """Type of a row; `size_hw` is 0 where the foreground was not extracted yet."""
    return np.dtype(
        [
            ("size_hw", np.uint16, (2,)),
            ("foreground", np.uint8, (side_px, side_px, 4)),
            ("photo_hw", np.uint16, (2,)),
            ("photo", np.uint8, (side_px, side_px, 3)),
        ]
    )


def extract_foregrounds(
    path: Path,
    names: Sequence[str],
    boxes: Sequence[Box],
    read: Callable[[str], bytes],
    *,
    side_px: int,
    progress: Progress = SILENT,
) -> Foregrounds:
    """Extract the foreground of every photo, or resume where a killed process stopped.

    Args:
        path: of the file; one of another size or side is made anew.
        names: SHA-256 of each photo; `read` gives its bytes.
        side_px: longer side of a foreground and of a photo, at most.
    """
    rows = open_rows(path, len(names), row_type(side_px))
    done = rows["size_hw"][:, 0] > 0
    progress.begin("foregrounds", len(names), int(done.sum()))
    todo = np.flatnonzero(~done).tolist()

    def work(row: int) -> tuple[RGBA, RGB]:
        try:
            pixels = decode(read(names[row]), min_side_px=side_px)
        except PhotoError:  # curation reports it; a grey square replaces it here
            pixels = np.full((side_px, side_px, 3), 128, np.uint8)
        return shrunk(extract_foreground(pixels, boxes[row]), side_px), shrunk(pixels, side_px)

    for at, (row, (foreground, photo)) in enumerate(
        zip(todo, map_in_order(work, todo, workers=cores()), strict=True), 1
    ):
        _keep(rows[row], "photo", "photo_hw", photo)
        _keep(rows[row], "foreground", "size_hw", foreground)  # last: from now on the row counts
        progress.advance()
        if at % FLUSH_ROWS == 0:
            rows.flush()
    rows.flush()
    return Foregrounds(rows)


def _keep(row: np.void, name: str, size: str, pixels: Bytes) -> None:
    height, width = pixels.shape[:2]
    row[name][:height, :width] = pixels
    row[size] = height, width


def open_rows(path: Path, count: int, kind: np.dtype[Any]) -> np.memmap[Any, Any]:
    """Memory-map a file of rows; create it, all zeros, where it is missing or of another type."""
    if path.exists():
        try:
            rows = np.lib.format.open_memmap(path, mode="r+")
        except (ValueError, OSError):
            rows = None
        if rows is not None and rows.shape == (count,) and rows.dtype == kind:
            return rows
    path.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(count,))
