"""Face detection: CenterFace in one ONNX session."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from pydantic import Field

from satchel.arrays import Floats
from satchel.curate.scaling import resized, scaled_size
from satchel.images import RGB
from satchel.onnx_model import ModelCard, load_card, open_session, read_model

CENTERFACE: Final = Path(__file__).parent / "models" / "centerface.json"

FACE_SIDE_PX: Final = 160
"""Longer side of the copy that faces are detected in: a face that matters has 40 pixels there, and
detection takes 1.7 ms. At 192 it takes 2.4 and finds no more."""

FACE_SCORE: Final = 0.5

SAME_FACE_OVERLAP: Final = 0.3
"""Intersection ÷ union from which two boxes are one face, as in CenterFace's own decoding."""

CELL_PX: Final = 4
"""Pixels between two places of CenterFace's map."""


class FaceCard(ModelCard):
    """The card of the face detector."""

    changes: str = Field(description="how the file differs from its source")


class FaceFinder:
    """CenterFace in one ONNX session, which several threads may call at once.

    Xu et al., "CenterFace: Joint face detection and alignment using face as point", Scientific
    Programming, 2020.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        self._session = open_session(model, "the face detector", threads=threads)

    @classmethod
    def load(cls, card_path: Path = CENTERFACE, *, threads: int = 1) -> FaceFinder:
        """Load the model that a card names.

        Raises:
            EncoderError: card or model are missing or altered.
        """
        model = read_model(load_card(card_path, FaceCard), card_path.parent)
        return cls(model, threads=threads)

    def find(self, pixels: RGB) -> Floats:
        """Detect faces, turned in any direction.

        Args:
            pixels: shape (h, w, 3), uint8, RGB.

        Returns:
            boxes, shape (n, 4), float32: x0, y0, x1, y1 as shares of width and height, in [0, 1];
            by score, descending.
        """
        height, width = scaled_size(pixels.shape, FACE_SIDE_PX)
        square = np.zeros((1, FACE_SIDE_PX, FACE_SIDE_PX, 3), np.uint8)
        square[0, :height, :width] = resized(pixels, (height, width))
        heat, log_size = self._session.run(["heat", "log_size"], {"pixels": square})
        boxes_px = _peaks(heat[0, 0], log_size[0])
        size = np.array([width, height, width, height], np.float32)
        boxes: Floats = np.clip(boxes_px / size, 0, 1).astype(np.float32)
        return boxes


def _peaks(heat: Floats, log_size: Floats) -> Floats:
    """Boxes in pixels around the peaks of a map, less those that overlap a higher one; (n, 4).

    Args:
        heat: shape (h, w), in [0, 1]: where faces have their middle.
        log_size: shape (2, h, w): log of a face's height and width, in cells.
    """
    peak = (heat >= FACE_SCORE) & (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peak)
    order = np.argsort(-heat[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    half_h, half_w = np.exp(log_size[:, rows, columns]) / 2
    y, x = rows + 0.5, columns + 0.5
    boxes = CELL_PX * np.stack([x - half_w, y - half_h, x + half_w, y + half_h], axis=1)
    kept: list[int] = []
    for row in range(len(boxes)):
        if all(_overlap(boxes[row], boxes[other]) < SAME_FACE_OVERLAP for other in kept):
            kept.append(row)
    peaks: Floats = boxes[kept].astype(np.float32)
    return peaks


def _overlap(a: Floats, b: Floats) -> float:
    """Intersection ÷ union of two boxes x0, y0, x1, y1."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))
