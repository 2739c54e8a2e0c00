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
from pathlib import Path
from stat import S_ISREG
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from satchel.errors import (
    CorruptPhoto,
    PhotoError,
    PhotoTooLarge,
    UnreadablePhoto,
)
from satchel.jpeg import Frame, strip_jpeg
from satchel.photo_header import (
    OUTPUT_BYTES,
    PhotoHeader,
    PhotoLimits,
    check_memory,
    jpeg_bytes,
    orientation,
    pillow_bytes,
    read_header,
)
from satchel.records import Box

RGB = npt.NDArray[np.uint8]
"""Pixels, shape (height, width, 3), uint8, red-green-blue, upright."""

WHITE: Final = (255, 255, 255, 255)

DECODED_SIDE_PX: Final = 360
"""Least short side of a photo that is decoded to be identified.

A quarter of a 3-megapixel and an eighth of a 12-megapixel photo: the cheapest scales at which a
crop of the object still has more pixels than the encoder takes.
"""

STORED_QUALITY: Final = 95


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


@dataclass(frozen=True, slots=True)
class CleanPhoto:
    """A photo ready to be stored: JPEG bytes without metadata; size in pixels, upright."""

    data: bytes
    width: int
    height: int


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


@_decoder_errors()
def decode(
    data: bytes, *, min_side_px: int | None = DECODED_SIDE_PX, limits: PhotoLimits | None = None
) -> RGB:
    """Decode a photo to upright RGB pixels, scaled down on the way where that is cheap.

    Args:
        data: the file's bytes; never trusted.
        min_side_px: neither side becomes smaller than this by scaling (JPEG only, by eighths);
            None decodes every pixel.
        limits: caps on bytes, pixels, sides and memory.

    Returns:
        Pixels, shape (height, width, 3), uint8. Transparency shows white; of an animation or a
        several-picture file, the first picture.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    limits = limits or PhotoLimits()
    photo = read_header(data, limits)
    if photo.frame is not None and photo.is_plain_jpeg:
        pixels = _decode_jpeg(photo, photo.frame, min_side_px, limits)
    else:
        check_memory(photo, pillow_bytes(photo), limits)
        pixels = _pixels(photo.image)
    # After the pixels: asking a PNG for its EXIF decodes it, and hides that it is damaged.
    return _upright(pixels, orientation(photo.image))


def decode_around(
    data: bytes, place: Callable[[int, int], Box], *, limits: PhotoLimits | None = None
) -> tuple[RGB, Box]:
    """Decode a photo of which only a box counts: scaled down less, the smaller the box is.

    Args:
        data: the file's bytes; never trusted.
        place: the photo's height and width, in pixels of the file and upright → the box.
        limits: caps on bytes, pixels, sides and memory. Where all the pixels that the box asks for
            take too much memory, it has fewer, as in `decode`.

    Returns:
        Pixels as `decode` returns them, so that the box has sides of `DECODED_SIDE_PX` where the
        file has as many pixels of it; and the box.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto, and what `place` raises.
    """
    with _decoder_errors():
        photo = read_header(data, limits or PhotoLimits())
    if photo.frame is None or not photo.is_plain_jpeg:  # of these, every pixel is decoded
        pixels = decode(data, limits=limits)
        return pixels, place(*pixels.shape[:2])
    height, width = photo.frame.height, photo.frame.width
    if orientation(photo.image) >= 5:
        height, width = width, height
    box = place(height, width)
    share = min(box.height * height, box.width * width) / min(height, width)
    try:
        return decode(data, min_side_px=ceil(DECODED_SIDE_PX / share), limits=limits), box
    except PhotoTooLarge:
        return decode(data, limits=limits), box


def closer(data: bytes, box: Box, *, limits: PhotoLimits | None = None) -> RGB:
    """Decode a photo so that a box of it has many pixels; see `decode_around`."""
    return decode_around(data, lambda *_: box, limits=limits)[0]


@_decoder_errors()
def clean(data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
    """Convert received bytes to the bytes that are stored and served.

    A plain upright JPEG keeps its coded pixels, untouched, and loses its metadata (EXIF with its
    GPS position, XMP, comments, appended pictures). Everything else is decoded and stored as
    JPEG, so that nothing exotic is ever parsed again.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    photo = read_header(data, limits or PhotoLimits())
    if photo.is_plain_jpeg and orientation(photo.image) == 1:
        stripped = _stripped(data)
        if stripped is not None:
            return CleanPhoto(stripped, *photo.image.size)
    pixels = decode(data, min_side_px=None, limits=limits)
    return CleanPhoto(encode_jpeg(pixels, STORED_QUALITY), pixels.shape[1], pixels.shape[0])


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


