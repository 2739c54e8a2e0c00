"""The exported file gives what the network gives, and is a locator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from satchel.errors import UsageError
from satchel.locate.locator import main_detection
from satchel.locate.main_box import main_box
from satchel.locate.onnx import OnnxLocator
from satchel.train.locator.detect import detect
from satchel.train.locator.export import (
    ExportedDetector,
    best_score,
    detector_card,
    export_detector,
)
from satchel.train.locator.figures import Boxes, kept_share
from satchel.train.locator.lite0 import Lite0Detector
from satchel.train.locator.yolox import YOLOX, Size

CLASSES = ("bag", "shoe")


def photo(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (70, 100, 3)).astype(np.uint8)
    return pixels, np.array([[10, 10, 50, 60]], np.float32), np.array([0])


@pytest.fixture(scope="module")
def network() -> YOLOX:
    """A small network that is sure of some boxes."""
    torch.manual_seed(3)
    made = YOLOX(Size(0.125, depthwise=True), len(CLASSES))
    for norm in made.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = 1.0  # one pass sets its statistics
    head: Any
    with torch.no_grad():
        made(torch.rand(4, 3, 64, 64) * 255)
        for head in made.heads:
            for layer, bias in ((head.classes, 0.0), (head.objectness, -3.0)):
                layer.weight.normal_()
                layer.bias.fill_(bias)
    return made.eval()


def test_the_file_gives_what_the_network_gives(network: YOLOX) -> None:
    samples = [photo(seed) for seed in range(3)]
    exported = export_detector(network, samples, 64)
    assert exported.agrees
    assert exported.score_difference < 1e-4
    card = detector_card(exported, name="r", classes=CLASSES, side_px=64, score=0.3, iou=0.5)
    locator = OnnxLocator(card, exported.model)
    found = locator.locate([pixels for pixels, *_ in samples])
    own = [two for _, two in detect(network, samples, 64, iou=0.5)]
    assert sum(len(detections) for detections in found) > 1
    for detections, boxes in zip(found, own, strict=True):
        sure = np.flatnonzero(boxes.scores >= 0.3)[:20]  # a locator's most
        assert [one.score for one in detections] == pytest.approx(boxes.scores[sure], abs=1e-4)
        ours = [(*one.box.xyxy, CLASSES.index(str(one.category))) for one in detections]
        theirs = np.column_stack([boxes.boxes[sure], boxes.labels[sure]])
        # Boxes of nearly the same score may change places.
        apart = np.abs(np.array(ours)[:, None] - theirs[None]).max(2)
        assert apart.min(0).max(initial=0) < 1e-3
        assert apart.min(1).max(initial=0) < 1e-3


def test_the_file_says_which_good_is_the_main_one() -> None:
    torch.manual_seed(5)
    network = Lite0Detector(len(CLASSES))
    with torch.no_grad():
        for head in network.heads:
            head.mains.weight.normal_(std=3.0)  # type: ignore[union-attr,operator]
            head.classes.bias.fill_(0.0)  # type: ignore[union-attr,operator]
    network.eval()
    samples = [photo(seed) for seed in range(3)]
    exported = export_detector(network, samples, 64)
    assert exported.agrees
    card = detector_card(
        exported, name="r", classes=CLASSES, side_px=64, score=0.3, iou=0.5, main_score=0.0
    )
    locator = OnnxLocator(card, exported.model)
    own = [two for _, two in detect(network, samples, 64, iou=0.5)]
    for (pixels, *_), boxes in zip(samples, own, strict=True):
        boxes_found, scores, main = locator.predict(pixels)
        assert main is not None
        assert main.sum() == pytest.approx(1, abs=1e-5)
        first, *others = locator.locate([pixels])[0]
        fused = main_box(boxes_found, scores, main)
        assert fused is not None
        assert first.main == pytest.approx(fused.probability)
        assert boxes.main_box is not None
        assert first.box.xyxy == pytest.approx(boxes.main_box.xyxy, abs=1e-3)
        assert all(other.main is None for other in others)
        assert main_detection([*others, first]) is first
    strict = card.model_copy(update={"main_score": 1.0})
    found = OnnxLocator(strict, exported.model).locate([samples[0][0]])[0]
    assert all(one.main is None for one in found)


def test_what_does_not_agree_is_refused() -> None:
    wrong = ExportedDetector(b"", score_difference=0.2, box_difference_px=0.0)
    with pytest.raises(UsageError, match="does not agree"):
        detector_card(wrong, name="r", classes=CLASSES, side_px=64, score=0.5, iou=0.5)


def test_the_score_with_the_best_f1() -> None:
    box, far = [0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]
    truth = Boxes.true(np.array([box, far], np.float32), np.array([0, 1]))
    found = Boxes(
        np.array([box, box, far, [0.0, 0.6, 0.3, 0.9]], np.float32),
        np.array([1, 1, 1, 0]),
        np.array([0.9, 0.34, 0.62, 0.57], np.float32),
    )
    # One of a pair on one object is wrong, and so is the last.
    assert kept_share([truth], [found], 0.3) == (2 / 4, 1.0)
    assert kept_share([truth], [found], 0.6) == (1.0, 1.0)
    assert kept_share([truth], [found], 0.7) == (1.0, 0.5)
    assert kept_share([truth], [found], 0.95) == (0.0, 0.0)
    assert best_score([truth], [found]) == 0.6
