"""The gate of exports: a file is served if it agrees with the model that it was made from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from satchel.arrays import Bytes, Floats
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.onnx_model import open_session
from satchel.parallel import cores
from satchel.progress import SILENT, Progress

Kind = Literal["fp32", "fp16", "int8"]
KINDS: Final[tuple[Kind, ...]] = ("fp32", "fp16", "int8")

LEAST_COSINE: Final[dict[Kind, float]] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.97}
"""Least cosine of a photo's vector to the network's own, for 99 photos of 100."""

LEAST_OVERLAP: Final = 0.9
"""Least mean share of the five nearest other photos that agree with the network's own."""

TIMED_BATCH: Final = 8

AS_FAST: Final = 1.05
"""Files whose times differ by less than this factor count as equally fast."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One ONNX file and how it compares.

    Attributes:
        cosine: to the network's own vectors, that 99 photos of 100 reach.
        overlap: share of the five nearest other photos that are the same ones.
        ms_per_photo: of a forward pass on all cores, in batches of `TIMED_BATCH`; median.
        dimension: length of a vector.
    """

    kind: Kind
    model: bytes
    cosine: float
    overlap: float
    ms_per_photo: float
    dimension: int

    @property
    def agrees(self) -> bool:
        """Whether it may be served."""
        return self.cosine >= LEAST_COSINE[self.kind] and self.overlap >= LEAST_OVERLAP

    @property
    def parity(self) -> str:
        """The agreement in words, for a card."""
        return (
            f"{self.kind}: cosine ≥ {self.cosine:.4f} for 99 photos of 100, "
            f"{self.overlap:.1%} of the nearest five"
        )


def compare(
    kind: Kind, model: bytes, crops: Bytes, own: Floats, *, progress: Progress = SILENT
) -> Exported:
    """Hold an ONNX file against the network's own vectors of crops, shape (n, d)."""
    session = open_session(model, f"the {kind} file", threads=cores())
    batches = np.array_split(crops, max(1, len(crops) // TIMED_BATCH))
    vectors, times = [], []
    for batch in batches:
        began = time.perf_counter()
        vectors.append(session.run([OUTPUTS[0]], {INPUT: batch})[0])
        times.append((time.perf_counter() - began) / len(batch))
        progress.advance(len(batch))
    exported = np.concatenate(vectors)
    return Exported(
        kind,
        model,
        float(np.quantile((exported * own).sum(1), 0.01)),
        overlap(exported, own),
        1000 * float(np.median(times)),
        exported.shape[1],
    )


def overlap(found: Floats, own: Floats) -> float:
    """Mean share of each photo's five nearest others that both agree on."""
    k = min(5, len(own) - 1)
    nearest: list[Any] = []
    for vectors in (found, own):
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -2)
        nearest.append(np.argsort(-cosines, axis=1, kind="stable")[:, :k])
    pairs = zip(*nearest, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))


def best(exports: Sequence[Exported]) -> Exported | None:
    """The fastest file that agrees, of equally fast ones the smallest; None if none agrees."""
    agreeing = [one for one in exports if one.agrees]
    if not agreeing:
        return None
    least = min(one.ms_per_photo for one in agreeing)
    fast = [one for one in agreeing if one.ms_per_photo <= AS_FAST * least]
    return min(fast, key=lambda one: len(one.model))
