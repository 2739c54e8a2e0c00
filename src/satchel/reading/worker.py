"""A worker process that reads text and barcodes in pixels; `satchel.reading.reader` starts it.

Pixels come in the shared file, and what was read goes back in it. Models are loaded before the
process gives up opening files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp
from rapidocr import RapidOCR

from satchel.arrays import Bytes
from satchel.decoding import sandbox
from satchel.decoding.answering import answer_jobs
from satchel.decoding.channel import Channel

MEMORY_BYTES: Final = 1_500_000_000
"""Memory that one photo may take; text detection at 2,000 pixels takes half of it."""

MOST_ASPECT: Final = 6
"""Longer side by shorter one: the detector enlarges the shorter to 736 px, whatever the other."""

MAX_TEXTS: Final = 200
MAX_CHARS: Final = 500

_SETTINGS: Final = {
    "Global.log_level": "critical",
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


def main(channel_fd: int, shared_fd: int) -> None:
    """Read photos until the other side closes the channel.

    Args:
        channel_fd: descriptor of a connected socket.
        shared_fd: descriptor of the shared file.
    """
    answer_jobs(channel_fd, _load_engine, partial(_answer, shared_fd))


def _load_engine() -> RapidOCR:
    """Load the models, and what else is loaded on first use."""
    cv2.setNumThreads(1)
    engine = RapidOCR(params=_SETTINGS)
    _read(_sample(), engine)
    return engine


def _answer(
    shared_fd: int, job: Mapping[str, Any], engine: RapidOCR, _: Channel, limits: sandbox.Limits
) -> dict[str, Any]:
    limits.allow(memory_bytes=MEMORY_BYTES, cpu_s=job["cpu_s"])
    height, width = job["shape"]
    pixels = np.frombuffer(os.pread(shared_fd, job["size"], 0), np.uint8)
    try:
        texts = _read(pixels.reshape(height, width, 3), engine)
    except MemoryError:
        return {"error": "PhotoTooLarge", "reason": "reading the photo takes too much memory"}
    content = json.dumps(texts).encode()
    os.pwrite(shared_fd, content, 0)
    return {"size": len(content)}


def _read(pixels: Bytes, engine: RapidOCR) -> list[dict[str, Any]]:
    """Read RGB pixels; boxes are in pixels, left, top, right, bottom."""
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    texts = [*_barcodes(bgr), *_lines(bgr, engine)]
    return texts[:MAX_TEXTS]


def _lines(bgr: Bytes, engine: RapidOCR) -> list[dict[str, Any]]:
    height, width = bgr.shape[:2]
    down, across = max(0, width // MOST_ASPECT - height), max(0, height // MOST_ASPECT - width)
    found = engine(cv2.copyMakeBorder(bgr, 0, down, 0, across, cv2.BORDER_REPLICATE))
    if found.boxes is None or found.txts is None:
        return []
    return [
        _text(text, np.asarray(corners).tolist(), float(score), None)
        for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
    ]


def _barcodes(bgr: Bytes) -> list[dict[str, Any]]:
    found = []
    for one in zxingcpp.read_barcodes(bgr):
        at = one.position
        corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        kind = str(one.format).rpartition(".")[2]
        found.append(_text(one.text, [[corner.x, corner.y] for corner in corners], 1.0, kind))
    return found


def _text(
    text: str, corners: Sequence[Sequence[float]], score: float, barcode: str | None
) -> dict[str, Any]:
    across, down = zip(*corners, strict=True)
    box = [min(across), min(down), max(across), max(down)]
    return {"text": text[:MAX_CHARS], "box": box, "score": score, "barcode": barcode}


def _sample() -> Bytes:
    """A picture with a word, so that every model has something to do."""
    picture = np.full((200, 600, 3), 255, np.uint8)
    cv2.putText(picture, "SATCHEL 2026", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 4)
    return picture
