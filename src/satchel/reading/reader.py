"""Reads photos in a worker process, which is ended where it fails or takes too long."""

from __future__ import annotations

import json
import signal
import time
import weakref
from threading import Lock, Timer
from typing import Any, Final, Self

import cv2
import numpy as np

from satchel.decoding.pixels import RGB
from satchel.decoding.process import WorkerEnded, WorkerProcess
from satchel.errors import PhotoTooLarge, ReadingError
from satchel.extras import need_extra
from satchel.photo_header import PhotoLimits
from satchel.reading.records import ReadText
from satchel.records import Box

DEADLINE_S: Final = 120.0
CPU_S: Final = 60.0
"""Seconds for one photo; a full page of text takes ten on a quiet machine."""

IDLE_S: Final = 300.0
"""Seconds without a photo until the process ends: it holds 320 MB, and starts in three seconds."""

MAX_SIDE_PX: Final = 2_000
"""Longer side of what is read: a photo of a tag shows its letters well above 20 pixels."""

WORKER: Final = "satchel.reading.worker"


class PhotoReader:
    """Reads one photo at a time, in a process that is kept for the next one. Thread-safe."""

    def __init__(
        self, *, deadline_s: float = DEADLINE_S, cpu_s: float = CPU_S, idle_s: float = IDLE_S
    ) -> None:
        """Set up a reader; its process starts with the first photo.

        Args:
            deadline_s: seconds for one photo.
            cpu_s: processor time for one photo, in seconds.
            idle_s: seconds without a photo after which the process ends, until there is one.

        Raises:
            MissingExtra: the extra `ocr` is not installed.
        """
        need_extra("ocr")
        self._deadline_s = deadline_s
        self._cpu_s = cpu_s
        self._idle_s = idle_s
        self._last_at = 0.0
        self._timer = Timer(0, self._end_idle)
        self._turn = Lock()
        self._workers: list[WorkerProcess] = []
        self._at_end = weakref.finalize(self, _end_all, self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._timer.cancel()
            _end_all(self._workers)

    def read(self, pixels: RGB) -> tuple[ReadText, ...]:
        """Read the text and the barcodes of an upright photo: barcodes first, then line by line.

        Args:
            pixels: shape (h, w, 3), uint8; reduced to `MAX_SIDE_PX` if they are larger.

        Raises:
            ReadingError: reading failed, or took too long.
            PhotoTooLarge: it takes too much memory.
        """
        small = _reduced(pixels)
        job = {"shape": small.shape[:2]}
        with self._turn:
            self._timer.cancel()
            worker = self._workers[0] if self._workers else self._started()
            try:
                answer = worker.run(
                    job,
                    small.tobytes(),
                    PhotoLimits(),
                    deadline_s=self._deadline_s,
                    reserve=lambda _: None,
                )
                found = json.loads(worker.content(answer))
            except PhotoTooLarge:
                self._rest()
                raise
            except WorkerEnded as ended:
                _end_all(self._workers)
                raise ReadingError(_why(ended.code)) from None
            except TimeoutError:
                _end_all(self._workers)
                raise ReadingError(_why(-signal.SIGXCPU)) from None
            except BaseException:
                _end_all(self._workers)
                raise
            worker.forget()
            self._rest()
        return tuple(_text(one, *small.shape[1::-1]) for one in found)

    def _rest(self) -> None:
        """Have the process end where no photo comes for a while."""
        self._last_at = time.monotonic()
        self._timer = Timer(self._idle_s, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def _end_idle(self) -> None:
        with self._turn:
            if time.monotonic() - self._last_at >= self._idle_s:  # else one came meanwhile
                _end_all(self._workers)

    def _started(self) -> WorkerProcess:
        self._workers.append(WorkerProcess(cpu_s=self._cpu_s, program=WORKER))
        return self._workers[0]


def _reduced(pixels: RGB) -> RGB:
    scale = MAX_SIDE_PX / max(pixels.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _text(found: dict[str, Any], width: int, height: int) -> ReadText:
    """Convert what the worker read, whose boxes are in pixels and may leave the photo."""
    x0, y0, x1, y1 = (
        float(np.clip(at / side, 0, 1))
        for at, side in zip(found["box"], (width, height) * 2, strict=True)
    )
    least = 1e-6  # a line at the border has a box all the same
    x0, y0 = min(x0, 1 - least), min(y0, 1 - least)
    box = Box(x0, y0, max(x1, x0 + least), max(y1, y0 + least))
    return ReadText(str(found["text"]), box, float(found["score"]), found["barcode"])


def _why(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "the photo takes too long to read: send one of the tag alone"
    return "the text of the photo cannot be read: take the photo again, of the tag alone"


def _end_all(workers: list[WorkerProcess]) -> None:
    while workers:
        workers.pop().end()
