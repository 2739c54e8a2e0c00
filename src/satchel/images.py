"""Photos in: untrusted bytes → upright RGB pixels, and the clean bytes that are kept.

The formats are JPEG (with MPO, the several-picture JPEG of phones), PNG, WebP and AVIF, and HEIC
where the extra `heic` is installed. Headers are read first, so that the caps hold
before a pixel is decoded. The pixels of a JPEG come from libjpeg-turbo (`simplejpeg`), which can
scale while decoding: decoding, not the network, is what a big photo costs. Pillow decodes the rest.

Damaged files: a photo that is cut off, or whose decoder reports an error, is refused. A JPEG that
libjpeg decodes to its end with warnings is taken as it was decoded, and stored encoded anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path
from stat import S_ISREG
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from satchel.avif import coded_pixels
from satchel.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoTooLarge,
    UnreadablePhoto,
    UnsupportedJpeg,
)
from satchel.jpeg import Frame, count_scans, read_frame, strip_jpeg
from satchel.photo_formats import MAGIC, formats_of, unreadable
from satchel.records import Box

RGB = npt.NDArray[np.uint8]
"""Pixels, shape (height, width, 3), uint8, red-green-blue, upright."""

ORIENTATION_TAG: Final = 0x0112
WHITE: Final = (255, 255, 255, 255)

DECODED_SIDE_PX: Final = 360
"""Short side that a photo keeps, at least, when it is decoded to be identified.

A quarter of a 3-megapixel and an eighth of a 12-megapixel photo: the cheapest scales at which a
crop of the object still has more pixels than the encoder takes.
"""

STORED_QUALITY: Final = 95

MAX_JPEG_SCANS: Final = 100
"""A progressive JPEG has about ten. Each costs a walk over the whole picture, and a small file
can hold tens of thousands."""

MAX_SCANNED_PIXELS: Final = 1_200_000_000
"""Scans × width × height: 15 scans of the largest picture, some seconds of one core."""


MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What a single photo may cost.

    Attributes:
        max_bytes: of the file.
        max_pixels: width × height from its header.
        max_side_px: of width and height, each.
        max_decode_bytes: of memory while it is decoded, estimated from its header.
    """

    max_bytes: int = 40_000_000
    max_pixels: int = 80_000_000
    max_side_px: int = 30_000
    max_decode_bytes: int = 640 * MEGABYTE


@contextmanager
def _faults_are_the_photos() -> Iterator[None]:
    """Turn whatever a decoder raises into an error of the photo.

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
    """A photo as it is stored: JPEG bytes without metadata; size in pixels, upright."""

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


@_faults_are_the_photos()
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
    photo = _open(data, limits)
    if photo.frame is not None and photo.is_plain_jpeg:
        pixels = _decode_jpeg(photo, photo.frame, min_side_px, limits)
    else:
        _check_memory(photo, _bytes_with_pillow(photo), limits)
        pixels = _pixels(photo.image)
    # After the pixels: asking a PNG for its EXIF decodes it, and hides that it is damaged.
    return _upright(pixels, _orientation(photo.image))


@_faults_are_the_photos()
def clean(data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
    """Turn received bytes into the bytes that are stored and served.

    A plain upright JPEG keeps its coded pixels, untouched, and loses its metadata (EXIF with its
    GPS position, XMP, comments, appended pictures). Everything else is decoded and stored as
    JPEG, so that nothing exotic is ever parsed again.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    photo = _open(data, limits or PhotoLimits())
    if photo.is_plain_jpeg and _orientation(photo.image) == 1:
        stripped = _stripped(data)
        if stripped is not None:
            return CleanPhoto(stripped, *photo.image.size)
    pixels = decode(data, min_side_px=None, limits=limits)
    return CleanPhoto(encode_jpeg(pixels, STORED_QUALITY), pixels.shape[1], pixels.shape[0])


def _stripped(data: bytes) -> bytes | None:
    """Return a JPEG without its metadata, or None where that may not be the same picture.

    Both are decoded, at an eighth, without a warning. So libjpeg found whole scans between the
    very markers by which the metadata was separated from the picture.
    """
    try:
        stripped = strip_jpeg(data)
        same = np.array_equal(_decode_strictly(data, 1), _decode_strictly(stripped, 1))
    except (ValueError, KeyError, CorruptPhoto):
        return None
    return stripped if same else None


@_faults_are_the_photos()
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

    All of it is filled, so the crop's proportions become those of `size_px`.

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


