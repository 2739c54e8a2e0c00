"""A few worker processes that are kept: whatever a decoder does is one photo's error.

A worker that crashes, is killed, or passes its deadline is replaced, and the photo that it had is
refused. A worker that something else killed (the system, when it ran out of memory) may have had a
harmless photo, which is tried once more.
"""

from __future__ import annotations

import signal
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from threading import BoundedSemaphore
from typing import Any, Final, Self, TypeVar

from satchel.decoding.budget import MemoryBudget
from satchel.decoding.photo import DECODED_SIDE_PX, CleanPhoto
from satchel.decoding.pixels import RGB
from satchel.decoding.process import WorkerEnded, WorkerProcess, not_started, shape_of
from satchel.errors import CorruptPhoto, PhotoError, PhotoTooLarge
from satchel.parallel import cores
from satchel.photo_header import PhotoLimits

DEADLINE_S: Final = 90.0
CPU_S: Final = 30
"""Seconds for one photo. The slowest that the caps allow takes ten, on a quiet machine."""

_FROM_OUTSIDE: Final = (-signal.SIGKILL, -signal.SIGTERM)

Out = TypeVar("Out")
Read = Callable[[WorkerProcess, Mapping[str, Any]], Out]


class DecoderPool:
    """Decodes in worker processes, started when they are needed. A `Decoder`; thread-safe."""

    def __init__(
        self,
        *,
        memory_bytes: int,
        workers: int | None = None,
        deadline_s: float = DEADLINE_S,
        cpu_s: float = CPU_S,
    ) -> None:
        """Set up a pool; nothing is started yet.

        Args:
            memory_bytes: that decoding takes in all workers together, by the estimates from the
                photos' headers: large photos wait for each other.
            workers: photos that are decoded at once, at most; default, the number of cores.
            deadline_s: seconds that a worker may be silent over one photo.
            cpu_s: processor time for one photo, in seconds.
        """
        self._places = BoundedSemaphore(workers or cores())
        self._budget = MemoryBudget(memory_bytes)
        self._deadline_s = deadline_s
        self._cpu_s = cpu_s
        self._workers: set[WorkerProcess] = set()
        self._idle: deque[WorkerProcess] = deque()
        self._at_end = weakref.finalize(self, _end_all, self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; those that decode right now lose their photos."""
        self._idle.clear()
        _end_all(self._workers)

    def start(self) -> None:
        """Start a worker ahead of its first photo; it gets ready while the caller goes on."""
        self._idle.append(self._started())

    @property
    def pids(self) -> set[int]:
        """Of the workers there are."""
        return {worker.pid for worker in self._workers}

    def measure(self, data: bytes, limits: PhotoLimits) -> tuple[int, int]:
        """As `satchel.decoding.decoder.Decoder`."""
        return self._run({"do": "measure"}, data, limits, lambda _, answer: shape_of(answer))

    def decode(
        self,
        data: bytes,
        *,
        min_side_px: int | None = DECODED_SIDE_PX,
        limits: PhotoLimits | None = None,
    ) -> RGB:
        """As `satchel.decoding.decoder.Decoder`."""
        caps = limits or PhotoLimits()
        job = {"do": "decode", "min_side_px": min_side_px}
        return self._run(job, data, caps, lambda worker, answer: worker.pixels(answer, caps))

    def clean(self, data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
        """As `satchel.decoding.decoder.Decoder`."""

        def read(worker: WorkerProcess, answer: Mapping[str, Any]) -> CleanPhoto:
            height, width = shape_of(answer)
            return CleanPhoto(worker.content(answer), width, height)

        return self._run({"do": "clean"}, data, limits or PhotoLimits(), read)

    def _run(
        self, job: Mapping[str, Any], data: bytes, limits: PhotoLimits, read: Read[Out]
    ) -> Out:
        """Do a job in a worker.

        Raises:
            PhotoError: decoding failed, or ended its worker.
            DecoderError: no worker can be started.
        """
        with self._places:
            try:
                return self._attempt(job, data, limits, read)
            except WorkerEnded as ended:
                if ended.took_photo and ended.code not in _FROM_OUTSIDE:
                    raise _refusal(ended.code) from None
            try:
                return self._attempt(job, data, limits, read)
            except WorkerEnded as ended:
                if not ended.took_photo:
                    raise not_started(f"it ended with code {ended.code}") from None
                raise _refusal(ended.code) from None

    def _attempt(
        self, job: Mapping[str, Any], data: bytes, limits: PhotoLimits, read: Read[Out]
    ) -> Out:
        worker = self._free_worker()
        try:
            with self._budget.share() as share:
                answer = worker.run(
                    job, data, limits, deadline_s=self._deadline_s, reserve=share.set
                )
                found = read(worker, answer)
        except PhotoError:
            self._put_back(worker)
            raise
        except TimeoutError:
            self._drop(worker)
            raise PhotoTooLarge(
                f"expected a photo that is decoded within {self._deadline_s:g} s, got one that "
                "takes longer; send a smaller copy, or a JPEG"
            ) from None
        except ValueError:  # an answer that is none: the worker is no longer what it was
            self._drop(worker)
            raise _refusal(None) from None
        except BaseException:
            self._drop(worker)
            raise
        self._put_back(worker)
        return found

    def _free_worker(self) -> WorkerProcess:
        try:
            return self._idle.pop()  # the one that was used last: the others can be paged out
        except IndexError:
            return self._started()

    def _started(self) -> WorkerProcess:
        worker = WorkerProcess(cpu_s=self._cpu_s)
        self._workers.add(worker)
        return worker

    def _put_back(self, worker: WorkerProcess) -> None:
        worker.forget()
        self._idle.append(worker)

    def _drop(self, worker: WorkerProcess) -> None:
        worker.end()
        self._workers.discard(worker)


def _end_all(workers: set[WorkerProcess]) -> None:
    while workers:
        workers.pop().end()


def _refusal(code: int | None) -> PhotoError:
    """The error of a photo that ended its worker; `code` as in WorkerEnded."""
    if code == -signal.SIGXCPU:
        return PhotoTooLarge(
            "the photo takes more processor time to decode than a photo may; "
            "send a smaller copy, or a JPEG"
        )
    how = f"code {code}" if code is None or code >= 0 else signal.Signals(-code).name
    return CorruptPhoto(
        f"the photo is damaged: its decoder failed over it ({how}); "
        "send it again from the original, or save it again as a plain JPEG"
    )
