"""Backgrounds of synthetic photos: real photos, and drawn walls, wood and shelves.

Drawn ones are small random tables, enlarged: smooth noise, cheap at any size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from satchel.arrays import Bytes, Doubles
from satchel.errors import PhotoError, UsageError
from satchel.folders import is_photo, walk_files
from satchel.images import RGB, decode, read_photo
from satchel.parallel import cores, map_in_order
from satchel.photo_header import PhotoLimits

Rng = np.random.Generator

MOST_PHOTOS: Final = 2_000
"""Photos of a folder that are taken, at most: at 240 pixels a side they need 350 MB."""

CUT: Final = (0.3, 1.0)
"""Side of the part of a photo that becomes a background, as a share of the photo's."""


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """Real photos of anything but the products; shape (n, side, side, 3), uint8, n ≥ 1."""

    photos: Bytes

    def __len__(self) -> int:
        return len(self.photos)

    def split(self, share: float) -> tuple[Backgrounds, Backgrounds]:
        """All but the last `share`, and the last `share`; either keeps one photo at least."""
        last = min(max(1, round(share * len(self))), max(1, len(self) - 1))
        return Backgrounds(self.photos[: max(1, len(self) - last)]), Backgrounds(
            self.photos[-last:]
        )

    def cut(self, side_px: int, rng: Rng) -> RGB:
        """A random crop of one of them; shape (side, side, 3)."""
        photo = self.photos[int(rng.integers(len(self)))]
        side = len(photo)
        height, width = (max(8, int(side * s)) for s in rng.uniform(*CUT, 2))
        y, x = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
        part = photo[y : y + height, x : x + width]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        method = cv2.INTER_AREA if min(height, width) > side_px else cv2.INTER_LINEAR
        resized = cv2.resize(part, (side_px, side_px), interpolation=method)
        shown: RGB = resized.astype(np.uint8, copy=False)
        return shown


def load_backgrounds(folder: Path, side_px: int) -> Backgrounds:
    """Decode a folder's photos, and those of the folders in it, once.

    Args:
        side_px: that they are kept at, squared; somewhat more than that of the synthetic photos.

    Raises:
        UsageError: the folder holds no photo that can be read.
    """
    paths = sorted(file for file in walk_files(folder) if is_photo(file))
    paths = paths[:: max(1, -(-len(paths) // MOST_PHOTOS))]

    def work(path: Path) -> RGB | None:
        try:
            pixels = decode(read_photo(path, PhotoLimits()), min_side_px=side_px)
        except PhotoError:
            return None
        return cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )

    pictures = [p for p in map_in_order(work, paths, workers=cores()) if p is not None]
    if not pictures:
        raise UsageError(
            f"expected photos of rooms, tables, shelves in {folder}, found none that can be read; "
            "leave --backgrounds out to draw all of them"
        )
    return Backgrounds(np.stack(pictures))


# -- drawn ones ------------------------------------------------------------------------------------


def drawn(side_px: int, rng: Rng) -> RGB:
    """Draw a background of one of several kinds; shape (side, side, 3), uint8."""
    return DRAWN[int(rng.integers(len(DRAWN)))](side_px, rng)


def wall(side_px: int, rng: Rng) -> RGB:
    """A plain colour, brighter on one side, with a faint coarse texture."""
    colour = _colour(rng)
    low, high = rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.2)
    field = _smooth(rng, (2, 2), side_px, low * colour, high * colour)
    if rng.random() < 0.5:
        return field
    return _mixed(field, _grain(rng, side_px, int(rng.integers(8, 80))), rng.uniform(0.03, 0.15))


def studio(side_px: int, rng: Rng) -> RGB:
    """White or grey paper under even light."""
    level = 255 - abs(float(rng.normal(0, 25)))
    return _smooth(rng, (2, 2), side_px, np.full(3, level - 10), np.full(3, level))


def wood(side_px: int, rng: Rng) -> RGB:
    """Two tones in stripes that waver, with the joints of boards."""
    dark = np.array([rng.uniform(60, 170), 0, 0])
    dark[1] = dark[0] * rng.uniform(0.65, 0.85)
    dark[2] = dark[1] * rng.uniform(0.5, 0.85)
    light = np.minimum(255, dark * rng.uniform(1.15, 1.6))
    along, across = int(rng.integers(2, 6)), int(rng.integers(20, 90))
    board = _smooth(rng, (along, across), side_px, dark, light)
    if rng.random() < 0.7:
        for x in range(int(rng.integers(4, 40)), side_px, int(rng.integers(16, 60))):
            cv2.line(board, (x, 0), (x, side_px), (dark * 0.6).tolist(), 1)
    return np.ascontiguousarray(board.transpose(1, 0, 2)) if rng.random() < 0.6 else board


def fabric(side_px: int, rng: Rng) -> RGB:
    """Folds, and a fine weave over them."""
    colour = _colour(rng)
    count = int(rng.integers(3, 8))
    folds = _smooth(rng, (count, count), side_px, 0.55 * colour, 1.15 * colour)
    return _mixed(folds, _grain(rng, side_px, side_px), rng.uniform(0.05, 0.25))


def marble(side_px: int, rng: Rng) -> RGB:
    """Speckled stone, carpet or gravel: noise of several sizes."""
    first, second = _colour(rng), _colour(rng)
    out = _smooth(rng, (6, 6), side_px, first, second)
    for cells in (16, 40, 100):
        out = _mixed(out, _grain(rng, side_px, cells), rng.uniform(0.1, 0.4))
    return out


def shelf(side_px: int, rng: Rng) -> RGB:
    """Boards with things of many colours on them, as behind a product in a shop or a cupboard."""
    out = wall(side_px, rng)
    floors = int(rng.integers(1, 5))
    tops = np.linspace(0, side_px, floors + 1).astype(int)
    similar = _colour(rng)
    for top, bottom in pairwise(tops.tolist()):
        x = -int(rng.integers(0, 12))
        alike = rng.random() < 0.5
        while x < side_px:
            width = int(side_px * rng.uniform(0.04, 0.2))
            height = int((bottom - top) * rng.uniform(0.5, 0.95))
            colour = similar * rng.uniform(0.7, 1.1) if alike else _colour(rng)
            corner = (x, bottom - height), (x + width - 1, bottom)
            cv2.rectangle(out, *corner, colour.tolist(), -1)
            band = int(height * rng.uniform(0.2, 0.8))
            label = (x + width // 6, bottom - band), (x + width - width // 6, bottom - band // 2)
            cv2.rectangle(out, *label, _colour(rng).tolist(), -1)
            x += width + int(rng.integers(0, 5))
        cv2.rectangle(out, (0, bottom - 3), (side_px, bottom), _colour(rng).tolist(), -1)
    return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.6, 2.5)).astype(np.uint8, copy=False)


