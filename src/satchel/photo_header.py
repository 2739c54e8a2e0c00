"""Header of a photo: format allow-list, caps, and memory estimate, before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor, prod
from typing import Final

from PIL import Image, UnidentifiedImageError

from satchel import avif, heic
from satchel.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoTooLarge,
    UnsupportedFormat,
    UnsupportedJpeg,
)
from satchel.jpeg import Frame, count_scans, read_frame
from satchel.photo_formats import (
    AVIF,
    HEIC,
    JPEG,
    TIFF,
    decoder_bytes,
    formats_of,
    unreadable,
)

ORIENTATION_TAG: Final = 0x0112
SUBFILE_TAG: Final = 254
TILE_TAGS: Final = (322, 323)

MAX_JPEG_SCANS: Final = 100
"""A progressive JPEG has about ten. Each costs a walk over the whole picture, and a small file
can hold tens of thousands."""

MAX_SCANNED_PIXELS: Final = 1_200_000_000
"""Scans × width × height: 15 scans of the largest picture, some seconds of one core."""

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Caps on a single photo.

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


@dataclass(frozen=True, slots=True)
class PhotoHeader:
    """A photo whose header was read.

    Attributes:
        frame: of a JPEG; None for other formats.
        pixels: that a decoder works on, which can be more than the photo shows.
    """

    data: bytes
    image: Image.Image
    frame: Frame | None
    pixels: float

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether it is a JPEG in colour or grey; CMYK is left to Pillow."""
        return self.frame is not None and self.image.mode in ("RGB", "L")


def read_header(data: bytes, limits: PhotoLimits) -> PhotoHeader:
    """Read the header and check allow-list and caps; no pixel is decoded.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    if not data:
        raise EmptyPhoto("expected a photo, got a file of 0 bytes; send it again")
    if len(data) > limits.max_bytes:
        raise PhotoTooLarge(
            f"expected at most {limits.max_bytes:,} bytes, got {len(data):,}; "
            "send a smaller copy of the photo"
        )
    frame = read_frame(data) if data.startswith(JPEG.magic) else None
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
    return PhotoHeader(data, image, frame, max(width * height, _coded_pixels(data, image)))


def _coded_pixels(data: bytes, image: Image.Image) -> float:
    """Pixels that the decoder works on, where the header does not bound them; else 0."""
    match image.format:
        case AVIF.pillow:
            return avif.coded_pixels(data) / 2  # transparency is coded apart
        case HEIC.pillow:
            return heic.coded_pixels(data)
        case TIFF.pillow:
            return _tile_pixels(image)
        case _:
            return 0


def _tile_pixels(image: Image.Image) -> int:
    """Pixels of one tile of a TIFF, which can be larger than the picture.

    Raises:
        UnsupportedFormat: its first picture is a small copy of another one, as in camera raw files.
    """
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    kind, *sides = (tags.get(tag) for tag in (SUBFILE_TAG, *TILE_TAGS))
    if isinstance(kind, int) and kind & 1:
        raise UnsupportedFormat(
            "expected a photo, got a TIFF that begins with a small copy of its picture, as the raw "
            "files of cameras do; save it as JPEG"
        )
    return prod(side for side in sides if isinstance(side, int))


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


MODE_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Memory of Pillow's pixels, in bytes per pixel; 4 in every other mode."""

OUTPUT_BYTES: Final = 6
"""RGB pixels, and once more while they are turned upright."""

COEFFICIENT_BYTES: Final = 2
"""Of each sample, where libjpeg keeps the coefficients of the whole picture."""


def checked_memory(photo: PhotoHeader, bytes_per_pixel: float, limits: PhotoLimits) -> float:
    """Return the memory that decoding takes, in bytes.

    Raises:
        PhotoTooLarge: it is more than allowed.
    """
    needed = photo.pixels * bytes_per_pixel
    if needed > limits.max_decode_bytes:
        most = floor(limits.max_decode_bytes / bytes_per_pixel / 100_000) / 10
        raise PhotoTooLarge(
            f"expected at most {most:,} megapixels of such a {photo.image.format}, which take "
            f"{limits.max_decode_bytes // MEGABYTE:,} MB of memory to decode, got "
            f"{ceil(photo.pixels / 100_000) / 10:,}; send a smaller copy, or a plain JPEG"
        )
    return needed


def jpeg_bytes(frame: Frame, scale: float, of_pixel: float) -> float:
    """Estimate the memory to decode a JPEG, in bytes per pixel of the file."""
    coefficients = COEFFICIENT_BYTES * frame.samples if frame.buffered else 0
    return coefficients + scale * scale * of_pixel


def pillow_bytes(photo: PhotoHeader, scale: float = 1) -> float:
    """Estimate the memory to decode with Pillow, in bytes per pixel of the file.

    Args:
        scale: of the output; only a JPEG is scaled before that.
    """
    of_mode = MODE_BYTES.get(photo.image.mode, 4)
    if photo.frame is not None and photo.is_plain_jpeg:
        return jpeg_bytes(photo.frame, scale, of_mode + OUTPUT_BYTES)
    if photo.frame is not None:
        return jpeg_bytes(photo.frame, 1, of_mode) + scale * scale * OUTPUT_BYTES
    return decoder_bytes(photo.image.format or "") + of_mode + scale * scale * OUTPUT_BYTES


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where it is absent or invalid."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF is ignored; the pixels may still be whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