@_decoder_errors()
def thumbnail(data: bytes, side_px: int, limits: PhotoLimits | None = None) -> bytes:
    """Return a JPEG of the photo whose longer side is at most `side_px`.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    pixels = decode(data, min_side_px=side_px, limits=limits)
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


def encode_jpeg(pixels: RGB, quality: int) -> bytes:
    """Encode RGB pixels as a JPEG without chroma subsampling; `quality` in [1, 100]."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=quality, colorsubsampling="444"
    )
    return data


def _jpeg_scale(width: int, height: int, min_side_px: int | None) -> float:
    """The scale, by eighths, at which both sides of a JPEG still have `min_side_px`."""
    if min_side_px is None:
        return 1
    return min(8, ceil(8 * min_side_px / min(width, height))) / 8


# -- pixels ------------------------------------------------------------------------------------


def _decode_jpeg(
    photo: PhotoHeader, frame: Frame, min_side_px: int | None, limits: PhotoLimits
) -> RGB:
    scale = _jpeg_scale(frame.width, frame.height, min_side_px)
    check_memory(photo, jpeg_bytes(frame, scale, OUTPUT_BYTES), limits)
    try:
        return _decode_strictly(photo.data, min_side_px or 0)
    except (ValueError, KeyError):  # the second for a subsampling that has no name
        # Strict refuses harmless oddities too (stray bytes between markers). Pillow knows the
        # difference: it takes those, and refuses a file that ends before its picture does.
        check_memory(photo, pillow_bytes(photo, scale), limits)
        photo.image.draft(None, (ceil(frame.width * scale), ceil(frame.height * scale)))
        return _pixels(photo.image)


def _decode_strictly(jpeg: bytes, min_side_px: int) -> RGB:
    """Decode a JPEG strictly; ValueError (or KeyError) if libjpeg warns."""
    return simplejpeg.decode_jpeg(  # type: ignore[no-any-return]
        jpeg, "RGB", min_height=min_side_px, min_width=min_side_px, strict=True
    )


BAND_PIXELS: Final = 1 << 20
"""Pixels converted at once, so that converting takes no second picture's memory."""


def _pixels(image: Image.Image) -> RGB:
    """Decode the first frame with Pillow to RGB over white."""
    image.seek(0)
    image.load()
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _over_white(band)
    return pixels


def _over_white(image: Image.Image) -> RGB:
    if image.mode.startswith("I"):  # 16-bit grey: keep the upper byte, do not clip at 255
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, WHITE), rgba)
    return np.asarray(image.convert("RGB"))


def _upright(pixels: RGB, exif_orientation: int) -> RGB:
    """Apply an EXIF orientation (CIPA DC-008, tag 0x0112) to pixels in the order of the file."""
    match exif_orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = pixels.transpose(1, 0, 2)[:, ::-1]
        case 7:
            turned = pixels.transpose(1, 0, 2)[::-1, ::-1]
        case 8:
            turned = pixels.transpose(1, 0, 2)[::-1]
        case _:
            return pixels
    return np.ascontiguousarray(turned)