def tiles(side_px: int, rng: Rng) -> RGB:
    """A tiled floor or wall in slight perspective."""
    out = wall(side_px, rng)
    step, slope = int(rng.integers(14, 60)), rng.uniform(-0.4, 0.4)
    line = (_colour(rng) * 0.8).tolist()
    for at in range(-side_px, 2 * side_px, step):
        lean = int(slope * side_px)
        cv2.line(out, (at, 0), (at + lean, side_px), line, int(rng.integers(1, 3)), cv2.LINE_AA)
        cv2.line(out, (0, at), (side_px, at - lean // 3), line, 1, cv2.LINE_AA)
    return out


DRAWN: Final[Sequence[Callable[[int, Rng], RGB]]] = (
    wall,
    studio,
    wood,
    fabric,
    marble,
    shelf,
    tiles,
)


def _colour(rng: Rng) -> Doubles:
    """Mostly the muted colours of rooms; now and then a strong one."""
    grey = rng.uniform(20, 245)
    spread = 90 if rng.random() < 0.25 else 18
    return np.clip(grey + rng.normal(0, spread, 3), 0, 255)


def _smooth(rng: Rng, cells: tuple[int, int], side_px: int, low: Doubles, high: Doubles) -> RGB:
    """Random mixtures of two colours on a table of `cells`, enlarged smoothly."""
    shares = rng.random((*cells, 1))
    table = np.clip(low + shares * (high - low), 0, 255).astype(np.uint8)
    return cv2.resize(table, (side_px, side_px), interpolation=cv2.INTER_CUBIC).astype(
        np.uint8, copy=False
    )


def _grain(rng: Rng, side_px: int, cells: int) -> RGB:
    """Grey noise of a grain size, shape (side, side, 3)."""
    table = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
    grey = cv2.resize(table, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def _mixed(first: RGB, second: RGB, share: float) -> RGB:
    """`second` laid over `first`, about mid-grey, so that brightness stays."""
    return cv2.addWeighted(first, 1.0, second, share, -128 * share).astype(np.uint8, copy=False)
