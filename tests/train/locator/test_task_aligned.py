"""Task-aligned assignment and its losses against naive ones, written cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.train.locator.lite0 import Lite0Detector, MainPredictions
from satchel.train.locator.overlap import generalised_iou
from satchel.train.locator.task_aligned import CELLS, TaskAlignedObjective, align

SIDE, STRIDE = 64, 8


def cells() -> np.ndarray:
    y, x = np.mgrid[: SIDE // STRIDE, : SIDE // STRIDE]
    return (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * STRIDE


def naive_iou(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """IoU, and generalised IoU."""

    def area(x0: float, y0: float, x1: float, y1: float) -> float:
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)

    shared = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    union = area(*a) + area(*b) - shared
    hull = area(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return shared / union, shared / union - (hull - union) / hull


def naive_quality(
    boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray, labels: np.ndarray
) -> dict[int, tuple[int, float]]:
    """Cell → its box and quality, for the cells of one photo that learn one."""
    centres = cells()
    chosen: dict[int, list[tuple[int, float, float]]] = {}
    for b, box in enumerate(truth):
        if labels[b] < 0:
            continue
        inside = [
            c for c, (x, y) in enumerate(centres) if box[0] < x < box[2] and box[1] < y < box[3]
        ]
        rows = []
        for c in inside:
            iou = naive_iou(boxes[c], box)[0]
            rows.append((math.sqrt(max(1e-4, scores[c, labels[b]])) * iou**4, c, iou))
        for alignment, c, iou in sorted(rows, reverse=True)[:CELLS]:
            chosen.setdefault(c, []).append((b, alignment, iou))
    kept = {c: max(found, key=lambda one: one[2]) for c, found in chosen.items()}
    quality = {}
    for c, (b, alignment, _) in kept.items():
        own = [one for one in kept.values() if one[0] == b]
        best_iou, best = max(iou for *_, iou in own), max(value for _, value, _ in own)
        quality[c] = b, alignment / best * best_iou
    return quality


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predicted boxes near the cells, scores, true boxes, labels; the last is none."""
    rng = np.random.default_rng(seed)
    centres = cells()
    reach = rng.uniform(6, 30, (len(centres), 4))
    boxes = np.hstack([centres - reach[:, :2], centres + reach[:, 2:]])
    scores = rng.uniform(0, 1, (len(centres), 3))
    low = rng.uniform(0, 30, (4, 2))
    truth = np.hstack([low, low + rng.uniform(12, 34, (4, 2))])
    return boxes, scores, truth, np.array([*rng.integers(0, 3, 3), -1])


@pytest.mark.parametrize("seed", range(4))
def test_alignment_is_that_of_plain_loops(seed: int) -> None:
    scenes = [scene(2 * seed), scene(2 * seed + 1)]
    boxes, scores, truth, labels = (
        torch.from_numpy(np.stack(part)) for part in zip(*scenes, strict=True)
    )
    found = align(boxes, scores, torch.from_numpy(cells()), truth, labels)
    for at, one in enumerate(scenes):
        wanted = naive_quality(*one)
        learned = {int(c) for c in found.quality[at].nonzero()[:, 0]}
        assert learned == {c for c, (_, quality) in wanted.items() if quality > 0}
        for c in learned:
            place, quality = wanted[c]
            assert found.places[at, c] == place
            assert found.quality[at, c].item() == pytest.approx(quality, rel=1e-3, abs=1e-5)


def test_overlaps_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 10, (12, 2))
    boxes = np.hstack([low, low + rng.uniform(1, 6, (12, 2))])
    found = generalised_iou(torch.from_numpy(boxes[:, None]), torch.from_numpy(boxes[None]))
    for a in range(12):
        for b in range(12):
            wanted = naive_iou(boxes[a], boxes[b])
            assert [part[a, b].item() for part in found] == pytest.approx(wanted, abs=1e-5)


def predictions(truth: np.ndarray, label: int) -> MainPredictions:
    """Every cell predicts the one true box and is sure of its class."""
    centres = torch.from_numpy(cells()).float()
    box = torch.from_numpy(truth).float()
    distances = torch.cat((centres - box[:2], box[2:] - centres), 1)[None]
    classes = torch.full((1, len(centres), 3), -20.0)
    classes[..., label] = 20.0
    return MainPredictions(distances, classes, torch.zeros(1, len(centres)), centres)


def test_perfect_predictions_cost_what_negatives_cost() -> None:
    box = np.array([8.0, 8.0, 40.0, 32.0])
    found = predictions(box, 1)
    truth = torch.from_numpy(box).float()[None, None]
    objective = TaskAlignedObjective([1.0, 1.0, 1.0])
    parts = objective(found, truth, torch.tensor([[1]]), False, torch.tensor([0]))
    assert parts["box"].item() == pytest.approx(0, abs=1e-5)
    # All 64 cells say the class; ten of them learn it, each with quality 1.
    assert parts["class"].item() == pytest.approx((64 - 10) * 0.75 * 20 / 10, rel=1e-3)
    # The softmax is even, so its cross entropy is ln 64; this part counts half.
    assert parts["main"].item() == pytest.approx(0.5 * math.log(64), rel=1e-4)
    none = objective(found, truth, torch.tensor([[1]]), False, torch.tensor([-1]))
    assert none["main"].item() == 0


def test_a_class_counts_by_its_weight() -> None:
    box = np.array([8.0, 8.0, 40.0, 32.0])
    found = predictions(box, 0)  # of another class, so that positives cost 20 each
    truth = torch.from_numpy(box).float()[None, None]
    losses = [
        TaskAlignedObjective([1.0, weight, 1.0])(
            found, truth, torch.tensor([[1]]), False, torch.tensor([0])
        )["class"].item()
        for weight in (1.0, 3.0)
    ]
    assert losses[1] - losses[0] == pytest.approx(2 * 20, rel=1e-3)


def test_a_photo_without_boxes_teaches_that_nothing_is_there() -> None:
    network = Lite0Detector(2)
    found = network(torch.rand(2, 3, 64, 64) * 255)
    none = torch.full((2,), -1)
    parts = TaskAlignedObjective([1.0, 2.0])(
        found, torch.zeros(2, 1, 4), torch.full((2, 1), -1), True, none
    )
    assert parts["box"].item() == parts["main"].item() == 0
    assert parts["class"].item() > 0
    torch.stack(list(parts.values())).sum().backward()
    gradients = [one.grad for one in network.parameters() if one.grad is not None]
    assert gradients
    assert all(torch.isfinite(one).all() for one in gradients)
