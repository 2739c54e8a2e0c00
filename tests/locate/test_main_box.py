"""Fusing the boxes of the main good's cells, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from satchel.errors import LocatorError
from satchel.locate.locator import main_detection
from satchel.locate.main_box import CELLS, MainBox, main_box
from satchel.locate.onnx import OnnxLocator
from satchel.records import Box
from support.stub_detector import card_of, constant_model


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (a, b)]
    return float(shared / (sum(areas) - shared))


def naive(boxes: np.ndarray, scores: np.ndarray, main: np.ndarray) -> MainBox:
    top = sorted(range(len(main)), key=lambda one: -main[one])[:CELLS]
    best, mass = -1, -1.0
    for row in top:
        own = sum(main[other] for other in top if iou(boxes[row], boxes[other]) > 0.5)
        if own > mass + 1e-6:
            best, mass = row, own
    near = [other for other in top if iou(boxes[best], boxes[other]) > 0.6]
    total = sum(main[other] for other in near)
    box = sum(main[other] * boxes[other] for other in near) / total
    mean = sum(main[other] * scores[other] for other in near) / total
    return MainBox(box, mean, float(mass))


@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_fused_as_in_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    goods = rng.uniform(0, 40, (3, 2))
    low = goods[rng.integers(0, 3, 80)] + rng.normal(0, 3, (80, 2))
    boxes = np.hstack([low, low + 20 + rng.normal(0, 2, (80, 2))])
    scores = rng.uniform(0, 1, (80, 4))
    main = np.exp(rng.normal(0, 2, 80))
    main /= main.sum()
    wanted = naive(boxes, scores, main)
    found = main_box(*(one.astype(np.float32) for one in (boxes, scores, main)))
    assert found is not None
    assert found.box == pytest.approx(wanted.box, rel=1e-4)
    assert found.scores == pytest.approx(wanted.scores, rel=1e-4)
    assert found.probability == pytest.approx(wanted.probability, rel=1e-4)


def test_what_makes_no_sense_does_not_count() -> None:
    boxes = np.array([[0, 0, 9, 9], [np.nan, 0, 9, 9], [5, 5, 5, 9], [0, 0, np.inf, 9]], np.float32)
    scores, main = np.full((4, 2), 0.5, np.float32), np.array([0.1, 0.5, 0.3, 0.1], np.float32)
    found = main_box(boxes, scores, main)
    assert found is not None
    assert found.box.tolist() == [0, 0, 9, 9]
    assert found.probability == pytest.approx(0.1)
    unknown = np.array([np.nan, 0.5, 0.3, 0.1], np.float32)
    assert main_box(boxes, scores, unknown) is None
    assert main_box(boxes, scores, np.zeros(4, np.float32)) is None


# Two goods: on the left one with the higher score, on the right the main one.
BOXES = np.array([[[0, 0, 30, 60], [32, 0, 60, 64], [34, 2, 64, 64]]], np.float32)
SCORES = np.array([[[0.9, 0, 0], [0, 0.2, 0.1], [0, 0.1, 0.3]]], np.float32)
MAIN = np.array([[0.1, 0.6, 0.3]], np.float32)


def test_the_main_good_comes_first_and_with_its_probability() -> None:
    model = constant_model(boxes=BOXES, scores=SCORES, main=MAIN)
    photo = np.zeros((64, 64, 3), np.uint8)
    locator = OnnxLocator(card_of(model, main_score=0.5, score=0.3), model)
    first, other = locator.locate([photo])[0]
    assert first.main == pytest.approx(0.9)
    assert first.box.xyxy == pytest.approx(np.array([98 / 3, 2 / 3, 184 / 3, 64]) / 64, abs=1e-5)
    # (2 × 0.2 + 0.1) / 3 against (2 × 0.1 + 0.3) / 3: of equal scores the first class.
    assert first.category in ("green", "blue")
    assert first.score == pytest.approx(0.5 / 3)
    assert (other.box, other.main) == (Box(0, 0, 30 / 64, 60 / 64), None)
    assert main_detection([other, first]) is first


def test_an_improbable_one_is_left_out() -> None:
    model = constant_model(boxes=BOXES, scores=SCORES, main=MAIN)
    photo = np.zeros((64, 64, 3), np.uint8)
    found = OnnxLocator(card_of(model, main_score=0.95, score=0.3), model).locate([photo])[0]
    assert [one.main for one in found] == [None, None]
    # And the output is not read where the card does not speak of it.
    plain = OnnxLocator(card_of(model, score=0.3), model).locate([photo])[0]
    assert plain == found


@pytest.mark.parametrize("shape", [(1, 2), (1, 3, 1)])
def test_an_output_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    model = constant_model(boxes=BOXES, scores=SCORES, main=np.ones(shape, np.float32))
    with pytest.raises(LocatorError, match="should have the shape"):
        OnnxLocator(card_of(model, main_score=0.5), model)


def test_a_model_without_it_is_refused() -> None:
    model = constant_model(boxes=BOXES, scores=SCORES)
    with pytest.raises(LocatorError, match="'main'"):
        OnnxLocator(card_of(model, main_score=0.5), model)
    with pytest.raises(ValueError, match="main_score"):
        card_of(model, layout="yolox", main_score=0.5)
