"""Regions of two photos that show the same details, by local features: logos, hardware, prints.

Features (SIFT; D. Lowe, IJCV 60(2), 2004, compared as RootSIFT; R. Arandjelović, A. Zisserman, CVPR
2012) are paired where each is the other's nearest by far. Only pairs count that one affine map
explains, and more of them than chance would (RANSAC), so that no accident is shown as a detail. The
local features of identification have no places, and so cannot be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any, Final

import cv2
import numpy as np

from satchel.arrays import Floats
from satchel.catalog.photos import PhotoStore
from satchel.decoding.decoder import Decoder
from satchel.images import RGB, shrunk
from satchel.parallel import cores
from satchel.photo_header import PhotoLimits
from satchel.records import Box

SIDE_PX: Final = 800
"""Longer side at which photos are compared."""

MAX_FEATURES: Final = 2_000
RATIO: Final = 0.8
"""Distance to the nearest feature by that to the second, at most."""

REACH: Final = 0.02
"""How far a pair may be off its affine map, as a share of the longer side."""

FEWEST_PAIRS: Final = 6
"""Pairs that one affine map explains, at least: three fit any."""

MOST_CHANCE: Final = -2.0
"""Decimal logarithm of how many maps would explain as many random pairs, at most."""

MOST_SQUEEZED: Final = 2.0
"""Scale along one axis of an affine map by that along the other: 2 is a view turned by 60°."""

MOST_SCALED: Final = 6.0
MAX_MAPS: Final = 3
"""Affine maps, since a good is not flat."""

GAP: Final = 0.08
"""Distance within a region, as a share of the longer side, at most."""

FEWEST_OF_REGION: Final = 3
MAX_REGIONS: Final = 9
MARGIN: Final = 0.015
"""Added around a region, as a share of the photo."""

MAX_KEPT: Final = 4_000
"""Pairs of photos whose regions are kept: some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Region:
    """A detail that both photos show.

    Attributes:
        own, reference: where, as fractions of each photo.
        pairs: features that were paired in it.
    """

    own: Box
    reference: Box
    pairs: int


def matching_regions(own: RGB, reference: RGB) -> tuple[Region, ...]:
    """Find what two photos have in common, the best first; `MAX_REGIONS` at most.

    Args:
        own, reference: shape (h, w, 3), uint8, RGB; of any sizes.
    """
    first, second = shrunk(own, SIDE_PX), shrunk(reference, SIDE_PX)
    ours, theirs = _pairs(first, second)
    found = [
        Region(_box(ours[rows], first), _box(theirs[rows], second), len(rows))
        for consistent in _consistent(ours, theirs)
        for rows in _clusters(ours, consistent)
        if len(rows) >= FEWEST_OF_REGION
    ]
    return tuple(sorted(found, key=lambda one: -one.pairs)[:MAX_REGIONS])


class RegionFinder:
    """Compares photos of listings with those of the catalogue, each pair once. Thread-safe.

    Args:
        own: photos of listings.
        reference: photos of the catalogue.
    """

    def __init__(
        self, own: PhotoStore, reference: PhotoStore, decoder: Decoder, limits: PhotoLimits
    ) -> None:
        self._own = own
        self._reference = reference
        self._decoder = decoder
        self._limits = limits
        self._turn = BoundedSemaphore(max(1, cores() - 1))  # a core is left for pages
        self.of: Callable[[str, str], tuple[Region, ...]] = lru_cache(MAX_KEPT)(self._compare)

    def _compare(self, own: str, reference: str) -> tuple[Region, ...]:
        """Compare two photos, by SHA-256; CatalogueError where one is gone."""
        with self._turn:
            first, second = (
                self._decoder.decode(store.read(name), min_side_px=SIDE_PX, limits=self._limits)
                for store, name in ((self._own, own), (self._reference, reference))
            )
            return matching_regions(first, second)


def _pairs(first: RGB, second: RGB) -> tuple[Floats, Floats]:
    """Places of paired features in pixels, each shape (n, 2), x and y."""
    (ours, our_features), (theirs, their_features) = _features(first), _features(second)
    if min(len(ours), len(theirs)) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    distances = np.sqrt(np.maximum(0, 2 - 2 * our_features @ their_features.T))
    nearest = distances.argmin(1)
    second_best = np.partition(distances, 1, axis=1)[:, 1]
    rows = np.arange(len(ours))
    clear = distances[rows, nearest] < RATIO * second_best
    mutual = distances.argmin(0)[nearest] == rows
    chosen = rows[clear & mutual]
    return ours[chosen], theirs[nearest[chosen]]


def _features(pixels: RGB) -> tuple[Floats, Floats]:
    """Places, shape (n, 2), and RootSIFT features of length 1, shape (n, 128)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    points, found = cv2.SIFT.create(nfeatures=MAX_FEATURES).detectAndCompute(grey, None)
    if found is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    features = np.sqrt(found / found.sum(1, keepdims=True).clip(1e-6))
    return np.array([point.pt for point in points], np.float32), features.astype(np.float32)


def _consistent(ours: Floats, theirs: Floats) -> list[Any]:
    """Rows of the pairs that each of a few affine maps explains; every pair in one at most."""
    left = np.arange(len(ours))
    found: list[Any] = []
    while len(left) >= FEWEST_PAIRS and len(found) < MAX_MAPS:
        found_map, inside = cv2.estimateAffine2D(
            ours[left], theirs[left], ransacReprojThreshold=REACH * SIDE_PX, maxIters=5_000
        )
        explained = left[inside.ravel() == 1] if _is_view(found_map) else left[:0]
        if len(explained) < FEWEST_PAIRS or _chance(len(left), len(explained)) > MOST_CHANCE:
            break
        found.append(explained)
        left = np.setdiff1d(left, explained)
    return found


def _chance(pairs: int, explained: int) -> float:
    """Decimal logarithm of how often random pairs would fit as well (a contrario RANSAC).

    (n - 3) C(n, k) C(k, 3) a^(k - 3), with a the share of a photo within `REACH` of a point:
    L. Moisan, B. Stival, IJCV 57(3), 2004, eq. 8.
    """
    share = math.pi * REACH**2 / (3 / 4)  # of a photo of 4:3
    ways = math.comb(pairs, explained) * math.comb(explained, 3) * max(1, pairs - 3)
    return math.log10(ways) + (explained - 3) * math.log10(share)


def _is_view(found_map: Any) -> bool:
    """Whether an affine map, shape (2, 3), is a change of view: no mirror, no extreme squeeze."""
    if found_map is None or np.linalg.det(found_map[:, :2]) <= 0:
        return False
    larger, smaller = np.linalg.svd(found_map[:, :2], compute_uv=False)
    return bool(larger / smaller <= MOST_SQUEEZED and 1 / MOST_SCALED <= smaller <= MOST_SCALED)


def _clusters(places: Floats, rows: Any) -> list[Any]:
    """Group rows whose places are near each other, directly or through others."""
    near = np.linalg.norm(places[rows][:, None] - places[rows][None], axis=2) <= GAP * SIDE_PX
    left, found = set(range(len(rows))), []
    while left:
        group, reached = set(), {left.pop()}
        while reached:
            group |= reached
            neighbours = near[list(reached)].any(0)
            reached = {at for at in left if neighbours[at]}
            left -= reached
        found.append(rows[sorted(group)])
    return found


def _box(places: Floats, pixels: RGB) -> Box:
    height, width = pixels.shape[:2]
    low = places.min(0) / (width, height) - MARGIN
    high = places.max(0) / (width, height) + MARGIN
    return Box(*(float(value) for value in np.clip(np.concatenate([low, high]), 0, 1)))
