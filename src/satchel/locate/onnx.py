"""Detectors as ONNX files: photo → detections, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from satchel.arrays import Floats
from satchel.errors import EncoderError, LocatorError
from satchel.images import RGB
from satchel.locate.boxes import overlaps, suppress
from satchel.locate.card import STRIDES, LocatorCard
from satchel.locate.letterbox import Letterbox
from satchel.locate.main_box import main_box
from satchel.locate.rules import PAD
from satchel.onnx_model import load_card, open_session, read_model
from satchel.records import Box, Detection
from satchel.validation import reason

BOXES_SCORES: Final = ["boxes", "scores"]
"""Outputs of the layout "boxes_scores"."""

MAIN: Final = "main"
"""Its further output, if the card has `main_score`."""

MAX_BOXES: Final = 200_000
"""Rows of a model's output, at most: what is more is refused, not read."""

LEAST_MAIN_SCORE: Final = 0.1
"""Score below which nothing is the main good. The probabilities of where it is add up to 1 in a
photo of nothing too, whose scores are up to 0.09; of 2,000 photos of goods two have less than
0.1."""

CANDIDATES: Final = 1_000
"""Boxes that are compared with each other, at most; the best by score."""

MAX_DETECTIONS: Final = 20
"""Of one photo."""


class OnnxLocator:
    """A detector in one ONNX session; see `satchel.locate.locator.Locator`.

    Safe to call from several threads at once. Where a pass has several threads itself, passes are
    serialised, as an encoder's are.
    """

    def __init__(
        self, card: LocatorCard, model: bytes, *, pad: float = PAD, threads: int = 1
    ) -> None:
        """Open a model.

        Raises:
            LocatorError: ONNX Runtime cannot load it, or it is laid out in another way than its
                card says.
        """
        self.card = card
        self.pad = pad
        self.id = card.fingerprint(pad)
        try:
            self._session = open_session(model, card.file, threads=threads)
        except EncoderError as error:
            raise LocatorError(str(error)) from None
        self._input = _checked_input(card, self._session.get_inputs())
        self._outputs = _checked_outputs(card, self._session.get_outputs())
        self._turn: AbstractContextManager[object] = Lock() if threads > 1 else nullcontext()
        self._columns = _columns_of_categories(card)

    @classmethod
    def load(cls, card_path: Path, *, pad: float = PAD, threads: int = 1) -> OnnxLocator:
        """Load the model that a card names.

        Raises:
            LocatorError: card or model are missing, altered or inconsistent.
        """
        card = read_locator_card(card_path)
        return cls(card, read_locator_model(card, card_path.parent), pad=pad, threads=threads)

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        """Detect the objects in each photo, by score, descending; `MAX_DETECTIONS` at most.

        A detector that says which is the main one has it first.

        Raises:
            LocatorError: the model fails, or its output is not what its card says.
        """
        return [self._detections(*self.predict(photo)) for photo in photos]

    def predict(self, photo: RGB) -> tuple[Floats, Floats, Floats | None]:
        """Run the model on a photo.

        Returns:
            boxes, shape (k, 4), float32, x0 y0 x1 y1 as fractions of the photo, unclipped, possibly
            not finite; their scores, shape (k, classes), in [0, 1]; and the probability of each to
            be the main good's, shape (k,), if the model gives it. Nothing is suppressed.

        Raises:
            LocatorError: the model fails, or its output is not what its card says.
        """
        letterbox = Letterbox.of(self.card, photo)
        try:
            with self._turn:
                outputs = self._session.run(self._outputs, {self._input: letterbox.pixels(photo)})
        except Exception as error:  # ONNX Runtime has no base class of its exceptions
            raise LocatorError(
                f"ONNX Runtime cannot run the detector {self.card.file}: {reason(error)}"
            ) from error
        _check_shapes(self.card, [output.shape for output in outputs])
        boxes_px, scores = self._decoded(outputs)
        main = outputs[2][0] if self.card.main_score is not None else None
        return letterbox.fractions(boxes_px), scores, main

    def _decoded(self, outputs: list[Floats]) -> tuple[Floats, Floats]:
        """Boxes in pixels of the input, and scores; of the first photo."""
        if self.card.layout == "boxes_scores":
            return outputs[0][0], outputs[1][0]
        return decode_yolox(outputs[0][0], self.card.height_px, self.card.width_px)

    def _detections(self, boxes: Floats, scores: Floats, main: Floats | None) -> list[Detection]:
        named, score = self._named(scores)
        clipped = np.clip(boxes, 0, 1)
        sized = np.isfinite(boxes).all(1) & (clipped[:, 2:] > clipped[:, :2]).all(1)
        rows = np.flatnonzero(sized & (score >= self.card.score) & (score > 0))
        rows = rows[np.argsort(-score[rows], kind="stable")[:CANDIDATES]]
        first = [] if main is None else self._main_detections(boxes, scores, main)
        for one in first:
            rows = rows[overlaps(np.array(one.box.xyxy), clipped[rows]) <= self.card.iou]
        most = MAX_DETECTIONS - len(first)
        kept = rows[suppress(clipped[rows], score[rows], iou=self.card.iou, at_most=most)]
        return first + [
            Detection(Box(*map(float, clipped[row])), named[row], float(score[row])) for row in kept
        ]

    def _main_detections(self, boxes: Floats, scores: Floats, main: Floats) -> list[Detection]:
        """The main good, if it is probable enough, and anything that a good may be."""
        good = main_box(boxes, scores, main)
        if good is None or good.probability < (self.card.main_score or 0):
            return []
        x0, y0, x1, y1 = (float(side) for side in np.clip(good.box, 0, 1))
        if not (x0 < x1 and y0 < y1):
            return []
        (name,), (score,) = self._named(good.scores[None])
        if score < min(LEAST_MAIN_SCORE, self.card.score):
            return []
        return [Detection(Box(x0, y0, x1, y1), name, float(score), good.probability)]

    def _named(self, scores: Floats) -> tuple[list[str], Floats]:
        """Best category of each row of scores, shape (k, classes), and its score in [0, 1]."""
        names = list(self._columns)
        of_category = np.stack([scores[:, self._columns[name]].max(1) for name in names], 1)
        return [names[at] for at in of_category.argmax(1)], np.clip(of_category.max(1), 0, 1)


