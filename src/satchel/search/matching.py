"""Local matching: how much of a photo's parts a gallery picture has too.

A ranking by whole vectors takes twins for each other. So the candidates it finds are looked at
again, patch by patch: each patch of the photo that is asked with seeks its likest patch in the
candidate's picture, and the likenesses are averaged: the late interaction of O. Khattab,
M. Zaharia, "ColBERT", SIGIR 2020, eq. 3. What is found worst is left out: a hand, the ground, a
reflection, a side that the picture does not show.

Patches are compared in a space that the gallery itself decides on: its commonest directions, each
divided by its variance to the power `POWER`, for what is on every picture tells nothing apart.
Measured in docs/decisions/0017-local-matching.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Patches = npt.NDArray[np.int8]
"""Of one photo, shape (p, e): what the squares look like that the encoder looked at most."""

DIRECTIONS: Final = 64
"""That patches are compared in, at most."""

POWER: Final = 0.25
"""Of the variance that a direction is divided by; 0 would be plain cosines."""

PRIOR: Final = 0.1
"""Share of these directions' mean variance that is added to each: rare ones must not grow without
end."""

FOUND: Final = 0.7
"""Share of a photo's patches that count for a picture: those that are found there best."""

MOST_PICTURES: Final = 2_000
"""Pictures whose patches are learned from, evenly taken."""


class PatchReader(Protocol):
    """Reads gallery pictures' patches: `Catalogue.patches` of the encoder that is served."""

    def __call__(self, photos: Sequence[str]) -> Sequence[bytes]:
        """Bytes of int8 values of each picture, by SHA-256; empty where there are none."""


@dataclass(frozen=True, slots=True)
class PatchSpace:
    """Where patches are compared.

    Attributes:
        centre: shape (d,), float32: the mean of the gallery's patches.
        axes: shape (d, k), float32; (0, 0) stands for an encoder that gives no patches.
    """

    centre: Floats
    axes: Floats

    @classmethod
    def none(cls) -> PatchSpace:
        """Of an encoder that gives no patches."""
        return cls(np.zeros(0, np.float32), np.zeros((0, 0), np.float32))

    def __bool__(self) -> bool:
        return len(self.axes) > 0

    def __call__(self, patches: Patches) -> Floats:
        """Map patches, shape (…, d), int8, into it: shape (…, k), float32, each of length 1."""
        mapped = (patches.astype(np.float32) - self.centre) @ self.axes
        mapped /= np.linalg.norm(mapped, axis=-1, keepdims=True).clip(1e-6)
        found: Floats = mapped.astype(np.float32, copy=False)
        return found

    def read(self, stored: bytes) -> Patches:
        """Patches as the catalogue keeps them, shape (p, d); p = 0 where they are not of it."""
        values = np.frombuffer(stored, np.int8)
        whole = len(values) % len(self.centre) == 0
        return values[: len(values) if whole else 0].reshape(-1, len(self.centre))


def learn_space(patches: Patches) -> PatchSpace:
    """Learn where a gallery's patches are told apart best.

    Args:
        patches: shape (m, d), int8, of its pictures.
    """
    if len(patches) < 2:
        return PatchSpace.none()
    values = patches.astype(np.float32)
    centre = values.mean(0)
    values -= centre
    variances, axes = np.linalg.eigh(values.T @ values / len(values))
    variances, axes = variances[::-1][:DIRECTIONS], axes[:, ::-1][:, :DIRECTIONS]
    even = PRIOR * variances.mean() + 1e-6
    axes = axes * (variances.clip(0) + even) ** -POWER
    return PatchSpace(centre.astype(np.float32), np.ascontiguousarray(axes, np.float32))


@dataclass(frozen=True, slots=True)
class Matcher:
    """Compares one item's photos with pictures of the gallery.

    Attributes:
        asked: patches of each of the item's photos.
        read: gives those of the pictures.
    """

    asked: Sequence[Patches]
    read: PatchReader

    def scores(self, space: PatchSpace, pictures: Sequence[Sequence[str]]) -> Floats:
        """How much of each photo's patches its pictures have too; shape (photos, n), in [-1, 1].

        Args:
            pictures: for each of the item's photos, n pictures' SHA-256; 0 where one's patches
                are not known.
        """
        wanted = list(dict.fromkeys(name for row in pictures for name in row))
        stored = [space.read(data) for data in self.read(wanted)]
        starts = np.cumsum([0, *(len(values) for values in stored)])
        values = space(np.concatenate(stored)) if starts[-1] else np.zeros((0, 1), np.float32)
        mapped = {name: values[starts[at] : starts[at + 1]] for at, name in enumerate(wanted)}
        return np.stack(
            [
                explained(photo, space, [mapped[name] for name in row])
                for photo, row in zip(self.asked, pictures, strict=True)
            ]
        )


def explained(photo: Patches, space: PatchSpace, pictures: Sequence[Floats]) -> Floats:
    """Mean likeness of a photo's patches to the likest ones of each picture.

    Of each picture, the share `FOUND` of the photo's patches that are found best; one at least.

    Args:
        pictures: mapped patches of each, shape (p, k); p = 0 gives 0.

    Returns:
        shape (pictures,), float32, in [-1, 1].
    """
    found = np.zeros(len(pictures), np.float32)
    known = [at for at, patches in enumerate(pictures) if len(patches)]
    if known:
        cosines = space(photo) @ np.concatenate([pictures[at] for at in known]).T
        starts = np.cumsum([0, *(len(pictures[at]) for at in known)])[:-1]
        likest = np.maximum.reduceat(cosines, starts, axis=1)
        worst = len(photo) - max(1, int(FOUND * len(photo)))
        found[known] = np.partition(likest, worst, axis=0)[worst:].mean(0)
    return found
