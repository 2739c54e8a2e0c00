"""Copy detection: whether one photo is a transformed copy of another, or only similar.

Copies are cropped, mirrored, turned a little, framed, stamped, brightened. Look-alikes show the
same model in the same pose in a garment of another colour, or the next apple. So two things must
hold: one similarity transform lays one picture over the other, and where they then overlap the
pixels agree. The second condition separates a colour variant from a copy; neither a perceptual
hash nor an embedding does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any, Final

import cv2
import numpy as np

from satchel.arrays import Bools, Bytes, Floats, Ints
from satchel.curate.pixel_difference import correlation, differences, fit_brightness, grey
from satchel.curate.rules import DuplicateThresholds
from satchel.images import RGB

SIDE_PX: Final = 240
"""Long side that photos are compared at, keypoints and pixels: copies come in all sizes, so all
are brought to one. Of recoloured strings of 3 px in 500, 0.38 are missed at 160, 0.20 at
240, 0.12 at 320, which is 1.8 times as many pixels (decision 7)."""


FEWEST_INLIERS: Final = 8
"""Least matching keypoints to try a transform."""

LEAST_CORRELATION: Final = 0.5
"""Correlation of brightness below which two overlaid photos are not compared further."""

LEAST_COARSE_CORRELATION: Final = 0.3
"""The same on a grid of 16 × 16 cells, as a cheap first test: lower."""

_MAX_FEATURES: Final = 400
_RATIO: Final = 0.85  # Lowe's is 0.8; the pixels decide afterwards, so more may come through
_REPROJECTION_PX: Final = 2.25
_MAX_TURN_DEG: Final = 6.0


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """Local features of a photo, computed once for all its comparisons.

    Attributes:
        pixels: shape (h, w, 3), uint8, the longer side at most `SIDE_PX`: nothing is enlarged.
        points: shape (n, 2), float32: keypoints, x and y in pixels of `pixels`.
        descriptors: shape (n, 128), float32, of length 1.
    """

    pixels: RGB
    points: Floats
    descriptors: Floats


@dataclass(frozen=True, slots=True)
class Overlay:
    """One way of laying one photo over another, and the figures of their overlap.

    Attributes:
        flipped: it is mirrored.
        inliers: keypoints that the transform explains; 0 where the picture is laid as it is.
        overlap, correlation, difference, marked, turned: as in `DuplicateThresholds`.
        turn: by how many quarters the second photo, mirrored before if `flipped`, is turned
            clockwise to lie over the first, in 0 … 3.
    """

    flipped: bool
    inliers: int
    overlap: float
    correlation: float
    difference: float
    marked: float
    turned: float
    turn: int = 0

    def fits(self, limits: DuplicateThresholds) -> bool:
        """Whether the two photos are copies, overlaid like this."""
        return (
            (self.inliers == 0 or self.inliers >= limits.min_inliers)
            and self.overlap >= limits.min_overlap
            and self.correlation >= limits.min_correlation
            and (self.difference <= limits.max_difference or self._stamped(limits))
        )

    def _stamped(self, limits: DuplicateThresholds) -> bool:
        """Whether all that differs may be grey ink: it covers little and turns no hue."""
        return self.marked <= limits.max_marked and self.turned <= limits.max_turned


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of comparing two photos, stored so that other thresholds need no pixels.

    Attributes:
        overlays: the ways that were tried, the cheapest first.
        complete: whether every way was; trying ends with the first that fits.
    """

    overlays: tuple[Overlay, ...]
    complete: bool

    def same(self, limits: DuplicateThresholds) -> bool | None:
        """Whether one is a transformed copy of the other; None where it must be compared again."""
        if self.fitting(limits) is not None:
            return True
        return False if self.complete else None

    def fitting(self, limits: DuplicateThresholds) -> Overlay | None:
        """The first way in which the photos are copies, if any."""
        return next((overlay for overlay in self.overlays if overlay.fits(limits)), None)

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        return {"overlays": [astuple(o) for o in self.overlays], "complete": self.complete}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Comparison:
        """Parse what `as_json` returned."""
        return cls(tuple(Overlay(*figures) for figures in kept["overlays"]), kept["complete"])


