"""Export a trained detector to ONNX, compared with the network.

The file has the layout "boxes_scores" of `satchel.locate.card`: boxes in pixels of the input and a
score for each class; overlapping boxes are suppressed outside.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import torch

from satchel.arrays import Floats
from satchel.convert.narrow import int8_weights
from satchel.errors import UsageError
from satchel.locate.card import LocatorCard
from satchel.locate.onnx import BOXES_SCORES, MAIN
from satchel.onnx_model import open_session
from satchel.train.export import OPSET
from satchel.train.locator.augment import letterbox
from satchel.train.locator.detect import DetectorOutput
from satchel.train.locator.figures import Boxes, kept_share
from satchel.train.locator.samples import Samples

INPUT: Final = "images"
COMPARED_PHOTOS: Final = 16
MOST_SCORE_DIFFERENCE: Final = 1e-3
MOST_BOX_DIFFERENCE_PX: Final = 0.5
MOST_INT8_DIFFERENCE: Final = 0.15
MOST_INT8_BOX_DIFFERENCE_PX: Final = 12.0
"""The same where weights are kept as int8: a damaged file is much further off."""

SHOWN_SCORE: Final = 0.05
"""Boxes are compared where a score reaches this: elsewhere they are never read."""

MAIN_SCORE: Final = 0.2
"""Least probability of the main good's box, unless another is given."""

SCORES: Final = tuple(round(0.05 * step, 2) for step in range(1, 19))
"""Least scores that are tried for the card."""


@dataclass(frozen=True, slots=True)
class ExportedDetector:
    """An ONNX file and how far it is from the network, at most, on some photos.

    Attributes:
        score_difference: of scores, and of probabilities of the main good if it gives them.
        box_difference_px: of the sides of boxes with a score of `SHOWN_SCORE` or more.
        says_main: it has the output `main`.
        int8: its weights are kept as int8.
    """

    model: bytes
    score_difference: float
    box_difference_px: float
    says_main: bool = False
    int8: bool = False

    @property
    def agrees(self) -> bool:
        """Whether it may be used."""
        score, box_px = MOST_SCORE_DIFFERENCE, MOST_BOX_DIFFERENCE_PX
        if self.int8:
            score, box_px = MOST_INT8_DIFFERENCE, MOST_INT8_BOX_DIFFERENCE_PX
        return self.score_difference <= score and self.box_difference_px <= box_px

    def parity(self) -> str:
        """The comparison, for the card."""
        return (
            f"scores within {self.score_difference:.1e}, boxes within "
            f"{self.box_difference_px:.2f} px of the network's"
        )


def export_detector(
    network: torch.nn.Module, samples: Samples, side_px: int, *, int8: bool = False
) -> ExportedDetector:
    """Export a detector in float32 for any number of photos at once, and compare it.

    Args:
        network: images → something with `boxes()` and `scores()`.
        samples: to compare by; at least one.
        side_px: of the square input.
        int8: keep weights as int8, for a quarter of the file; it still computes in float32.
    """
    output = DetectorOutput(network.float().cpu()).eval()
    model, names = _to_onnx(output, side_px)
    if int8:
        model = int8_weights(onnx.load_from_string(model)).SerializeToString()
    session = open_session(model, "the export", threads=1)
    rows = np.unique(np.linspace(0, len(samples) - 1, COMPARED_PHOTOS).astype(np.int64))
    scores_off = boxes_off = 0.0
    for row in rows.tolist():
        pixels = letterbox(samples[row][0], side_px)[0].transpose(2, 0, 1)[None].astype(np.float32)
        boxes, *scores = session.run(names, {INPUT: pixels})
        with torch.inference_mode():
            own_boxes, *own = (part.numpy() for part in output(torch.from_numpy(pixels)))
        differences = [_most(one - two) for one, two in zip(scores, own, strict=True)]
        scores_off = max(scores_off, *differences)
        own_scores = own[0]
        shown = own_scores.max(2) >= SHOWN_SCORE
        boxes_off = max(boxes_off, _most(boxes[shown] - own_boxes[shown]))
    return ExportedDetector(model, scores_off, boxes_off, says_main=MAIN in names, int8=int8)


def detector_card(
    exported: ExportedDetector,
    *,
    name: str,
    classes: Sequence[str],
    side_px: int,
    score: float,
    iou: float,
    main_score: float = MAIN_SCORE,
    **about: Any,
) -> LocatorCard:
    """The card of an exported detector.

    Args:
        score: least score of a detection; see `best_score`.
        iou: boxes that overlap a better one by more are dropped.
        main_score: of the card, if the file says which good is the main one.
        about: further fields: file, architecture, weights, licence, recipe, figures.

    Raises:
        UsageError: the file does not agree with the network.
    """
    if not exported.agrees:
        raise UsageError(
            f"the exported file does not agree with the network: {exported.parity()}; train again "
            "with a lower learning rate"
        )
    given = {
        "name": name,
        "file": "model.onnx",
        "sha256": hashlib.sha256(exported.model).hexdigest(),
        "parity": exported.parity(),
        "layout": "boxes_scores",
        "height_px": side_px,
        "width_px": side_px,
        "class_names": tuple(classes),
        "score": score,
        "iou": iou,
        "main_score": main_score if exported.says_main else None,
    }
    return LocatorCard.model_validate(given | about)


def best_score(truth: Sequence[Boxes], found: Sequence[Boxes]) -> float:
    """The least score with the best F1 of detections, classes disregarded, at IoU 0.5.

    Of equal ones the least: a good that is not found costs more than a box too many.
    """

    def f1(score: float) -> float:
        precision, recall = kept_share(truth, found, score)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return max(SCORES, key=lambda score: (round(f1(score), 6), -score))


def _to_onnx(output: DetectorOutput, side_px: int) -> tuple[bytes, list[str]]:
    """The file, and the names of its outputs."""
    image = torch.zeros(1, 3, side_px, side_px)
    with torch.inference_mode():
        names = [*BOXES_SCORES, MAIN][: len(output(image))]
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # the exporter warns of itself; it folds batch norms
        warnings.simplefilter("ignore")
        torch.onnx.export(
            output,
            (image,),
            buffer,  # type: ignore[arg-type] # declared for the other exporter
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={name: {0: "n"} for name in (INPUT, *names)},
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue(), names


def _most(differences: Floats) -> float:
    return float(np.abs(differences).max(initial=0.0))
