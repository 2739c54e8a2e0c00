"""Telling whether one picture is a transformed copy of another, or only alike.

Copies are cropped, mirrored, turned a little, framed, stamped, brightened. Look-alikes show the
same model in the same pose in a garment of another colour, or the next apple. So two things must
hold: one similarity transform lays one picture over the other, and where they then overlap the
pixels say the same. The second is what tells a colour variant from a copy; neither a perceptual
hash nor an embedding does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.curate.rules import DuplicateThresholds
from satchel.images import RGB

Floats = npt.NDArray[np.float32]

FEATURE_SIDE_PX: Final = 320
"""Long side that keypoints are found at: copies come in all sizes, so all are brought to one."""

COMPARED_SIDE_PX: Final = 160
"""Long side that pixels are compared at: small enough that half a pixel of misalignment does not
look like a difference, large enough for a recoloured waistband to be seen."""

CHANGE_LEVELS: Final = 22.0
"""Levels of 255 by which a pixel counts as changed."""

HUE_LEVELS: Final = 14.0
"""Levels of 255 by which a pixel counts as recoloured."""

FEWEST_INLIERS: Final = 8
"""Keypoints that agree below which a transform is not worth looking at."""

_MAX_FEATURES: Final = 400
_RATIO: Final = 0.85  # Lowe's is 0.8; the pixels decide afterwards, so more may come through
_REPROJECTION_PX: Final = 3.0
_STROKE_PX: Final = 5  # at COMPARED_SIDE_PX; what is thinner is text or an edge, not a surface
_DARK, _BRIGHT = 6.0, 249.0  # beyond these, what a channel was is lost by clipping
_MAX_TURN_DEG: Final = 6.0


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """What a picture is compared by, made once for all its comparisons.

    Attributes:
        pixels: shape (h, w, 3), uint8, the longer side `COMPARED_SIDE_PX`.
        points: shape (n, 2), float32: keypoints, x and y in pixels of `pixels`.
        descriptors: shape (n, 128), float32, of length 1.
    """

    pixels: RGB
    points: Floats
    descriptors: Floats


@dataclass(frozen=True, slots=True)
class Overlay:
    """One way of laying one picture over another, and what is seen where they overlap.

    Attributes:
        flipped: it is mirrored.
        inliers: keypoints that the transform explains; 0 where the picture is laid as it is.
        overlap, correlation, colour_difference, changed, recoloured: as in `DuplicateThresholds`.
    """

    flipped: bool
    inliers: int
    overlap: float
    correlation: float
    colour_difference: float
    changed: float
    recoloured: float

    def fits(self, limits: DuplicateThresholds) -> bool:
        """Whether the two pictures are one, laid like this."""
        return (
            (self.inliers == 0 or self.inliers >= limits.min_inliers)
            and self.overlap >= limits.min_overlap
            and self.correlation >= limits.min_correlation
            and self.colour_difference <= limits.max_colour_difference
            and self.changed <= limits.max_changed
            and self.recoloured <= limits.max_recoloured
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two pictures showed, kept so that other thresholds need no pixels.

    Attributes:
        overlays: the ways that were tried, the cheapest first.
        complete: whether every way was; trying ends with the first that fits.
    """

    overlays: tuple[Overlay, ...]
    complete: bool

    def same(self, limits: DuplicateThresholds) -> bool | None:
        """Whether one is a transformed copy of the other; None where it must be compared again."""
        if any(overlay.fits(limits) for overlay in self.overlays):
            return True
        return False if self.complete else None

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        return {"overlays": [astuple(o) for o in self.overlays], "complete": self.complete}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Comparison:
        """Make it again from what `as_json` gave."""
        return cls(tuple(Overlay(*figures) for figures in kept["overlays"]), kept["complete"])


def same_picture(a: RGB, b: RGB, thresholds: DuplicateThresholds | None = None) -> bool:
    """Say whether one picture is a transformed copy of the other.

    Args:
        a, b: shape (height, width, 3), uint8.
    """
    limits = thresholds or DuplicateThresholds()
    return bool(compare(describe(a), describe(b), limits).same(limits))


