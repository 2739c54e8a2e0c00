"""How good a detector is: average precision by class and size, and the box of the main object.

Average precision as COCO defines it (Lin et al., "Microsoft COCO", ECCV 2014), through
`faster-coco-eval`: the mean over overlaps (IoU) of 0.5, 0.55 … 0.95. Sizes are shares of the photo,
not pixels: what matters is how much of the frame an object fills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from satchel.arrays import Floats, Ints
from satchel.locate.boxes import overlaps
from satchel.locate.locator import main_detection
from satchel.records import Box, Detection

SIZES: Final = {"under 2 %": 0.02, "2 to 8 %": 0.08, "8 to 25 %": 0.25, "25 % and more": math.inf}
"""Size of an object, a share of the photo's area → its upper limit."""

MOST_DETECTIONS: Final = 100
"""Of a photo: the best ones count, as in COCO's evaluation."""

SCALE: Final = 1000.0
"""Sides of the square that all photos are compared in, in pixels. Overlaps do not depend on it."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in one photo, true or detected.

    Attributes:
        boxes: shape (n, 4), xyxy as fractions of the photo.
        labels: shape (n,), int64.
        scores: shape (n,), in [0, 1]; of true ones all 1.
        main_box: of the main object, where the data or the network says it.
    """

    boxes: Floats
    labels: Ints
    scores: Floats
    main_box: Box | None = None

    @classmethod
    def true(cls, boxes: Floats, labels: Ints, *, main_first: bool = False) -> Boxes:
        """The truth of a photo.

        Args:
            main_first: the first box is the main object's.
        """
        main = box_of(boxes[0]) if main_first and len(boxes) else None
        return cls(boxes, labels, np.ones(len(boxes), np.float32), main)

    def main(self) -> Box | None:
        """The box of the main object; None where there is none."""
        if self.main_box:
            return self.main_box
        place = self.main_place()
        return None if place is None else box_of(self.boxes[place])

    def main_place(self) -> int | None:
        """Which of the boxes is the main one, by `main_detection`; None where there is none."""
        places = {
            Detection(box, None, float(score)): place
            for place, score in reversed(list(enumerate(self.scores)))
            if (box := box_of(self.boxes[place]))
        }
        main = main_detection(list(places)[::-1])
        return None if main is None else places[main]


def box_of(box: Floats) -> Box | None:
    """A box, shape (4,), xyxy as fractions, clipped to the photo; None where nothing is left."""
    x0, y0, x1, y1 = (float(side) for side in np.clip(box, 0, 1))
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision of some boxes, in [0, 1]; NaN where the truth has none of them.

    Attributes:
        ap: mean over IoU 0.5 to 0.95; ap50, ap75: at that IoU.
        boxes: true ones.
    """

    ap: float
    ap50: float
    ap75: float
    boxes: int


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """Figures of a detector on a set of photos.

    Attributes:
        overall: mean over the classes that the truth has.
        by_class, by_size: by name; sizes as in `SIZES`.
        main_iou: mean IoU of the main object's box, class disregarded; 0 where none is found. Over
            the photos that have an object.
        main_half: share of them whose main box overlaps by half or more.
        photos: how many.
    """

    overall: Precision
    by_class: dict[str, Precision]
    by_size: dict[str, Precision]
    main_iou: float
    main_half: float
    photos: int

    def plain(self) -> dict[str, float]:
        """The headline figures by name, for curves and records."""
        return {
            "ap": _number(self.overall.ap),
            "ap50": _number(self.overall.ap50),
            "ap75": _number(self.overall.ap75),
            "main_iou": _number(self.main_iou),
            "main_half": _number(self.main_half),
        }


def detection_figures(
    truth: Sequence[Boxes], found: Sequence[Boxes], classes: Sequence[str]
) -> DetectionFigures:
    """Compare what was found in photos with what is there.

    Args:
        truth, found: of the same photos in the same order.
        classes: their names; labels are places in it.
    """
    precision = _precision(truth, found, len(classes))
    labels = np.concatenate([one.labels for one in truth]) if truth else np.empty(0, np.int64)
    areas = np.concatenate([_areas(one.boxes) for one in truth]) if truth else np.empty(0)
    counts = np.bincount(labels, minlength=len(classes))
    limits = [0.0, *SIZES.values()]
    sized = [int(((areas >= low) & (areas < high)).sum()) for low, high in pairwise(limits)]
    mains = main_overlaps(truth, found)
    return DetectionFigures(
        overall=_at(precision[..., 0], len(labels)),
        by_class={
            name: _at(precision[:, :, place : place + 1, 0], int(counts[place]))
            for place, name in enumerate(classes)
        },
        by_size={
            name: _at(precision[..., place], sized[place - 1])
            for place, name in enumerate(SIZES, start=1)
        },
        main_iou=float(mains.mean()) if len(mains) else math.nan,
        main_half=float((mains >= 0.5).mean()) if len(mains) else math.nan,
        photos=len(truth),
    )


def main_overlaps(truth: Sequence[Boxes], found: Sequence[Boxes]) -> Floats:
    """IoU of the main object's box in each photo that has one; shape (m,)."""
    values = []
    for real, guess in zip(truth, found, strict=True):
        if (box := real.main()) is None:
            continue
        own = guess.main()
        values.append(0.0 if own is None else box.iou(own))
    return np.array(values, np.float32)


