"""Photos as the stages use them: read, decoded, cropped, resized, encoded.

Photos of strangers are decoded by `satchel.decoding`, in this process or in workers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from pathlib import Path
from stat import S_ISREG

import cv2
import numpy as np

from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.decoding.photo import DECODED_SIDE_PX, CleanPhoto, clean, decode, encode_jpeg
from satchel.decoding.pixels import RGB
from satchel.errors import PhotoTooLarge, UnreadablePhoto
from satchel.photo_header import PhotoLimits
from satchel.records import Box

__all__ = [
    "DECODED_SIDE_PX",
    "RGB",
    "CleanPhoto",
    "clean",
    "closer",
    "crop",
    "decode",
    "decode_around",
    "encode_jpeg",
    "read_photo",
    "shrunk",
    "thumbnail",
]


def read_photo(path: Path, limits: PhotoLimits) -> bytes:
    """Read a photo's file, unless it is larger than any photo may be.

    Raises:
        PhotoTooLarge: before reading.
        UnreadablePhoto: there is no such file, it is no regular file, or reading is not allowed.
    """
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise UnreadablePhoto("is no file but a folder, pipe or device; check the path")
        size = status.st_size
        data = path.read_bytes() if size <= limits.max_bytes else b""
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UnreadablePhoto(f"cannot be read ({reason}); check the path") from None
    if size > limits.max_bytes:
        raise PhotoTooLarge(
            f"expected at most {limits.max_bytes:,} bytes, got {size:,}; send a smaller copy"
        )
    return data


def decode_around(
    data: bytes,
    place: Callable[[int, int], Box],
    *,
    limits: PhotoLimits | None = None,
    decoder: Decoder = IN_PROCESS,
) -> tuple[RGB, Box]:
    """Decode a photo of which only a box counts: scaled down less, the smaller the box is.

    Args:
        data: the file's bytes; never trusted.
        place: the photo's height and width, in pixels of the file and upright → the box.
        limits: caps on bytes, pixels, sides and memory. Where all the pixels that the box asks for
            take too much memory, it has fewer, as in `decode`.
        decoder: what decodes it.

    Returns:
        Pixels as `decode` returns them, so that the box has sides of `DECODED_SIDE_PX` where the
        file has as many pixels of it; and the box.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto, and what `place` raises.
    """
    limits = limits or PhotoLimits()
    height, width = decoder.measure(data, limits)
    box = place(height, width)
    share = min(box.height * height, box.width * width) / min(height, width)
    try:
        return decoder.decode(data, min_side_px=ceil(DECODED_SIDE_PX / share), limits=limits), box
    except PhotoTooLarge:
        return decoder.decode(data, limits=limits), box


def closer(
    data: bytes, box: Box, *, limits: PhotoLimits | None = None, decoder: Decoder = IN_PROCESS
) -> RGB:
    """Decode a photo so that a box of it has many pixels; see `decode_around`."""
    return decode_around(data, lambda *_: box, limits=limits, decoder=decoder)[0]


def thumbnail(
    data: bytes,
    side_px: int,
    limits: PhotoLimits | None = None,
    *,
    decoder: Decoder = IN_PROCESS,
) -> bytes:
    """Return a JPEG of the photo whose longer side is at most `side_px`.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    pixels = decoder.decode(data, min_side_px=side_px, limits=limits)
    scale = side_px / max(pixels.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
        pixels = _resized(pixels, (width, height))
    return encode_jpeg(pixels, 85)


def crop(pixels: RGB, box: Box, size_px: int | tuple[int, int]) -> RGB:
    """Cut `box` out of a photo and resize it to `size_px`: a square's side, or height and width.

    The aspect ratio is not kept: the crop is stretched to `size_px`.

    Returns:
        Pixels, shape (h, w, 3), uint8.
    """
    rows, columns = (size_px, size_px) if isinstance(size_px, int) else size_px
    height, width = pixels.shape[:2]
    left, top = int(box.x0 * width), int(box.y0 * height)
    right = min(width, max(left + 1, round(box.x1 * width)))
    bottom = min(height, max(top + 1, round(box.y1 * height)))
    cut = pixels[top:bottom, left:right]
    return _resized(cut, (columns, rows))


def shrunk(pixels: RGB, side_px: int) -> RGB:
    """Shrink a photo so that its longer side has `side_px` at most, in its own aspect ratio."""
    scale = side_px / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size_wh = max(16, round(pixels.shape[1] * scale)), max(16, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _resized(pixels: RGB, size_wh: tuple[int, int]) -> RGB:
    shrinks = min(pixels.shape[:2]) > min(size_wh)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, size_wh, interpolation=method).astype(np.uint8, copy=False)
