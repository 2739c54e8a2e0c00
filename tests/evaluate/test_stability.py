"""The verdict on a loss: a line through its last epochs, against the noise about it."""

from __future__ import annotations

import numpy as np
import pytest

from satchel.evaluate.stability import loss_trends


def curves(losses: np.ndarray, **parts: np.ndarray) -> list[dict[str, float]]:
    return [
        {"epoch": at + 1, "loss": float(loss)}
        | {name: float(values[at]) for name, values in parts.items() if values[at] >= 0}
        for at, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("slope", "noise", "verdict"),
    [(0.0, 0.1, "stable"), (-0.3, 0.1, "falling"), (0.3, 0.1, "rising"), (-0.0005, 0.0, "stable")],
)
def test_the_slope_is_held_against_the_noise(slope: float, noise: float, verdict: str) -> None:
    rng = np.random.default_rng(2)
    losses = 5 + slope * np.arange(12) + noise * rng.standard_normal(12)
    (trend,) = loss_trends(curves(losses))
    assert trend.verdict == verdict
    assert trend.epochs == 5
    last = losses[-5:]
    expected = np.polyfit(np.arange(5), last, 1)[0]  # the same line by another road: covariance
    at = np.arange(5) - 2.0
    assert trend.slope == pytest.approx((at * last).sum() / (at**2).sum(), abs=1e-9)
    assert trend.slope == pytest.approx(expected)
    assert verdict in str(trend)


@pytest.mark.parametrize("lasts", [2, 6])
def test_a_part_that_begins_late_does_not_look_like_a_rise(lasts: int) -> None:
    late = np.array([-1.0] * 20 + [0.5] * lasts)
    losses = np.where(late >= 0, 3.0 + late, 3.0)
    trends = {one.name: one for one in loss_trends(curves(losses, loss_offsets=late))}
    assert trends["loss"].verdict == "stable"
    assert trends["loss"].level == pytest.approx(3.5 if lasts == 6 else 3.0)
    assert trends["loss_offsets"].verdict == ("stable" if lasts == 6 else "too few epochs")


def test_few_epochs_tell_nothing() -> None:
    (trend,) = loss_trends(curves(np.array([3.0, 1.0])))
    assert trend.verdict == "too few epochs"
    assert "too few" in str(trend)
    assert loss_trends([]) == []
    (alone,) = loss_trends(curves(np.array([3.0])))
    assert (alone.slope, alone.noise) == (0, 0)
