"""Decoding of untrusted photos to upright RGB pixels, and the clean bytes that are stored.

The formats are JPEG (with MPO, the several-picture JPEG of phones), PNG, WebP and AVIF, and HEIC
where the extra `heic` is installed. Headers are read first (`satchel.photo_header`), so that the
caps hold before a pixel is decoded. The pixels of a JPEG come from libjpeg-turbo (`simplejpeg`),
which can scale while decoding: decoding, not the encoder, is the cost of a large photo. Pillow
decodes the rest.

Damaged files: a photo that is cut off, or whose decoder reports an error, is refused. A JPEG that
libjpeg decodes to its end with warnings is accepted, and stored re-encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

from satchel.decoding.pixels import RGB, reduction, rgb, upright
from satchel.decoding.profiles import to_srgb
from satchel.errors import CorruptPhoto, PhotoError, PhotoTooLarge
from satchel.jpeg import Frame, strip_jpeg
from satchel.photo_formats import PNG, TIFF
from satchel.photo_header import (
    OUTPUT_BYTES,
    PhotoHeader,
    PhotoLimits,
    checked_memory,
    jpeg_bytes,
    orientation,
    pillow_bytes,
    read_header,
)

DECODED_SIDE_PX: Final = 360
"""Least short side of a photo that is decoded to be identified.

A quarter of a 3-megapixel and an eighth of a 12-megapixel photo: the cheapest scales at which a
crop of the object still has more pixels than the encoder takes.
"""

STORED_QUALITY: Final = 95

Reserve = Callable[[float], None]
"""Called before pixels are decoded with the memory that this takes, in bytes, estimated."""


def _unlimited(_: float) -> None:
    """Reserve nothing: the caller decodes one photo at a time, or has the memory."""


@dataclass(frozen=True, slots=True)
class CleanPhoto:
    """A photo ready to be stored: JPEG bytes without metadata; size in pixels, upright."""

    data: bytes
    width: int
    height: int


@contextmanager
def _decoder_errors() -> Iterator[None]:
    """Convert whatever a decoder raises into a PhotoError.

    A damaged file makes decoders raise anything: `RuntimeError`, `TypeError`, `AssertionError` …
    """
    try:
        yield
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise PhotoTooLarge(
            "the photo takes more memory to decode than a photo may; send a smaller copy"
        ) from None
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise CorruptPhoto(
            f"the photo is damaged or cut off ({reason}); send it again from the original"
        ) from None


@_decoder_errors()
def measure(data: bytes, limits: PhotoLimits, *, reserve: Reserve = _unlimited) -> tuple[int, int]:
    """Read a photo's height and width, upright, in pixels of the file.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    photo = read_header(data, limits)
    width, height = photo.image.size
    if photo.image.format == TIFF.pillow:  # Pillow turns these itself
        return height, width
    if photo.image.format == PNG.pillow:  # asking it for its EXIF decodes it
        reserve(checked_memory(photo, pillow_bytes(photo, 0), limits))
    return (width, height) if orientation(photo.image) >= 5 else (height, width)


