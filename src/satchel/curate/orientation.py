"""How the copies of one picture lie to each other, and which of them are as a catalogue's are."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from satchel.arrays import Bools, Floats, Ints
from satchel.parallel import batched

NEAREST: Final = 3
"""Photos of the catalogue, the most similar ones, that say how common a picture's pose is."""

ROWS_AT_ONCE: Final = 256
"""Photos compared with all others at once, which bounds the memory."""


class Way(NamedTuple):
    """How a picture lies: mirrored or not, then turned clockwise by so many quarters."""

    turn: int
    flipped: bool

    def after(self, other: Way) -> Way:
        """Do `other`, then this."""
        turn = self.turn - other.turn if self.flipped else self.turn + other.turn
        return Way(turn % 4, self.flipped ^ other.flipped)

    def undone(self) -> Way:
        """What undoes this."""
        return Way(self.turn if self.flipped else -self.turn % 4, self.flipped)


AS_IT_IS: Final = Way(0, flipped=False)

Copies = Mapping[tuple[int, int], Way]
"""Pairs (a, b) of rows that are one picture → how `b` is turned to lie over `a`."""


def ways(rows: Sequence[int], copies: Copies) -> dict[int, Way]:
    """How each of some copies lies, compared with the first of them.

    Args:
        rows: of one group, which `copies` connect.

    Returns:
        how each row is turned to lie over the first; rows that lie the same way are equal.
    """
    near: dict[int, list[tuple[int, Way]]] = {row: [] for row in rows}
    for (a, b), way in copies.items():
        if a in near and b in near:
            near[a].append((b, way))
            near[b].append((a, way.undone()))
    found = {rows[0]: AS_IT_IS}
    queue = deque(rows[:1])
    while queue:
        row = queue.popleft()
        for other, way in near[row]:
            if other not in found:
                found[other] = found[row].after(way)
                queue.append(other)
    return {row: found.get(row, AS_IT_IS) for row in rows}


def familiarity(vectors: Floats, labels: Ints, rows: Sequence[int]) -> Floats:
    """How similar some photos are to those of the catalogue that are most like them.

    Photos of a catalogue are upright and well exposed, nearly all: a picture that lies on its side,
    or is too dark, is less like them than its copy that is as it should be.

    Args:
        vectors: shape (n, d), float32, of length 1: of all photos.
        labels: shape (n,), int64: equal for copies, which are not compared with each other.
        rows: of the photos.

    Returns:
        mean cosine to the `NEAREST` others, shape (len(rows),), float32; 0 where there are none.
    """
    means = [
        _mean_of_nearest(vectors[some] @ vectors.T, labels[some][:, None] == labels)
        for some in (np.array(batch, np.int64) for batch in batched(rows, ROWS_AT_ONCE))
    ]
    return np.concatenate(means) if means else np.zeros(0, np.float32)


def _mean_of_nearest(cosines: Floats, copies: Bools) -> Floats:
    cosines[copies] = -np.inf
    k = min(NEAREST, cosines.shape[1])
    nearest = np.partition(cosines, -k, axis=1)[:, -k:]
    known = np.isfinite(nearest)
    mean: Floats = np.where(known, nearest, 0).sum(1) / np.maximum(1, known.sum(1))
    return mean.astype(np.float32)