# -- header ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo whose header is read; `frame` is a JPEG's; `pixels` are what decoding costs."""

    data: bytes
    image: Image.Image
    frame: Frame | None
    pixels: float

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether it is a JPEG in colour or grey; CMYK is left to Pillow."""
        return self.frame is not None and self.image.mode in ("RGB", "L")


def _open(data: bytes, limits: PhotoLimits) -> _Photo:
    """Read the header and hold it against the allow-list and the caps; decode nothing."""
    if not data:
        raise EmptyPhoto("expected a photo, got a file of 0 bytes; send it again")
    if len(data) > limits.max_bytes:
        raise PhotoTooLarge(
            f"expected at most {limits.max_bytes:,} bytes, got {len(data):,}; "
            "send a smaller copy of the photo"
        )
    frame = read_frame(data) if data.startswith(MAGIC["JPEG"]) else None
    try:
        image = Image.open(BytesIO(data), formats=formats_of(data))
    except UnidentifiedImageError:
        raise unreadable(data) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoTooLarge(
            f"expected at most {limits.max_pixels:,} pixels, got far more; "
            "send a smaller copy of the photo"
        ) from None
    if frame is not None:
        _check_jpeg(data, frame, image)
    width, height = image.size
    _check_size(width, height, limits)
    coded = coded_pixels(data) / 2 if image.format == "AVIF" else 0  # transparency is coded apart
    return _Photo(data, image, frame, max(width * height, coded))


def _check_jpeg(data: bytes, frame: Frame, image: Image.Image) -> None:
    if (frame.width, frame.height) != image.size:
        raise CorruptPhoto("the photo's header contradicts itself; send it again")
    most = min(MAX_JPEG_SCANS, MAX_SCANNED_PIXELS // (frame.width * frame.height))
    # Counting bytes takes a fraction of finding segments, and is enough for nearly every photo.
    if data.count(b"\xff\xda") > most and (scans := count_scans(data)) > most:
        raise UnsupportedJpeg(
            f"expected a JPEG of at most {MAX_JPEG_SCANS} scans, and {MAX_SCANNED_PIXELS:,} pixels "
            f"in all of them together, got {scans} scans; save it again as a plain JPEG"
        )


def _check_size(width: int, height: int, limits: PhotoLimits) -> None:
    if width * height > limits.max_pixels:
        raise PhotoTooLarge(
            f"expected at most {limits.max_pixels:,} pixels, got {width} × {height}; "
            "send a smaller copy of the photo"
        )
    if max(width, height) > limits.max_side_px:
        raise PhotoTooLarge(
            f"expected sides of at most {limits.max_side_px:,} pixels, got {width} × {height}; "
            "cut the photo to what it shows"
        )


DECODER_BYTES: Final = {"PNG": 1, "WEBP": 10, "AVIF": 12, "HEIF": 2}
"""What Pillow's decoders keep for themselves, in bytes per pixel: measured, rounded up."""

MODE_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""What Pillow keeps of a picture, in bytes per pixel; 4 in every other mode."""

OUTPUT_BYTES: Final = 6
"""RGB pixels, and once more while they are turned upright."""

COEFFICIENT_BYTES: Final = 2
"""Of each sample, where libjpeg keeps the coefficients of the whole picture."""


def _check_memory(photo: _Photo, bytes_per_pixel: float, limits: PhotoLimits) -> None:
    needed = photo.pixels * bytes_per_pixel
    if needed > limits.max_decode_bytes:
        raise PhotoTooLarge(
            f"expected a photo that takes at most {limits.max_decode_bytes // MEGABYTE:,} MB of "
            f"memory to decode, got {photo.pixels / 1e6:,.1f} megapixels of {photo.image.format}, "
            f"which take about {ceil(needed / MEGABYTE):,} MB; send a smaller copy, or a JPEG"
        )


def _jpeg_bytes(frame: Frame, scale: float, of_pixel: float) -> float:
    """Estimate what decoding a JPEG takes, in bytes per pixel of the file."""
    coefficients = COEFFICIENT_BYTES * frame.samples if frame.buffered else 0
    return coefficients + scale * scale * of_pixel


def _bytes_with_pillow(photo: _Photo, scale: float = 1) -> float:
    """Estimate what decoding with Pillow takes, in bytes per pixel of the file."""
    of_pixel = MODE_BYTES.get(photo.image.mode, 4) + OUTPUT_BYTES
    if photo.frame is not None:
        return _jpeg_bytes(photo.frame, scale, of_pixel)
    return DECODER_BYTES[photo.image.format or ""] + of_pixel


def _jpeg_scale(width: int, height: int, min_side_px: int | None) -> float:
    """The scale, by eighths, at which both sides of a JPEG still have `min_side_px`."""
    if min_side_px is None:
        return 1
    return min(8, ceil(8 * min_side_px / min(width, height))) / 8


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where it is absent or nonsense."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF says nothing; the pixels may still be whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


# -- pixels ------------------------------------------------------------------------------------


def _decode_jpeg(photo: _Photo, frame: Frame, min_side_px: int | None, limits: PhotoLimits) -> RGB:
    scale = _jpeg_scale(frame.width, frame.height, min_side_px)
    _check_memory(photo, _jpeg_bytes(frame, scale, OUTPUT_BYTES), limits)
    try:
        return _decode_strictly(photo.data, min_side_px or 0)
    except (ValueError, KeyError):  # the second for a subsampling that has no name
        # Strict refuses harmless oddities too (stray bytes between markers). Pillow knows the
        # difference: it takes those, and refuses a file that ends before its picture does.
        _check_memory(photo, _bytes_with_pillow(photo, scale), limits)
        photo.image.draft(None, (ceil(frame.width * scale), ceil(frame.height * scale)))
        return _pixels(photo.image)


def _decode_strictly(jpeg: bytes, min_side_px: int) -> RGB:
    """Decode a JPEG; ValueError (or KeyError) where libjpeg as much as warns."""
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


def _upright(pixels: RGB, orientation: int) -> RGB:
    """Apply an EXIF orientation (CIPA DC-008, tag 0x0112) to pixels as they lie in the file."""
    match orientation:
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