def describe(pixels: RGB) -> PictureFeatures:
    """Compute what a photo is compared by: RootSIFT keypoints and a small copy.

    Source: D. Lowe, Distinctive Image Features from Scale-Invariant Keypoints (2004);
    R. Arandjelović and A. Zisserman, Three things everyone should know (2012), for the root.

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    large = _with_long_side(pixels, SIDE_PX)
    small = large if max(pixels.shape[:2]) >= SIDE_PX else pixels
    # Without enable_precise_upscale, keypoints lie a quarter of a pixel too far right and down.
    sift = cv2.SIFT.create(
        nfeatures=_MAX_FEATURES, contrastThreshold=0.02, enable_precise_upscale=True
    )
    found, raw = sift.detectAndCompute(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY), None)
    if not found:
        return PictureFeatures(small, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    # Pixel centres: x in the large picture is at (x + ½) · scale − ½ in the small one.
    scale = np.array(small.shape[1::-1]) / np.array(large.shape[1::-1])
    points = (np.array([point.pt for point in found]) + 0.5) * scale - 0.5
    shares = raw / np.maximum(raw.sum(1, keepdims=True), 1e-6)
    return PictureFeatures(small, points.astype(np.float32), np.sqrt(shares).astype(np.float32))


def mirrored(features: PictureFeatures) -> PictureFeatures:
    """Return the features of a photo's mirror image, without detecting them again.

    A descriptor is 4 × 4 places × 8 directions in the keypoint's own frame. Mirroring reverses
    the places across the keypoint's direction and the sign of every angle.
    """
    bins = features.descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
    turned = bins[..., (-np.arange(8)) % 8]
    points = features.points * (-1, 1) + (features.pixels.shape[1] - 1, 0)
    return PictureFeatures(
        np.ascontiguousarray(features.pixels[:, ::-1]),
        points.astype(np.float32),
        np.ascontiguousarray(turned).reshape(-1, 128),
    )


def compare(
    a: PictureFeatures, b: PictureFeatures, thresholds: DuplicateThresholds | None = None
) -> Comparison:
    """Determine whether one photo is a transformed copy of the other.

    Args:
        thresholds: by which a way fits, so that no further one is tried.
    """
    limits = thresholds or DuplicateThresholds()
    tried: list[Overlay] = []
    for overlay in _overlays(a, b):
        tried.append(overlay)
        if overlay.fits(limits):
            return Comparison(tuple(tried), complete=False)
    return Comparison(tuple(tried), complete=True)


def _overlays(a: PictureFeatures, b: PictureFeatures) -> Iterator[Overlay]:
    """Yield the ways of laying `b` over `a` that are worth comparing, the cheapest first."""
    stretch = _stretch(a.pixels, b.pixels)
    tried = set()
    for flipped in (False, True):
        pixels: RGB = np.ascontiguousarray(b.pixels[:, ::-1]) if flipped else b.pixels
        if _coarse_correlation(a.pixels, pixels) < LEAST_COARSE_CORRELATION:
            continue
        for overlay in _laid(a.pixels, pixels, stretch, flipped=flipped, inliers=0):
            tried.add(flipped)
            yield overlay
    for flipped in (False, True):
        way = mirrored(b) if flipped else b
        matrix, inliers = _similarity(a, way)
        if matrix is None or inliers < FEWEST_INLIERS:
            continue
        if flipped in tried and _lays_alike(matrix, stretch, b.pixels):
            continue  # tried already: this separates look-alikes in one pose cheaply
        yield from _laid(a.pixels, way.pixels, matrix, flipped=flipped, inliers=inliers)


# -- laying one over the other -----------------------------------------------------------------


def _stretch(a: RGB, b: RGB) -> Floats:
    """The transform that lays all of `b` over all of `a`; shape (2, 3)."""
    return _scaling(a.shape[1] / b.shape[1], a.shape[0] / b.shape[0])


def _coarse_correlation(a: RGB, b: RGB) -> float:
    """Correlation of brightness on a 16 × 16 grid, when all of `b` is laid over all of `a`."""
    x, y = (cv2.resize(p, (16, 16), interpolation=cv2.INTER_AREA) for p in (a, b))
    return correlation(grey(x.astype(np.uint8)).ravel(), grey(y.astype(np.uint8)).ravel())


def _lays_alike(first: Floats, second: Floats, pixels: RGB) -> bool:
    """Whether two transforms take every corner of a picture to one place, to half a pixel."""
    height, width = pixels.shape[:2]
    corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)], np.float32)
    apart = np.linalg.norm(corners @ (first - second).T, axis=1)
    return float(apart.max()) < 0.5


def _similarity(a: PictureFeatures, b: PictureFeatures) -> tuple[Floats | None, int]:
    """The similarity transform from `b` to `a` that most keypoints agree on, and their number."""
    rows, columns = _matched(a.descriptors, b.descriptors)
    if len(rows) < 4:
        return None, 0
    matrix, inside = cv2.estimateAffinePartial2D(
        b.points[columns],
        a.points[rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REPROJECTION_PX,
        maxIters=1000,
    )
    if matrix is None:
        return None, 0
    return matrix.astype(np.float32), int(inside.sum())


def _matched(a: Floats, b: Floats) -> tuple[Ints, Ints]:
    """Rows of `a` and `b` that are each other's nearest, and clearly nearer than the second."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cosines = a @ b.T
    two = np.partition(cosines, -2, axis=1)[:, -2:]
    squared = np.maximum(2 - 2 * two, 0)
    nearest = cosines.argmax(1)
    mutual = cosines.argmax(0)[nearest] == np.arange(len(a))
    rows = np.flatnonzero(mutual & (squared[:, 1] < _RATIO**2 * squared[:, 0]))
    return rows, nearest[rows]