@_decoder_errors()
def decode(
    data: bytes,
    *,
    min_side_px: int | None = DECODED_SIDE_PX,
    limits: PhotoLimits | None = None,
    reserve: Reserve = _unlimited,
) -> RGB:
    """Decode a photo to upright RGB pixels, scaled down on the way.

    Args:
        data: the file's bytes; never trusted.
        min_side_px: neither side becomes smaller than this by scaling (a JPEG by eighths, others
            to a whole fraction); None decodes every pixel.
        limits: caps on bytes, pixels, sides and memory.
        reserve: see `Reserve`; a later call is in place of an earlier one.

    Returns:
        Pixels, shape (height, width, 3), uint8. Transparency shows white; of an animation or a
        several-picture file, the first picture.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    limits = limits or PhotoLimits()
    photo = read_header(data, limits)
    if photo.frame is not None and photo.is_plain_jpeg:
        pixels = _decode_jpeg(photo, photo.frame, min_side_px, limits, reserve)
    else:
        factor = reduction(*photo.image.size, min_side_px)
        reserve(checked_memory(photo, pillow_bytes(photo, 1 / factor), limits))
        pixels = rgb(photo.image, factor)
    pixels = to_srgb(pixels, photo.image.info.get("icc_profile"))
    # After the pixels: asking a PNG for its EXIF decodes it, and hides that it is damaged.
    return upright(pixels, orientation(photo.image))


@_decoder_errors()
def clean(
    data: bytes, limits: PhotoLimits | None = None, *, reserve: Reserve = _unlimited
) -> CleanPhoto:
    """Convert received bytes to the bytes that are stored and served.

    A plain upright JPEG keeps its coded pixels, untouched, and loses its metadata (EXIF with its
    GPS position, XMP, comments, appended pictures). Everything else is decoded and stored as
    JPEG, so that nothing exotic is ever parsed again.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    limits = limits or PhotoLimits()
    photo = read_header(data, limits)
    if photo.frame is not None and photo.is_plain_jpeg and orientation(photo.image) == 1:
        reserve(checked_memory(photo, jpeg_bytes(photo.frame, 1 / 8, 2 * OUTPUT_BYTES), limits))
        stripped = _stripped(data)
        if stripped is not None:
            return CleanPhoto(stripped, *photo.image.size)
    pixels = decode(data, min_side_px=None, limits=limits, reserve=reserve)
    return CleanPhoto(encode_jpeg(pixels, STORED_QUALITY), pixels.shape[1], pixels.shape[0])


def encode_jpeg(pixels: RGB, quality: int) -> bytes:
    """Encode RGB pixels as a JPEG without chroma subsampling; `quality` in [1, 100]."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=quality, colorsubsampling="444"
    )
    return data


def _stripped(data: bytes) -> bytes | None:
    """Return a JPEG without its metadata, or None where its pixels may then differ.

    Both are decoded, at an eighth, without a warning. So libjpeg found whole scans between the
    very markers by which the metadata was separated from the picture.
    """
    try:
        stripped = strip_jpeg(data)
        same = np.array_equal(_decode_strictly(data, 1), _decode_strictly(stripped, 1))
    except (ValueError, KeyError, CorruptPhoto):
        return None
    return stripped if same else None


def _jpeg_scale(width: int, height: int, min_side_px: int | None) -> float:
    """The scale, by eighths, at which both sides of a JPEG still have `min_side_px`."""
    if min_side_px is None:
        return 1
    return min(8, ceil(8 * min_side_px / min(width, height))) / 8


def _decode_jpeg(
    photo: PhotoHeader,
    frame: Frame,
    min_side_px: int | None,
    limits: PhotoLimits,
    reserve: Reserve,
) -> RGB:
    scale = _jpeg_scale(frame.width, frame.height, min_side_px)
    reserve(checked_memory(photo, jpeg_bytes(frame, scale, OUTPUT_BYTES), limits))
    try:
        return _decode_strictly(photo.data, min_side_px or 0)
    except (ValueError, KeyError):  # the second for a subsampling that has no name
        # Strict refuses harmless oddities too (stray bytes between markers). Pillow knows the
        # difference: it takes those, and refuses a file that ends before its picture does.
        reserve(checked_memory(photo, pillow_bytes(photo, scale), limits))
        photo.image.draft(None, (ceil(frame.width * scale), ceil(frame.height * scale)))
        return rgb(photo.image)


def _decode_strictly(jpeg: bytes, min_side_px: int) -> RGB:
    """Decode a JPEG strictly; ValueError (or KeyError) if libjpeg warns."""
    return simplejpeg.decode_jpeg(  # type: ignore[no-any-return]
        jpeg, "RGB", min_height=min_side_px, min_width=min_side_px, strict=True
    )
