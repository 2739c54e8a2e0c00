"""One worker process, seen from the process that started it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel import errors
from satchel.decoding.channel import Channel
from satchel.decoding.pixels import RGB
from satchel.errors import CorruptPhoto, DecoderError, PhotoError
from satchel.photo_header import PhotoLimits

START_S: Final = 120
"""Seconds that a worker may take to start; on a quiet machine it takes a fifth of one."""

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]); "
    "from importlib import import_module; "
    "import_module(sys.argv[4]).main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # no products of matrices here, and each thread takes memory
    # glibc: give memory back after a large photo. Setting that alone would have every allocation
    # above 128 kB mapped anew: a WebP of 12 megapixels took 246 ms of processor time, not 195.
    "MALLOC_TRIM_THRESHOLD_": "8000000",
    "MALLOC_MMAP_THRESHOLD_": "32000000",
}


class WorkerEnded(Exception):
    """The worker ended before it had answered.

    Attributes:
        code: as `subprocess.Popen.returncode`: negative for a signal.
        took_photo: whether it was given the photo before.
    """

    def __init__(self, code: int, *, took_photo: bool) -> None:
        super().__init__(code)
        self.code = code
        self.took_photo = took_photo


class WorkerProcess:
    """A worker process, for one caller at a time; started at once, waited for on first use."""

    def __init__(self, *, cpu_s: float, program: str = "satchel.decoding.worker") -> None:
        """Start the process.

        Args:
            cpu_s: processor time for one photo, in seconds.
            program: module whose `main` runs in it, as `satchel.decoding.worker` does.

        Raises:
            DecoderError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        self._cpu_s = cpu_s
        self._channel = Channel(ours)
        self._shared_fd = _nameless_file()
        self._ready = False
        handles = (theirs.fileno(), self._shared_fd)
        path = json.dumps([str(Path(folder).absolute()) for folder in sys.path])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-I", "-c", _PROGRAM, *map(str, handles), path, program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=handles,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,  # Ctrl-C is for the command, which ends its workers
            )
        except OSError as error:
            self._channel.close()
            os.close(self._shared_fd)
            raise not_started(error.strerror or "unknown reason") from None
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def run(
        self,
        job: Mapping[str, Any],
        data: bytes,
        limits: PhotoLimits,
        *,
        deadline_s: float,
        reserve: Callable[[int], None],
    ) -> dict[str, Any]:
        """Do one job; what `pixels` and `content` read is there until the next one.

        Args:
            job: what to do; see `satchel.decoding.worker`.
            data: the photo's file.
            deadline_s: seconds that the worker may be silent.
            reserve: waits until as many bytes of memory may be taken.

        Raises:
            PhotoError: of the kind that decoding it in this process raises.
            TimeoutError: the deadline has passed.
            WorkerEnded, ValueError: the worker ended, or sent what is no answer.
            DecoderError: it could not be started.
        """
        self._wait_until_ready()
        details = {"size": len(data), "limits": astuple(limits), "cpu_s": self._cpu_s}
        os.pwrite(self._shared_fd, data, 0)
        self._send({**job, **details}, took_photo=False)
        while "needs" in (answer := self._receive(deadline_s)):
            reserve(int(answer["needs"]))
            self._send({"go": True}, took_photo=True)
        if "error" in answer:
            raise _photo_error(str(answer["error"]), str(answer.get("reason")))
        return answer

    def pixels(self, answer: Mapping[str, Any], limits: PhotoLimits) -> RGB:
        """Read the pixels of an answer.

        Raises:
            ValueError: there are none.
        """
        height, width = shape_of(answer)
        if height * width > limits.max_pixels:
            raise ValueError("too many pixels")
        pixels = np.empty((height, width, 3), np.uint8)
        if os.preadv(self._shared_fd, [pixels.data], 0) != pixels.nbytes:
            raise ValueError("too few pixels")
        return pixels

    def content(self, answer: Mapping[str, Any]) -> bytes:
        """Read the bytes of an answer.

        Raises:
            ValueError: there are none.
        """
        size = answer.get("size")
        if not isinstance(size, int) or not 0 < size <= os.fstat(self._shared_fd).st_size:
            raise ValueError("no size")
        return os.pread(self._shared_fd, size, 0)

    def forget(self) -> None:
        """Give the memory of the shared file back."""
        os.ftruncate(self._shared_fd, 0)

    def end(self) -> int:
        """End the process, if it has not ended; return its code."""
        self._process.kill()
        code = self._process.wait()
        self._channel.close()
        if self._shared_fd >= 0:
            os.close(self._shared_fd)
            self._shared_fd = -1
        return code

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            message = self._channel.receive(START_S) or {}
        except TimeoutError:
            message = {"failed": f"it was not ready after {START_S} s"}
        if "ready" not in message:
            code = self._code()
            if code < 0 and "failed" not in message:
                raise WorkerEnded(code, took_photo=False)
            raise not_started(str(message.get("failed", f"it ended with code {code}")))
        self._ready = True

    def _send(self, message: Mapping[str, Any], *, took_photo: bool) -> None:
        try:
            self._channel.send(message)
        except ConnectionError:
            raise WorkerEnded(self.end(), took_photo=took_photo) from None

    def _receive(self, deadline_s: float) -> dict[str, Any]:
        message = self._channel.receive(deadline_s)
        if message is None:
            raise WorkerEnded(self._code(), took_photo=True)
        return message

    def _code(self) -> int:
        """Code of a process that has closed its side: it is ending by itself."""
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            return self.end()


def shape_of(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Read height and width of an answer.

    Raises:
        ValueError: it has none.
    """
    match answer.get("shape"):
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    raise ValueError("no shape")


def _photo_error(kind: str, reason: str) -> PhotoError:
    """The error that the worker names; of one that is none of a photo, CorruptPhoto."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, PhotoError):
        return found(reason)
    return CorruptPhoto(reason)


def not_started(reason: str) -> DecoderError:
    """The error of a worker that is not there."""
    return DecoderError(
        f"expected a process that decodes photos to start, and it did not ({reason}); "
        "check memory and the number of processes that are allowed, then try again"
    )


def _nameless_file() -> int:
    """Open a file that lies in memory, where the system has such, and ends with its users."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("satchel-photo")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
