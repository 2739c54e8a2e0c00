from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from conftest import SHARED
from satchel.errors import LocatorError
from satchel.images import decode
from satchel.locate.card import STRIDES, LocatorCard
from satchel.locate.locator import Locator
from satchel.locate.onnx import MAX_DETECTIONS, OnnxLocator, decode_yolox
from satchel.records import Box, Detection
from support.stub_detector import (
    card_of,
    constant_model,
    graph_model,
    halves_model,
    write_detector,
)

WEIGHTS = SHARED / "weights"
COCO_BAGS = SHARED / "data" / "coco_bags"


def split_photo(left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    """A photo of 100 × 200 pixels, each half of one colour."""
    photo = np.empty((100, 200, 3), np.uint8)
    photo[:, :100], photo[:, 100:] = left, right
    return photo


def located(model: bytes, photo: np.ndarray | None = None, **fields: Any) -> list[Detection]:
    locator: Locator = OnnxLocator(card_of(model, **fields), model)
    return locator.locate([split_photo((0, 0, 0), (0, 0, 0)) if photo is None else photo])[0]


def test_stretched_photo_by_hand() -> None:
    photo = split_photo((255, 0, 51), (0, 102, 0))
    left, right = located(halves_model(), photo, fit="stretch", score=0.3)
    assert left == Detection(Box(0, 0, 0.5, 1), "red", 1.0)
    assert (right.box, right.category) == (Box(0.5, 0, 1, 1), "green")
    assert right.score == pytest.approx(0.4)  # 102 of 255


def test_letterbox_keeps_proportions_and_pads_below() -> None:
    # 100 × 200 pixels fill the upper half of the input: means are halved, boxes reach the end.
    photo = split_photo((255, 0, 0), (0, 0, 204))
    left, right = located(halves_model(), photo)
    assert (left.category, right.category) == ("red", "blue")
    assert left.box == Box(0, 0, 0.5, 1)
    assert left.score == pytest.approx(0.5)
    assert right.score == pytest.approx(0.4)
    # With white padding every class gets the other half.
    (first, _) = located(halves_model(), photo, pad_value=255)
    assert first.score == pytest.approx(1)


def test_colour_order_and_scaling() -> None:
    photo = split_photo((255, 0, 0), (0, 0, 0))
    found = located(halves_model(), photo, fit="stretch", colour_order="bgr", score=0.1)
    assert [one.category for one in found] == ["blue"]
    # (255 − 51) / 2 / 255 = 0.4
    scaled = located(halves_model(), photo, fit="stretch", mean=(51, 0, 0), std=(2, 1, 1))
    assert [one.score for one in scaled] == [pytest.approx(0.4)]


def test_categories_join_classes_and_leave_others_out() -> None:
    photo = split_photo((255, 0, 0), (0, 255, 0))
    found = located(halves_model(), photo, fit="stretch", categories={"red": "bag", "blue": "bag"})
    assert [(one.category, one.box.x0) for one in found] == [("bag", 0)]
    assert located(halves_model(), photo, fit="stretch", categories={"blue": "bag"}) == []


def overlapping(count: int, shift_px: float) -> np.ndarray:
    """Boxes of 32 × 32 pixels, each `shift_px` right of the last."""
    left = np.arange(count) * shift_px
    return np.stack([left, left * 0, left + 32, left * 0 + 32], 1)[None]


def test_boxes_that_overlap_a_better_one_are_dropped() -> None:
    # Neighbours overlap by 24 of 40: 0.6; second neighbours by 16 of 48: 0.33.
    boxes = overlapping(4, 8)
    scores = np.array([[[0.5, 0, 0], [0, 0.9, 0], [0.8, 0, 0], [0, 0, 0.4]]])
    found = located(constant_model(boxes=boxes, scores=scores), fit="stretch")
    assert [round(one.score, 3) for one in found] == [0.9, 0.4]
    every = located(constant_model(boxes=boxes, scores=scores), fit="stretch", iou=0.7)
    assert [round(one.score, 3) for one in every] == [0.9, 0.8, 0.5, 0.4]


def test_boxes_are_clipped_and_those_without_sense_left_out() -> None:
    boxes = np.array(
        [
            [-10, -10, 32, 32],
            [np.nan, 0, 32, 32],
            [0, 0, np.inf, 32],
            [40, 40, 40, 60],  # no width
            [60, 60, 50, 50],  # inverted
            [70, 0, 90, 32],  # outside
            [0, 40, 32, 64],
        ]
    )[None]
    scores = np.full((1, 7, 3), [0.9, 0.1, 0.1])
    scores[0, 6] = np.nan
    found = located(constant_model(boxes=boxes, scores=scores), fit="stretch")
    assert [one.box for one in found] == [Box(0, 0, 0.5, 0.5)]


def test_there_are_only_so_many() -> None:
    cells = np.arange(16 * 16)
    x, y = cells % 16 * 4, cells // 16 * 4
    boxes = np.stack([x, y, x + 4, y + 4], 1)[None]
    scores = np.zeros((1, 256, 3))
    scores[0, :, 1] = np.linspace(0.5, 0.9, 256)
    found = located(constant_model(boxes=boxes, scores=scores), fit="stretch")
    assert len(found) == MAX_DETECTIONS
    assert found[0].score == pytest.approx(0.9)


def naive_yolox(output: np.ndarray, side_px: int) -> np.ndarray:
    boxes, at = [], 0
    for stride in STRIDES:
        for row in range(side_px // stride):
            for column in range(side_px // stride):
                dx, dy, log_w, log_h = output[at, :4]
                x, y = (column + dx) * stride, (row + dy) * stride
                w, h = np.exp(log_w) * stride, np.exp(log_h) * stride
                boxes.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
                at += 1
    return np.array(boxes)


def test_yolox_is_decoded_as_in_plain_loops() -> None:
    rng = np.random.default_rng(0)
    output = rng.normal(size=(64 + 16 + 4, 5 + 3)).astype(np.float32)
    boxes, scores = decode_yolox(output, 64, 64)
    assert boxes == pytest.approx(naive_yolox(output, 64), abs=1e-3)
    assert scores == pytest.approx(output[:, 5:] * output[:, 4:5])


def test_yolox_layout_end_to_end() -> None:
    output = np.zeros((1, 84, 8), np.float32)
    output[0, 64 + 5] = (0.5, 0.5, 0, np.log(2), 0.9, 0, 1, 0)  # stride 16, row 1, column 1
    model = constant_model(output=output)
    (found,) = located(model, layout="yolox", fit="stretch")
    assert found.category == "green"
    assert found.score == pytest.approx(0.9)
    # Centre (24, 24), 16 wide, 32 high, of 64.
    assert found.box.xyxy == pytest.approx((16 / 64, 8 / 64, 32 / 64, 40 / 64))


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (halves_model(), {"height_px": 32}, "expected one input of float32 in the shape"),
        (halves_model(), {"class_names": ("red",)}, "1 classes"),
        (halves_model(), {"layout": "yolox"}, "set the card's layout to the model's"),
        (constant_model(output=np.zeros((1, 84, 8))), {}, "set the card's layout"),
        (constant_model(output=np.zeros((1, 85, 8))), {"layout": "yolox"}, "should have the shape"),
        (constant_model(boxes=np.zeros((1, 2, 4)), scores=np.zeros((1, 3, 3))), {}, "gives"),
        (constant_model(boxes=np.zeros((2, 2, 4)), scores=np.zeros((2, 2, 3))), {}, "gives"),
        (b"no model", {}, "cannot load"),
        (
            graph_model(
                [helper.make_node("Cast", ["images"], ["boxes"], to=TensorProto.FLOAT)],
                {"boxes": ["a", "b", "c", "d"]},
                {},
                type_in=TensorProto.UINT8,
            ),
            {},
            "expected one input of float32",
        ),
    ],
)
def test_a_model_that_its_card_does_not_describe(
    model: bytes, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(LocatorError, match=message):
        OnnxLocator(card_of(model, **fields), model)


def test_more_boxes_than_are_read() -> None:
    model = graph_model(
        [
            helper.make_node("ConstantOfShape", ["b"], ["boxes"]),
            helper.make_node("ConstantOfShape", ["s"], ["scores"]),
        ],
        {"boxes": ["n", "k", 4], "scores": ["n", "k", 3]},
        {"b": np.array([1, 200_001, 4], np.int64), "s": np.array([1, 200_001, 3], np.int64)},
    )
    with pytest.raises(LocatorError, match="any number up to 200,000"):
        located(model)


def test_a_model_that_fails() -> None:
    model = graph_model(
        [
            helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["number"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["number", "one"], ["row"]),
            helper.make_node("Gather", ["given", "row"], ["boxes"]),
            helper.make_node("Slice", ["boxes", "zero", "three", "two"], ["scores"]),
        ],
        {"boxes": [1, "k", 4], "scores": [1, "k", 3]},
        {
            "given": np.zeros((1, 2, 4), np.float32),
            **{name: np.array([n], np.int64) for n, name in enumerate(("zero", "one", "two"))},
            "three": np.array([3], np.int64),
        },
    )
    assert located(model) == []  # black: row 0, scores of 0
    with pytest.raises(LocatorError, match="ONNX Runtime cannot run the detector"):
        located(model, split_photo((9, 9, 9), (9, 9, 9)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height_px": 100_000}, "height_px"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["a", "a"]}, "that differ"),
        ({"class_names": ["a"] * 2_000}, "class_names"),
        ({"categories": {"purple": "bag"}}, "purple"),
        ({"std": [1, 0, 1]}, "std"),
        ({"layout": "yolox", "width_px": 100}, "multiples of 32"),
        ({"file": "../../etc/passwd.onnx"}, "file"),
        ({"layout": "pickle"}, "layout"),
        ({"surprise": 1}, "surprise"),
        ({"score": 2}, "score"),
    ],
)
def test_cards_are_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_detector(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(LocatorError, match=message):
        OnnxLocator.load(path)


def test_missing_and_altered_files(tmp_path: Path) -> None:
    with pytest.raises(LocatorError, match="expected a model card"):
        OnnxLocator.load(tmp_path / "none.json")
    path = write_detector(tmp_path)
    assert OnnxLocator.load(path).locate([]) == []
    with (tmp_path / "stub.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(LocatorError, match="is not the model that its card names"):
        OnnxLocator.load(path)


def test_the_id_is_of_all_that_decides() -> None:
    card = card_of(halves_model())
    pads = {card.fingerprint(0.05), card.fingerprint(0.1)}
    decisive = {"score": 0.2, "iou": 0.4, "fit": "stretch", "categories": {"red": "bag"}}
    changed = {card.model_copy(update={k: v}).fingerprint(0.05) for k, v in decisive.items()}
    assert len(pads | changed) == 2 + len(decisive)
    told = card.model_copy(update={"licence": "MIT", "recipe": "none", "figures": {"AP": 0.3}})
    assert told.fingerprint(0.05) == card.fingerprint(0.05)
    assert OnnxLocator(card, halves_model(), pad=0.1).id == card.fingerprint(0.1)


# -- a real detector on real photos ----------------------------------------------------------------

GOODS = {"backpack": "bag", "handbag": "bag", "suitcase": "bag"}


def yolox_nano(**fields: Any) -> OnnxLocator:
    model = (WEIGHTS / "yolox_nano.onnx").read_bytes()
    names = (WEIGHTS / "coco.names").read_text().splitlines()
    card = LocatorCard(
        name="yolox-nano",
        file="yolox_nano.onnx",
        sha256=hashlib.sha256(model).hexdigest(),
        layout="yolox",
        height_px=416,
        width_px=416,
        colour_order="bgr",
        class_names=tuple(names),
        **fields,
    )
    return OnnxLocator(card, model)


def overlap(a: Box, b: Box) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.width * a.height + b.width * b.height - shared)


def coco_bags() -> list[tuple[np.ndarray, list[Box]]]:
    """Photos, and the boxes of bags in each that are a hundredth of it at least."""
    said = json.loads((COCO_BAGS / "boxes.json").read_text())
    photos = []
    for image in said["images"]:
        width, height = image["width"], image["height"]
        boxes = [
            Box(x / width, y / height, min(1, (x + w) / width), min(1, (y + h) / height))
            for one in said["annotations"]
            if one["image_id"] == image["id"]
            for x, y, w, h in [one["bbox"]]
            if w * h > 0.01 * width * height
        ]
        path = COCO_BAGS / "images" / image["file_name"]
        photos.append((decode(path.read_bytes()), boxes))
    return photos


@pytest.mark.shared
def test_yolox_nano_finds_bags_of_real_photos() -> None:
    """Bags are among its weakest classes: 15 of 32 at this score."""
    locator = yolox_nano(categories=GOODS, score=0.02)
    found = total = 0
    for photo, boxes in coco_bags():
        (detections,) = locator.locate([photo])
        assert all(one.category == "bag" for one in detections)
        total += len(boxes)
        found += sum(any(overlap(box, one.box) > 0.5 for one in detections) for box in boxes)
    assert total > 30
    assert found >= 0.4 * total
