"""Average precision against pycocotools, and the main object by hand."""

from __future__ import annotations

import contextlib
import io
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.train.locator.figures import SIZES, Boxes, detection_figures

CLASSES = ("bag", "shoe", "hat")


def scene(seed: int) -> tuple[list[Boxes], list[Boxes]]:
    """True boxes of some photos, and detections: near ones, doubled ones, wrong ones."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(12):
        count = int(rng.integers(0, 5))
        low = rng.uniform(0, 0.5, (count, 2))
        boxes = np.hstack([low, low + rng.uniform(0.05, 0.5, (count, 2))]).astype(np.float32)
        labels = rng.integers(0, 2, count)  # no hats
        truth.append(Boxes.true(boxes, labels))
        guesses = np.repeat(boxes, 2, 0) + rng.normal(0, 0.03, (2 * count, 4))
        extra = rng.uniform(0, 0.4, (2, 2))
        guesses = np.vstack([guesses, np.hstack([extra, extra + 0.3])]).astype(np.float32)
        guessed = np.where(rng.random(2 * count + 2) < 0.8, np.repeat(np.append(labels, 0), 2), 2)
        found.append(Boxes(np.clip(guesses, 0, 1), guessed, rng.random(len(guesses), np.float32)))
    return truth, found


def oracle(truth: list[Boxes], found: list[Boxes]) -> np.ndarray:
    """pycocotools' precision, shape (IoU, recall, class, size)."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluator = pytest.importorskip("pycocotools.cocoeval")
    data = []
    for photos in (truth, found):
        one = coco.COCO()
        rows = [
            (n, b, k, s)
            for n, p in enumerate(photos)
            for b, k, s in zip(p.boxes * 1000, p.labels, p.scores, strict=True)
        ]
        one.dataset = {
            "images": [{"id": n} for n in range(len(photos))],
            "categories": [{"id": n} for n in range(len(CLASSES))],
            "annotations": [
                {
                    "id": at + 1,
                    "image_id": n,
                    "category_id": int(k),
                    "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
                    "area": float((b[2] - b[0]) * (b[3] - b[1])),
                    "score": float(s),
                    "iscrowd": 0,
                }
                for at, (n, b, k, s) in enumerate(rows)
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            one.createIndex()
        data.append(one)
    limits = [0.0, 0.02, 0.08, 0.25, 1e4]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = evaluator.COCOeval(*data, "bbox")
        evaluation.params.areaRng = [
            [0, 1e10],
            *([low * 1e6, high * 1e6] for low, high in pairwise(limits)),
        ]
        evaluation.params.areaRngLbl = ["all", *SIZES]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: np.ndarray = evaluation.eval["precision"][..., -1]
    return precision


def mean(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan


@pytest.mark.parametrize("seed", range(3))
def test_precision_is_that_of_pycocotools(seed: int) -> None:
    truth, found = scene(seed)
    figures, expected = detection_figures(truth, found, CLASSES), oracle(truth, found)
    same: Any = {"nan_ok": True, "abs": 1e-9}
    assert figures.overall.ap == pytest.approx(mean(expected[..., 0]), **same)
    assert figures.overall.ap50 == pytest.approx(mean(expected[0, ..., 0]), **same)
    assert figures.overall.ap75 == pytest.approx(mean(expected[5, ..., 0]), **same)
    assert 0.05 < figures.overall.ap < 0.95
    for place, name in enumerate(CLASSES):
        assert figures.by_class[name].ap == pytest.approx(mean(expected[:, :, place, 0]), **same)
    for place, name in enumerate(SIZES, start=1):
        assert figures.by_size[name].ap == pytest.approx(mean(expected[..., place]), **same)
    assert sum(one.boxes for one in figures.by_size.values()) == figures.overall.boxes
    assert math.isnan(figures.by_class["hat"].ap)
    assert figures.plain()["ap"] == figures.overall.ap


def test_the_main_box_counts_whatever_its_class() -> None:
    big, small = [0.25, 0.25, 0.75, 0.75], [0.0, 0.0, 0.1, 0.1]
    truth = Boxes.true(np.array([small, big], np.float32), np.array([1, 0]))
    right = Boxes(np.array([big], np.float32), np.array([2]), np.array([0.4], np.float32))
    half = Boxes(
        np.array([[0.25, 0.25, 0.75, 0.5]], np.float32), np.array([0]), np.array([0.9], np.float32)
    )
    empty = Boxes.true(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    found = detection_figures([truth, truth, truth, empty], [right, half, empty, right], CLASSES)
    assert found.main_iou == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.main_half == pytest.approx(2 / 3)
    assert found.photos == 4


def test_no_photos_have_no_figures_but_plain_ones_are_numbers() -> None:
    found = detection_figures([], [], CLASSES)
    assert math.isnan(found.overall.ap)
    assert set(found.plain().values()) == {0.0}