def describe(pixels: RGB) -> PictureFeatures:
    """Find what a picture is compared by: RootSIFT keypoints and a small copy.

    Source: D. Lowe, Distinctive Image Features from Scale-Invariant Keypoints (2004);
    R. Arandjelović and A. Zisserman, Three things everyone should know (2012), for the root.

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    large = _with_long_side(pixels, FEATURE_SIDE_PX)
    sift = cv2.SIFT.create(nfeatures=_MAX_FEATURES, contrastThreshold=0.02)
    found, raw = sift.detectAndCompute(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY), None)
    small = _with_long_side(large, COMPARED_SIDE_PX)
    if not found:
        return PictureFeatures(small, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    # Pixel centres: x in the large picture is at (x + ½) · scale − ½ in the small one.
    scale = np.array(small.shape[1::-1]) / np.array(large.shape[1::-1])
    points = (np.array([point.pt for point in found]) + 0.5) * scale - 0.5
    shares = raw / np.maximum(raw.sum(1, keepdims=True), 1e-6)
    return PictureFeatures(small, points.astype(np.float32), np.sqrt(shares).astype(np.float32))


def mirrored(features: PictureFeatures) -> PictureFeatures:
    """Return the features of a picture's mirror image, without looking at it again.

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
    """Find out whether one picture is a transformed copy of the other.

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
    """Ways of laying `b` over `a`, the cheapest first."""
    ways = ((b, False), (mirrored(b), True))
    for way, flipped in ways:
        stretch = _stretch(a.pixels, way.pixels)
        yield _laid(a.pixels, way.pixels, stretch, flipped=flipped, inliers=0)
    for way, flipped in ways:
        matrix, inliers = _similarity(a, way)
        if matrix is not None and inliers >= FEWEST_INLIERS:
            yield _laid(a.pixels, way.pixels, matrix, flipped=flipped, inliers=inliers)


# -- laying one over the other -----------------------------------------------------------------


def _stretch(a: RGB, b: RGB) -> Floats:
    """The transform that lays all of `b` over all of `a`; shape (2, 3)."""
    x, y = (a.shape[axis] / b.shape[axis] for axis in (1, 0))
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]], np.float32)


def _similarity(a: PictureFeatures, b: PictureFeatures) -> tuple[Floats | None, int]:
    """The similarity transform from `b` to `a` that most keypoints agree on, and their number."""
    rows, columns = _matched(a.descriptors, b.descriptors)
    if len(rows) < 4:
        return None, 0
    matrix, inside = cv2.estimateAffinePartial2D(
        b.points[columns],
        a.points[rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REPROJECTION_PX * COMPARED_SIDE_PX / FEATURE_SIDE_PX,
        maxIters=1000,
    )
    if matrix is None:
        return None, 0
    return matrix.astype(np.float32), int(inside.sum())


def _matched(a: Floats, b: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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


def _laid(a: RGB, b: RGB, b_to_a: Floats, *, flipped: bool, inliers: int) -> Overlay:
    height, width = a.shape[:2]
    laid: RGB = cv2.warpAffine(b, b_to_a, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )
    ones = np.ones(b.shape[:2], np.uint8)
    covered: npt.NDArray[np.uint8] = cv2.warpAffine(
        ones, b_to_a, (width, height), flags=cv2.INTER_NEAREST
    ).astype(np.uint8, copy=False)
    area_b = b.shape[0] * b.shape[1] * abs(float(np.linalg.det(b_to_a[:, :2])))
    overlap = float(covered.sum()) / max(1.0, min(a.shape[0] * a.shape[1], area_b))
    inside = _without_rim(covered, b_to_a)
    if inside.sum() < 0.05 * inside.size:
        return Overlay(flipped, inliers, overlap, 0.0, 255.0, 1.0, 1.0)
    seen, other = _softened(a), _softened(laid)
    difference, hue = _differences(seen, other, inside)
    return Overlay(
        flipped,
        inliers,
        overlap,
        _correlation(seen[inside], other[inside]),
        float(difference[inside].mean()),
        _changed_share(difference, inside, CHANGE_LEVELS),
        _changed_share(hue, inside, HUE_LEVELS),
    )


def _without_rim(covered: npt.NDArray[np.uint8], b_to_a: Floats) -> npt.NDArray[np.bool_]:
    """The overlap less a rim: a pixel or two, and the wedges that turning a picture filled in."""
    turn = min(abs(np.arctan2(b_to_a[1, 0], b_to_a[0, 0])), np.radians(_MAX_TURN_DEG))
    rim = 2 + round(float(np.sin(turn)) * max(covered.shape) / 2)
    framed = cv2.copyMakeBorder(covered, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8))
    return eroded[1:-1, 1:-1].astype(bool)


def _softened(pixels: RGB) -> Floats:
    """Blurred a little, so that recompression and half a pixel do not count; float32."""
    return cv2.GaussianBlur(pixels, (5, 5), 1.2).astype(np.float32)


def _differences(a: Floats, b: Floats, inside: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """How far colours, and hues alone, are apart when brightness is made equal; levels of 255.

    One gain and one offset for all channels: a picture made brighter is explained by them, a
    garment dyed another colour is not. Where a channel is clipped in one picture, it only has to
    be as far out in the other as the gain allows.
    """
    gain, offset = _brightness(a[inside], b[inside])
    told = gain * b + offset
    low = np.where(b <= _DARK, -np.inf, np.minimum(told, _BRIGHT))
    high = np.where(b >= _BRIGHT, np.inf, np.maximum(told, _DARK))
    # a itself may be clipped: then whatever is further out is the same to it.
    upper = np.where(a >= _BRIGHT, np.inf, a)
    lower = np.where(a <= _DARK, -np.inf, a)
    above, below = np.maximum(low - upper, 0), np.maximum(lower - high, 0)
    signed = above - below
    hue = signed.max(2) - signed.min(2)
    # Ink takes colour away in proportion; only a hue that turns, or appears, is a recolouring.
    return np.abs(signed).max(2).astype(np.float32), _turned(a, told, hue)


def _turned(a: Floats, b: Floats, hue: Floats) -> Floats:
    """`hue` where the colours of `a` and `b` do not lie in one direction from grey, else 0."""
    u, v = a - a.mean(2, keepdims=True), b - b.mean(2, keepdims=True)
    length_u, length_v = np.linalg.norm(u, axis=2), np.linalg.norm(v, axis=2)
    alike = (u * v).sum(2) > 0.9 * length_u * length_v
    turned: Floats = np.where(alike, 0, hue).astype(np.float32)
    return turned


def _brightness(a: Floats, b: Floats) -> tuple[float, float]:
    """Gain and offset that take most of `b` to `a`; both shape (n, 3).

    Least squares, twice over the half that fits best: a minority that changed has no say.
    """
    usable = ((a > _DARK) & (a < _BRIGHT) & (b > _DARK) & (b < _BRIGHT)).all(1)
    x, y = b[usable].mean(1), a[usable].mean(1)
    gain, offset = 1.0, float(np.median(y - x)) if len(x) else 0.0
    for _ in range(3):
        if len(x) < 50:
            break
        gain, offset = _line(x, y)
        error = np.abs(gain * x + offset - y)
        kept = error <= np.quantile(error, 0.7)
        x, y = x[kept], y[kept]
    return gain, offset


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Least squares through (x, y), shape (n,), held to gains that pictures are edited by."""
    variance = float(x.var())
    slope = float(((x - x.mean()) * (y - y.mean())).mean()) / variance if variance > 20 else 1.0
    gain = min(max(slope, 0.5), 2.0)
    return gain, float(y.mean() - gain * x.mean())


def _correlation(a: Floats, b: Floats) -> float:
    """Of brightness, both shape (n, 3); in [-1, 1]."""
    x, y = a.mean(1), b.mean(1)
    spread = float(x.std() * y.std())
    if spread < 1:
        return 1.0 if abs(float(x.std() - y.std())) < 1 else 0.0  # nothing to correlate
    return float(((x - x.mean()) * (y - y.mean())).mean()) / spread


def _changed_share(difference: Floats, inside: npt.NDArray[np.bool_], levels: float) -> float:
    """Share of the overlap that surfaces of changed pixels cover; strokes and edges left out."""
    changed = ((difference > levels) & inside).astype(np.uint8)
    surfaces: npt.NDArray[Any] = cv2.morphologyEx(
        changed, cv2.MORPH_OPEN, np.ones((_STROKE_PX, _STROKE_PX), np.uint8)
    )
    return float(surfaces.sum()) / float(inside.sum())


def _with_long_side(pixels: RGB, side_px: int) -> RGB:
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized: RGB = cv2.resize(pixels, size, interpolation=method).astype(np.uint8, copy=False)
    return resized
