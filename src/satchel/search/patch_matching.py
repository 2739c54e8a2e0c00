"""Patch matching: compare local features of a query photo with those of candidates' photos.

A ranking by one vector per photo confuses near-identical products. So the first candidates are
compared patch by patch, by late interaction: each query patch takes its most similar patch of the
gallery photo, and these similarities are averaged (O. Khattab, M. Zaharia, "ColBERT", SIGIR 2020,
eq. 3). The worst ones are left out: a hand, the background, a reflection, a hidden side.

Patches are compared in a space fitted to the gallery: its first principal components, each divided
by its variance to the power `POWER`, since directions common to all photos distinguish nothing.
Measured in docs/decisions/0017-local-matching.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from satchel.arrays import Floats

Patches = npt.NDArray[np.int8]
"""Patch embeddings of one photo, shape (p, e): its patches with the most attention."""

DIRECTIONS: Final = 64
"""Principal components kept, at most."""

POWER: Final = 0.25
"""Power of the variance that a component is divided by; 0 gives plain cosines."""

PRIOR: Final = 0.1
"""Regularisation: this share of the components' mean variance is added to each variance."""

KEPT_SHARE: Final = 0.7
"""Share of a query's patches that count for a photo: those with the best match in it."""

MAX_SAMPLED_PHOTOS: Final = 2_000
"""Gallery photos that the space is fitted to, evenly sampled."""


class PatchReader(Protocol):
    """Reads patches of gallery photos: `Catalogue.patches` of the served encoder."""

    def __call__(self, photos: Sequence[str]) -> Sequence[bytes]:
        """Int8 values of each photo, by SHA-256; empty where there are none."""


@dataclass(frozen=True, slots=True)
class PatchSpace:
    """The linear map into the space where patches are compared.

    Attributes:
        centre: shape (d,), float32: the mean of the gallery's patches.
        axes: shape (d, k), float32; (0, 0) for an encoder without patch output.
    """

    centre: Floats
    axes: Floats

    @classmethod
    def none(cls) -> PatchSpace:
        """The space of an encoder without patch output."""
        return cls(np.zeros(0, np.float32), np.zeros((0, 0), np.float32))

    def __bool__(self) -> bool:
        return len(self.axes) > 0

    def __call__(self, patches: Patches) -> Floats:
        """Map patches, shape (…, d), int8, to shape (…, k), float32, each of length 1."""
        mapped = (patches.astype(np.float32) - self.centre) @ self.axes
        mapped /= np.linalg.norm(mapped, axis=-1, keepdims=True).clip(1e-6)
        features: Floats = mapped.astype(np.float32, copy=False)
        return features

    def read(self, stored: bytes) -> Patches:
        """Decode stored patches, shape (p, d); p = 0 where the length does not fit."""
        values = np.frombuffer(stored, np.int8)
        whole = len(values) % len(self.centre) == 0
        return values[: len(values) if whole else 0].reshape(-1, len(self.centre))


def fit_patch_space(patches: Patches) -> PatchSpace:
    """Fit the comparison space to a gallery.

    Args:
        patches: shape (m, d), int8, of its photos.
    """
    if len(patches) < 2:
        return PatchSpace.none()
    values = patches.astype(np.float32)
    centre = values.mean(0)
    values -= centre
    variances, axes = np.linalg.eigh(values.T @ values / len(values))
    variances, axes = variances[::-1][:DIRECTIONS], axes[:, ::-1][:, :DIRECTIONS]
    prior = PRIOR * variances.mean() + 1e-6
    axes = axes * (variances.clip(0) + prior) ** -POWER
    return PatchSpace(centre.astype(np.float32), np.ascontiguousarray(axes, np.float32))


@dataclass(frozen=True, slots=True)
class PatchMatcher:
    """Compares one item's photos with gallery photos, patch by patch.

    Attributes:
        queries: patches of each of the item's photos.
        read: reads patches of gallery photos.
    """

    queries: Sequence[Patches]
    read: PatchReader

    def scores(self, space: PatchSpace, photos: Sequence[Sequence[str]]) -> Floats:
        """Similarity of each query to n gallery photos; shape (queries, n), in [-1, 1].

        Args:
            photos: SHA-256 of n gallery photos for each query; one without patches scores 0.
        """
        wanted = list(dict.fromkeys(name for row in photos for name in row))
        stored = [space.read(data) for data in self.read(wanted)]
        starts = np.cumsum([0, *(len(values) for values in stored)])
        values = space(np.concatenate(stored)) if starts[-1] else np.zeros((0, 1), np.float32)
        mapped = {name: values[starts[i] : starts[i + 1]] for i, name in enumerate(wanted)}
        return np.stack(
            [
                patch_similarities(query, space, [mapped[name] for name in row])
                for query, row in zip(self.queries, photos, strict=True)
            ]
        )


def patch_similarities(query: Patches, space: PatchSpace, photos: Sequence[Floats]) -> Floats:
    """Mean similarity of a query's patches to their best matches in each gallery photo.

    The mean is over the share `KEPT_SHARE` of the query's patches with the best matches, one at
    least.

    Args:
        photos: mapped patches of each gallery photo, shape (p, k); p = 0 gives 0.

    Returns:
        shape (photos,), float32, in [-1, 1].
    """
    similarities = np.zeros(len(photos), np.float32)
    known = [i for i, patches in enumerate(photos) if len(patches)]
    if known:
        cosines = space(query) @ np.concatenate([photos[i] for i in known]).T
        starts = np.cumsum([0, *(len(photos[i]) for i in known)])[:-1]
        best = np.maximum.reduceat(cosines, starts, axis=1)
        dropped = len(query) - max(1, int(KEPT_SHARE * len(query)))
        similarities[known] = np.partition(best, dropped, axis=0)[dropped:].mean(0)
    return similarities