def kept_share(truth: Sequence[Boxes], found: Sequence[Boxes], score: float) -> tuple[float, float]:
    """Precision and recall of detections of a score or more, at IoU 0.5, classes disregarded.

    Each true box counts once, for the detection of the highest score that overlaps it.
    """
    right = detected = total = 0
    for real, guess in zip(truth, found, strict=True):
        rows = np.flatnonzero(guess.scores >= score)
        left = np.ones(len(real.boxes), bool)
        for row in rows[np.argsort(-guess.scores[rows], kind="stable")]:
            shared = np.where(left, overlaps(guess.boxes[row], real.boxes), 0.0)
            if shared.max(initial=0.0) >= 0.5:
                left[shared.argmax()] = False
        right += int((~left).sum())
        detected += len(rows)
        total += len(left)
    return right / max(1, detected), right / max(1, total)


def _precision(truth: Sequence[Boxes], found: Sequence[Boxes], classes: int) -> Floats:
    """Precision at each (IoU, recall, class, size), the first size being all; -1 for no truth."""
    # Imported here: an extra, and only evaluation needs it.
    from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415

    images = [{"id": n, "width": SCALE, "height": SCALE} for n in range(1, len(truth) + 1)]
    categories = [{"id": n, "name": str(n)} for n in range(classes)]
    real = {"images": images, "categories": categories, "annotations": _annotations(truth)}
    guesses = {**real, "annotations": _annotations(found)}
    evaluation: Any = COCOeval_faster(
        COCO(real), COCO(guesses), "bbox", print_function=lambda *_, **__: None
    )
    edges = [0.0, *(min(limit, 1e4) for limit in SIZES.values())]
    area = SCALE**2
    ranges = [[low * area, np.nextafter(high * area, 0)] for low, high in pairwise(edges)]
    evaluation.params.areaRng = [[0.0, 1e10], *ranges]
    evaluation.params.areaRngLbl = ["all", *SIZES]
    evaluation.params.maxDets = [1, 10, MOST_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: Floats = evaluation.eval["precision"][..., -1]
    return precision


def _annotations(photos: Sequence[Boxes]) -> list[dict[str, Any]]:
    """Boxes as COCO's annotations; ids count from 1."""
    annotations: list[dict[str, Any]] = []
    for number, photo in enumerate(photos, start=1):
        for box, label, score in zip(photo.boxes * SCALE, photo.labels, photo.scores, strict=True):
            x0, y0, x1, y1 = (float(v) for v in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "score": float(score),
                    "iscrowd": 0,
                }
            )
    return annotations


def _at(precision: Floats, boxes: int) -> Precision:
    """Means over recalls and classes that the truth has; the first axis is IoU."""

    def mean(part: Floats) -> float:
        known = part[part > -1]
        return float(known.mean()) if known.size else math.nan

    return Precision(mean(precision), mean(precision[0]), mean(precision[5]), boxes)


def _areas(boxes: Floats) -> Floats:
    areas: Floats = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _number(value: float) -> float:
    """JSON has no NaN: a figure of nothing is 0."""
    return 0.0 if math.isnan(value) else value