# -- comparing what overlaps -------------------------------------------------------------------


def _laid(a: RGB, b: RGB, b_to_a: Floats, *, flipped: bool, inliers: int) -> Iterator[Overlay]:
    """Yield the figures of `b` laid over `a`, unless the two hardly overlap or correlate."""
    a, b, b_to_a = _at_one_scale(a, b, b_to_a)
    (height, width), (height_b, width_b) = a.shape[:2], b.shape[:2]
    ones = np.ones((height_b, width_b), np.uint8)
    covered: Bytes = cv2.warpAffine(ones, b_to_a, (width, height), flags=cv2.INTER_NEAREST).astype(
        np.uint8, copy=False
    )
    area_b = height_b * width_b * _enlargement(b_to_a) ** 2
    overlap = float(covered.sum()) / max(1.0, min(height * width, area_b))
    inside = _without_rim(covered, b_to_a)
    if inside[::2, ::2].mean() < 0.05:
        return
    laid: RGB = cv2.warpAffine(b, b_to_a, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )
    coarse = inside[::3, ::3]  # every ninth pixel is enough for three numbers of all of them
    x, y = (grey(pixels[::3, ::3])[coarse] for pixels in (a, laid))
    correlated = correlation(x, y)
    if correlated < LEAST_CORRELATION:
        return
    figures = differences(a, laid, inside, *fit_brightness(x, y))
    yield Overlay(flipped, inliers, overlap, correlated, *figures, turn=_quarters(b_to_a))


def _at_one_scale(a: RGB, b: RGB, b_to_a: Floats) -> tuple[RGB, RGB, Floats]:
    """Shrink the photo with the larger scale: enlarging the other would blur it."""
    scale = _enlargement(b_to_a)
    if scale > 1:
        shrunk, scales = _shrunk(a, 1 / scale)
        return shrunk, b, _composed(_scaling(*scales), b_to_a)
    shrunk, (x, y) = _shrunk(b, scale)
    return a, shrunk, _composed(b_to_a, _scaling(1 / x, 1 / y))


def _shrunk(pixels: RGB, scale: float) -> tuple[RGB, tuple[float, float]]:
    """A picture made smaller, and by how much it was across and down, after rounding."""
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smaller: RGB = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(
        np.uint8, copy=False
    )
    return smaller, (size[0] / width, size[1] / height)


def _scaling(x: float, y: float) -> Floats:
    """The transform that scales by `x` and `y`, pixel centres to pixel centres; shape (2, 3)."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]], np.float32)


def _composed(outer: Floats, inner: Floats) -> Floats:
    """`inner`, then `outer`; all of shape (2, 3)."""
    both: Floats = outer @ np.vstack([inner, np.array([[0, 0, 1]], np.float32)])
    return both


def _enlargement(matrix: Floats) -> float:
    """By how much a transform makes lengths larger."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def _quarters(matrix: Floats) -> int:
    """By how many quarters a similarity turns clockwise, in an image's axes: y downwards."""
    return round(float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) / 90) % 4


def _without_rim(covered: Bytes, b_to_a: Floats) -> Bools:
    """The overlap less a rim: a pixel or two, and the wedges that turning a picture filled in."""
    turn = min(abs(np.arctan2(b_to_a[1, 0], b_to_a[0, 0])), np.radians(_MAX_TURN_DEG))
    rim = 3 + round(float(np.sin(turn)) * max(covered.shape) / 2)
    framed = cv2.copyMakeBorder(covered, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8))
    return eroded[1:-1, 1:-1].astype(bool)


def _with_long_side(pixels: RGB, side_px: int) -> RGB:
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized: RGB = cv2.resize(pixels, size, interpolation=method).astype(np.uint8, copy=False)
    return resized
