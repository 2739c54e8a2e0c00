"""A worker process: decodes one photo after another for the process that started it.

A photo comes in a file that both processes share and that has no name; what was made of it goes
back the same way. `satchel.decoding.process` is the other side.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from PIL import Image

from satchel.decoding import sandbox
from satchel.decoding.answering import answer_jobs
from satchel.decoding.channel import Channel
from satchel.decoding.photo import Reserve, clean, decode, measure
from satchel.errors import PhotoError, PhotoTooLarge
from satchel.photo_formats import readable_formats
from satchel.photo_header import MEGABYTE, PhotoLimits

UNRESERVED_BYTES: Final = 32 * MEGABYTE
"""Memory that a photo may take without asking: 8 MB is what a scaled 12-megapixel JPEG takes."""

OWN_BYTES: Final = 64 * MEGABYTE
"""Memory that a job may take besides the estimate: what the estimate does not know."""


def main(channel_fd: int, shared_fd: int) -> None:
    """Decode photos until the other side closes the channel.

    Args:
        channel_fd: descriptor of a connected socket.
        shared_fd: descriptor of the shared file.
    """
    answer_jobs(channel_fd, _load_everything, partial(_answer, shared_fd))


def _load_everything() -> None:
    """Load what is otherwise loaded on first use: afterwards nothing can be opened."""
    from PIL import ImageCms  # noqa: F401, PLC0415

    Image.init()
    readable_formats()


def _answer(
    shared_fd: int, job: Mapping[str, Any], _: None, channel: Channel, limits: sandbox.Limits
) -> dict[str, Any]:
    def reserve(needed_bytes: float) -> None:
        if needed_bytes > UNRESERVED_BYTES:
            channel.send({"needs": int(needed_bytes)})
            if channel.receive() is None:
                sys.exit()

    caps = PhotoLimits(*job["limits"])
    limits.allow(
        memory_bytes=caps.max_decode_bytes + 3 * job["size"] + OWN_BYTES, cpu_s=job["cpu_s"]
    )
    try:
        return _done(job, os.pread(shared_fd, job["size"], 0), caps, reserve, shared_fd)
    except PhotoError as error:
        return {"error": type(error).__name__, "reason": str(error)[:1_000]}
    except MemoryError:
        return {"error": PhotoTooLarge.__name__, "reason": "the photo takes too much memory"}


def _done(
    job: Mapping[str, Any], data: bytes, caps: PhotoLimits, reserve: Reserve, shared_fd: int
) -> dict[str, Any]:
    match job["do"]:
        case "measure":
            return {"shape": measure(data, caps, reserve=reserve)}
        case "decode":
            pixels = decode(data, min_side_px=job["min_side_px"], limits=caps, reserve=reserve)
            _put(shared_fd, pixels.data)
            return {"shape": pixels.shape[:2]}
        case "clean":
            photo = clean(data, caps, reserve=reserve)
            _put(shared_fd, memoryview(photo.data))
            return {"shape": (photo.height, photo.width), "size": len(photo.data)}
        case other:
            raise AssertionError(other)


def _put(shared_fd: int, content: memoryview) -> None:
    if os.pwrite(shared_fd, content, 0) != content.nbytes:
        raise OSError("the shared file cannot be written to")