def read_locator_card(path: Path) -> LocatorCard:
    """Read a detector's card.

    Raises:
        LocatorError: it is missing or not valid.
    """
    try:
        return load_card(path, LocatorCard)
    except EncoderError as error:
        raise LocatorError(str(error)) from None


def read_locator_model(card: LocatorCard, folder: Path) -> bytes:
    """Read a card's model and verify its SHA-256.

    Raises:
        LocatorError: a file is missing, or the SHA-256 differs.
    """
    try:
        return read_model(card, folder)
    except EncoderError as error:
        raise LocatorError(str(error)) from None


def decode_yolox(output: Floats, height_px: int, width_px: int) -> tuple[Floats, Floats]:
    """Decode the output of the layout "yolox".

    Args:
        output: shape (cells, 5 + classes); see `LocatorCard`.

    Returns:
        boxes, shape (cells, 4), x0 y0 x1 y1 in pixels of the input; scores, shape (cells, classes).
    """
    cells = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([columns, rows, np.full_like(rows, stride)], -1).reshape(-1, 3))
    x, y, stride = np.concatenate(cells).T.astype(np.float32)
    with np.errstate(over="ignore"):  # a box without end is dropped later
        half_w, half_h = np.exp(output[:, 2:4].T) * stride / 2
    across, down = (output[:, 0] + x) * stride, (output[:, 1] + y) * stride
    boxes = np.stack([across - half_w, down - half_h, across + half_w, down + half_h], 1)
    return boxes, output[:, 5:] * output[:, 4:5]


def output_names(card: LocatorCard) -> list[str]:
    """Names of the outputs of a card's layout; of "yolox", which has one, any name will do."""
    if card.layout == "yolox":
        return []
    return BOXES_SCORES if card.main_score is None else [*BOXES_SCORES, MAIN]


def _columns_of_categories(card: LocatorCard) -> dict[str, list[int]]:
    """Columns of the classes of each category."""
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(card.class_names):
        if (category := card.category_of(name)) is not None:
            columns.setdefault(category, []).append(column)
    return columns


def _checked_input(card: LocatorCard, inputs: Sequence[Any]) -> str:
    """Name of the input, if it is one batch of pixels of the card's size."""
    wanted = (1, 3, card.height_px, card.width_px)
    shapes = [tuple(one.shape) for one in inputs]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not _fits(shapes[0], wanted):
        raise LocatorError(
            f"{card.file}: expected one input of float32 in the shape {wanted}, as its card says, "
            f"the model has {[(one.name, one.type, one.shape) for one in inputs]}"
        )
    name: str = inputs[0].name
    return name


def _checked_outputs(card: LocatorCard, outputs: Sequence[Any]) -> list[str]:
    """Names of the outputs to compute, if they are those of the card's layout."""
    by_name = {one.name: one for one in outputs}
    wanted = output_names(card)
    names = wanted or list(by_name)
    missing = [name for name in names if name not in by_name]
    if missing or (card.layout == "yolox" and len(names) != 1):
        raise LocatorError(
            f"{card.file}: the layout {card.layout!r} has the outputs "
            f"{wanted or 'of one tensor'}, the model has {sorted(by_name)}; set the card's layout "
            "to the model's"
        )
    if any(by_name[name].type != "tensor(float)" for name in names):
        raise LocatorError(f"{card.file}: expected outputs of float32")
    _check_shapes(card, [tuple(by_name[name].shape) for name in names])
    return names


def _check_shapes(card: LocatorCard, shapes: Sequence[tuple[int | str | None, ...]]) -> None:
    """Compare shapes of outputs with the card; a side without a number fits any."""
    classes = len(card.class_names)
    if card.layout == "yolox":
        cells = sum(card.height_px * card.width_px // stride**2 for stride in STRIDES)
        wanted: list[tuple[int | None, ...]] = [(1, cells, 5 + classes)]
    else:
        wanted = [(1, None, 4), (1, None, classes), (1, None)][: len(output_names(card))]
    counts = {shape[1] for shape in shapes if len(shape) > 1 and isinstance(shape[1], int)}
    if (
        not all(_fits(shape, like) for shape, like in zip(shapes, wanted, strict=True))
        or len(counts) > 1
        or max(counts, default=0) > MAX_BOXES
    ):
        raise LocatorError(
            f"{card.file}: its card says layout {card.layout!r}, input {card.height_px} × "
            f"{card.width_px} and {classes} classes, so its output should have the shape "
            f"{' and '.join(map(str, wanted))} (None: any number up to {MAX_BOXES:,}); "
            f"the model gives {' and '.join(map(str, shapes))}"
        )


def _fits(shape: Sequence[int | str | None], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        like is None or not isinstance(side, int) or side == like
        for side, like in zip(shape, wanted, strict=True)
    )
