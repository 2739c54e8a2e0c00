"""Whether a training loss has settled: its slope over the last epochs against its noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

LEAST_EPOCHS: Final = 5
WINDOW: Final = 0.25
"""Share of the epochs, from the end, that count; `LEAST_EPOCHS` at least."""

NOISE_FACTOR: Final = 2.0
NEGLIGIBLE: Final = 0.01
"""A change over the window of less than this share of the loss is none, however quiet it is."""

Verdict = Literal["stable", "falling", "rising", "too few epochs"]


@dataclass(frozen=True, slots=True)
class Trend:
    """A loss over the last epochs, fitted by a straight line.

    Attributes:
        epochs: how many.
        level: mean loss.
        slope: of the line, a change for each epoch.
        noise: standard deviation of the losses about the line.
    """

    name: str
    epochs: int
    level: float
    slope: float
    noise: float

    @property
    def change(self) -> float:
        """What the line changes by over all epochs."""
        return self.slope * (self.epochs - 1)

    @property
    def verdict(self) -> Verdict:
        """Stable where the line changes by no more than twice the noise, or by next to nothing."""
        if self.epochs < LEAST_EPOCHS:
            return "too few epochs"
        if abs(self.change) <= max(NOISE_FACTOR * self.noise, NEGLIGIBLE * abs(self.level)):
            return "stable"
        return "falling" if self.slope < 0 else "rising"

    def __str__(self) -> str:
        if self.epochs < LEAST_EPOCHS:
            return f"{self.name}: too few epochs to tell ({self.epochs})"
        return (
            f"{self.name} is {self.verdict}: {self.change:+.3g} over the last {self.epochs} "
            f"epochs, noise {self.noise:.2g}, level {self.level:.3g}"
        )


def loss_trends(curves: Sequence[Mapping[str, float]]) -> list[Trend]:
    """The trend of the loss, then of each of its parts.

    A part that begins late, as that of box offsets does, raises the loss when it does. So the loss
    is summed without parts that begin inside the window.

    Args:
        curves: figures by epoch; `loss` and `loss_…` of each are read.
    """
    rows = curves[-max(LEAST_EPOCHS, round(WINDOW * len(curves))) :]
    if not rows or any("loss" not in row for row in rows):
        return []
    parts = [name for name in rows[-1] if name.startswith("loss_")]
    late = [name for name in parts if any(name not in row for row in rows)]
    totals = [row["loss"] - sum(row.get(name, 0.0) for name in late) for row in rows]
    return [
        _trend("loss", totals),
        *(_trend(name, [row[name] for row in rows if name in row]) for name in parts),
    ]


def _trend(name: str, losses: Sequence[float]) -> Trend:
    values = np.asarray(losses, np.float64)
    epochs = np.arange(len(values))
    slope = start = 0.0
    if len(values) > 1:
        slope, start = (float(v) for v in np.polyfit(epochs, values, 1))
        noise = float((values - (start + slope * epochs)).std(ddof=min(2, len(values) - 1)))
    else:
        noise = 0.0
    return Trend(name, len(values), float(values.mean()), slope, noise)
