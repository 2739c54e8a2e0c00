"""SimOTA against a naive one, written box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import torch

from satchel.train.locator.assignment import assign
from satchel.train.locator.objective import DetectionObjective
from satchel.train.locator.overlap import iou
from satchel.train.locator.yolox import YOLOX, Predictions, Size


def naive_iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / area


def naive(
    boxes: np.ndarray,
    scores: np.ndarray,
    centres: np.ndarray,
    strides: np.ndarray,
    truth: np.ndarray,
    labels: np.ndarray,
) -> set[tuple[int, int]]:
    """Pairs of a cell and its box."""

    def inside(cell: int, box: int) -> bool:
        (x, y), (x0, y0, x1, y1) = centres[cell], truth[box]
        return bool(x0 < x < x1 and y0 < y < y1)

    def central(cell: int, box: int) -> bool:
        x, y = centres[cell]
        mx, my = (truth[box, 0] + truth[box, 2]) / 2, (truth[box, 1] + truth[box, 3]) / 2
        return bool(abs(x - mx) < 1.5 * strides[cell] and abs(y - my) < 1.5 * strides[cell])

    ids = range(len(truth))
    cells = [c for c in range(len(boxes)) if any(inside(c, b) or central(c, b) for b in ids)]
    cost = {}
    for b in ids:
        for c in cells:
            entropy = -sum(
                math.log(s if k == labels[b] else 1 - s) for k, s in enumerate(scores[c])
            )
            overlap = naive_iou(truth[b], boxes[c])
            far = 0.0 if inside(c, b) and central(c, b) else 1e5
            cost[c, b] = entropy - 3 * math.log(overlap + 1e-7) + far
    takers: dict[int, list[int]] = {}
    for b in ids:
        best = sorted((naive_iou(truth[b], boxes[c]) for c in cells), reverse=True)[:10]
        for c in sorted(cells, key=lambda c: cost[c, b])[: max(1, int(sum(best)))]:
            takers.setdefault(c, []).append(b)
    return {
        (c, bs[0] if len(bs) == 1 else min(ids, key=lambda b: cost[c, b]))
        for c, bs in takers.items()
    }


@pytest.mark.parametrize("seed", range(6))
def test_cells_are_assigned_as_by_the_naive_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = [
        (x, y, stride)
        for stride in (8, 16)
        for y in range(0, 64, stride)
        for x in range(0, 64, stride)
    ]
    strides = np.array([stride for *_, stride in grid], np.float32)
    centres = np.array([(x + stride / 2, y + stride / 2) for x, y, stride in grid], np.float32)
    reach = rng.uniform(4, 30, (len(grid), 2)).astype(np.float32)
    boxes = np.hstack([centres - reach / 2, centres + reach / 2])
    scores = rng.uniform(0.05, 0.95, (len(grid), 3)).astype(np.float32)
    corners = rng.uniform(0, 40, (seed, 2))
    truth = np.hstack([corners, corners + rng.uniform(3, 24, (seed, 2))]).astype(np.float32)
    labels = rng.integers(0, 3, seed)
    found = assign(
        *(torch.from_numpy(one) for one in (boxes, scores, centres, strides)),
        truth=torch.from_numpy(truth),
        labels=torch.from_numpy(labels),
    )
    pairs = set(zip(found.cells.tolist(), found.targets.tolist(), strict=True))
    assert pairs == naive(boxes, scores, centres, strides, truth, labels)
    for cell, target, overlap in zip(found.cells, found.targets, found.overlaps, strict=True):
        assert overlap == pytest.approx(naive_iou(truth[target], boxes[cell]), abs=1e-5)


def test_overlaps_are_those_of_the_naive_one() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 10, (6, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 6, (6, 2))]).astype(np.float32)
    found = iou(torch.from_numpy(boxes)[:, None], torch.from_numpy(boxes[:4])[None])
    for a in range(6):
        for b in range(4):
            assert found[a, b].item() == pytest.approx(naive_iou(boxes[a], boxes[b]), abs=1e-5)
    pairs = iou(torch.from_numpy(boxes[:4]), torch.from_numpy(boxes[2:]))
    torch.testing.assert_close(pairs, found[:, :].diagonal(-2).flip(0).flip(0))


def test_perfect_predictions_cost_almost_nothing() -> None:
    """A network that puts every box of the truth where its cell is has a loss near zero."""
    truth = torch.tensor([[[8.0, 8.0, 40.0, 32.0]]])
    network = YOLOX(Size(0.125), 2).eval()
    with torch.inference_mode():
        empty = network(torch.zeros(1, 3, 64, 64))
    middle = truth[0, :, :2] / 2 + truth[0, :, 2:] / 2
    stride = empty.strides[:, None]
    offsets = torch.cat(
        (middle / stride - empty.corners, ((truth[0, :, 2:] - truth[0, :, :2]) / stride).log()), 1
    )[None]
    centres = (empty.corners + 0.5) * stride
    objective = DetectionObjective([1.0, 1.0])
    classes = torch.tensor([9.0, -9.0]).expand(1, len(centres), 2)

    def loss(objectness: torch.Tensor) -> dict[str, torch.Tensor]:
        found = Predictions(offsets, objectness, classes, empty.corners, empty.strides)
        return objective(found, truth, torch.tensor([[0]]), True)

    flat = torch.zeros(1, len(centres))
    assigned = assign(
        truth[0].expand(len(centres), 4),
        torch.full((len(centres), 2), 0.5),
        centres,
        empty.strides,
        truth=truth[0],
        labels=torch.tensor([0]),
    )
    sure = torch.full_like(flat, -9.0)
    sure[0, assigned.cells] = 9.0
    parts = loss(sure)
    assert parts["box"].item() == pytest.approx(0, abs=1e-4)
    assert parts["offsets"].item() == pytest.approx(0, abs=1e-4)
    assert parts["class"].item() < 0.01
    assert parts["objectness"].item() < loss(flat)["objectness"].item() / 50


def test_a_photo_without_boxes_teaches_that_nothing_is_there() -> None:
    network = YOLOX(Size(0.125), 2)
    found = network(torch.rand(2, 3, 64, 64) * 255)
    parts = DetectionObjective([1.0, 2.0])(
        found, torch.zeros(2, 1, 4), torch.full((2, 1), -1), True
    )
    total = torch.stack(list(parts.values())).sum()
    assert parts["box"].item() == parts["class"].item() == parts["offsets"].item() == 0
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
