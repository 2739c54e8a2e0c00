"""Detectors on street photos: average precision of bags and shoes, and the main good's box.

    python -m benchmarks.detectors

The built-in one next to YOLOX-nano and Yolo-Fastest as they come, which know 80 classes of COCO,
bags among them and no shoes, and next to saliency. On the `val` part, which none was trained on.
Their times are medians of one photo on all cores; saliency's is that of the encoder's pass, which
identification needs anyway.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.datasets import SHARED
from benchmarks.reporting import print_table, write_json
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import RGB, decode
from satchel.locate.card import LocatorCard
from satchel.locate.registry import configured_locator
from satchel.locate.rules import BUILTIN, LocateRules
from satchel.onnx_model import write_card
from satchel.parallel import cores
from satchel.records import Detection
from satchel.train.locator.figures import Boxes, detection_figures

CLASSES: Final = ("bag", "shoe", "eyewear", "watch", "hat", "belt")
BAGS: Final = {"backpack": "bag", "handbag": "bag", "suitcase": "bag"}
WEIGHTS: Final = SHARED.parent / "weights"
LEAST_SCORE: Final = 0.01
"""Of a detection that counts for the average precision."""

DETECTORS: Final = {
    "built-in": LocateRules(model=BUILTIN, score=LEAST_SCORE),
    "YOLOX-nano": LocateRules(model="yolox_nano.json", classes=BAGS, score=LEAST_SCORE),
    "Yolo-Fastest": LocateRules(
        model=str(WEIGHTS / "yolo-fastest-1.1-xl.cfg"),
        names=str(WEIGHTS / "coco.names"),
        classes=BAGS,
        score=LEAST_SCORE,
    ),
}


def main() -> None:
    """Print the table and write the JSON."""
    photos, truth = street("val")
    figures = []
    for name, rules in DETECTORS.items():
        file = configured_locator(rules, yolox_folder())
        assert file is not None
        locator = file.load(threads=cores())
        found, ms = timed(locator.locate, photos)
        figures.append(row(name, truth, found) | {"ms": ms})
    encoder = Encoder.load()

    def salient(some: Sequence[RGB]) -> list[list[Detection]]:
        return [[Detection(one.box, "bag", 1.0)] for one in embed(encoder, some)]

    found, ms = timed(salient, photos)
    without_classes = dict.fromkeys(("bag AP50", "shoe AP50", "AP50"))
    figures.append(row("saliency", truth, found) | without_classes | {"ms": ms})
    columns = ("bag AP50", "shoe AP50", "AP50", "main IoU", "main IoU ≥ 0.5", "ms")
    print_table(
        f"Detectors on {len(photos)} street photos",
        ["detector", *columns],
        [[one["detector"], *(_shown(one.get(key)) for key in columns)] for one in figures],
    )
    write_json("detectors", figures)


def timed(
    locate: Callable[[Sequence[RGB]], Sequence[Sequence[Detection]]], photos: Sequence[RGB]
) -> tuple[list[Boxes], float]:
    """What is found in each photo, and the median of the times in milliseconds."""
    found, taken = [], []
    for photo in photos:
        began = time.perf_counter()
        detections = locate([photo])[0]
        taken.append(time.perf_counter() - began)
        found.append(as_boxes(detections))
    return found, 1e3 * float(np.median(taken))


def row(name: str, truth: Sequence[Boxes], found: Sequence[Boxes]) -> dict[str, Any]:
    """Figures of one detector."""
    figures = detection_figures(truth, found, CLASSES)
    return {
        "detector": name,
        "bag AP50": figures.by_class["bag"].ap50,
        "shoe AP50": figures.by_class["shoe"].ap50,
        "AP50": figures.overall.ap50,
        "main IoU": figures.main_iou,
        "main IoU ≥ 0.5": figures.main_half,
    }


def street(part: str) -> tuple[list[RGB], list[Boxes]]:
    """The photos of a part, "train" or "val", and their true boxes."""
    data = json.loads((SHARED / "street" / f"{part}.json").read_text())
    names = {kind["id"]: kind["name"] for kind in data["categories"]}
    photos, truth = [], []
    for photo in data["images"]:
        items = [one for one in data["annotations"] if one["image_id"] == photo["id"]]
        size = np.array([photo["width"], photo["height"]] * 2, np.float32)
        corners = np.array([one["bbox"] for one in items], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        labels = np.array([CLASSES.index(names[one["category_id"]]) for one in items], np.int64)
        path = SHARED / "street" / "images" / photo["file_name"]
        photos.append(decode(path.read_bytes(), min_side_px=None))
        truth.append(Boxes.true(corners / size, labels))
    return photos, truth


def as_boxes(detections: Sequence[Detection]) -> Boxes:
    """Detections of the classes that the street photos have; the main one is of any class."""
    known = [one for one in detections if one.category in CLASSES]
    main = next((one.box for one in detections if one.main is not None), None)
    return Boxes(
        np.array([one.box.xyxy for one in known], np.float32).reshape(-1, 4),
        np.array([CLASSES.index(one.category or "") for one in known], np.int64),
        np.array([one.score for one in known], np.float32),
        main,
    )


def yolox_folder() -> Path:
    """A folder with the card of YOLOX-nano, which comes without one."""
    folder = Path(tempfile.mkdtemp(prefix="satchel-detectors-"))
    model = (WEIGHTS / "yolox_nano.onnx").read_bytes()
    (folder / "yolox_nano.onnx").write_bytes(model)
    names = (WEIGHTS / "coco.names").read_text().split("\n")
    card = LocatorCard(
        name="YOLOX-nano",
        file="yolox_nano.onnx",
        sha256=hashlib.sha256(model).hexdigest(),
        layout="yolox",
        height_px=416,
        width_px=416,
        colour_order="bgr",
        class_names=tuple(name for name in names if name),
    )
    write_card(folder / "yolox_nano.json", card)
    return folder


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.1f}"


if __name__ == "__main__":
    main()
