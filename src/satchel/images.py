"""Photos in: untrusted bytes → upright RGB pixels, and the clean bytes that are kept.

The formats are JPEG (with MPO, the several-picture JPEG of phones), PNG, WebP and AVIF, and HEIC
where the extra `satchel[heic]` is installed. Pillow reads every header, so that the caps hold
before a pixel is decoded; the pixels of a JPEG come from libjpeg-turbo (`simplejpeg`), which can
scale while decoding: decoding, not the network, is what a big photo costs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from satchel.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoTooLarge,
    UnreadablePhoto,
    UnsupportedFormat,
)
from satchel.jpeg import read_frame, strip_jpeg
from satchel.records import Box

RGB = npt.NDArray[np.uint8]
"""Pixels, shape (height, width, 3), uint8, red-green-blue, upright."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF")  # Pillow opens an MPO as a kind of JPEG
PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"})
"""How photo files are named. Only for finding them in folders: the bytes tell what they are."""

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


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What a single photo may cost.

    Attributes:
        max_bytes: of the file.
        max_pixels: width × height from its header.
    """

    max_bytes: int = 40_000_000
    max_pixels: int = 80_000_000


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
        UnreadablePhoto: there is no such file, it is a folder, or reading is not allowed.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= limits.max_bytes else b""
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UnreadablePhoto(f"cannot be read ({reason}); check the path") from None
    if size > limits.max_bytes:
        raise PhotoTooLarge(
            f"expected at most {limits.max_bytes:,} bytes, got {size:,}; send a smaller copy"
        )
    return data


def decode(
    data: bytes, *, min_side_px: int | None = DECODED_SIDE_PX, limits: PhotoLimits | None = None
) -> RGB:
    """Decode a photo to upright RGB pixels, scaled down on the way where that is cheap.

    Args:
        data: the file's bytes; never trusted.
        min_side_px: neither side becomes smaller than this by scaling (JPEG only, by eighths);
            None decodes every pixel.
        limits: caps on bytes and pixels.

    Returns:
        Pixels, shape (height, width, 3), uint8. Transparency shows white; of an animation or a
        several-picture file, the first picture.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    image = _open(data, limits or PhotoLimits())
    orientation = _orientation(image)
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        return _upright(_decode_jpeg(data, image, min_side_px), orientation)
    return _upright(_pixels(image), orientation)


def clean(data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
    """Turn received bytes into the bytes that are stored and served.

    A plain upright JPEG keeps its coded pixels, untouched, and loses its metadata (EXIF with its
    GPS position, XMP, comments, appended pictures). Everything else is decoded and stored as
    JPEG, so that nothing exotic is ever parsed again.

    Raises:
        EmptyPhoto, UnsupportedFormat, PhotoTooLarge, CorruptPhoto
    """
    image = _open(data, limits or PhotoLimits())
    plain = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
    if plain and _orientation(image) == 1:
        _decode_jpeg(data, image, min_side_px=1)  # proves that every scan is there
        return CleanPhoto(strip_jpeg(data), *image.size)
    pixels = decode(data, min_side_px=None, limits=limits)
    return CleanPhoto(encode_jpeg(pixels, STORED_QUALITY), pixels.shape[1], pixels.shape[0])


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


def _open(data: bytes, limits: PhotoLimits) -> Image.Image:
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
        image = Image.open(BytesIO(data), formats=_formats(data))
    except UnidentifiedImageError:
        raise _unreadable(data) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoTooLarge(
            f"expected at most {limits.max_pixels:,} pixels, got far more; "
            "send a smaller copy of the photo"
        ) from None
    except (OSError, ValueError, SyntaxError, struct.error, EOFError) as error:
        raise CorruptPhoto(f"the photo's header is damaged: {error}; send it again") from None
    if frame is not None and (frame.width, frame.height) != image.size:
        raise CorruptPhoto("the photo's header contradicts itself; send it again")
    if frame is not None and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise CorruptPhoto(
            f"expected a JPEG of at most {MAX_JPEG_SCANS} scans, got more; save it again as a "
            "plain JPEG"
        )
    width, height = image.size
    if width * height > limits.max_pixels:
        raise PhotoTooLarge(
            f"expected at most {limits.max_pixels:,} pixels, got {width} × {height}; "
            "send a smaller copy of the photo"
        )
    return image


def _formats(data: bytes) -> tuple[str, ...]:
    return (*FORMATS, "HEIF") if _is_heic(data) and _register_heic() else FORMATS


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


def _register_heic() -> bool:
    try:
        import pi_heif  # noqa: PLC0415 - an extra that most installs lack
    except ImportError:
        return False
    pi_heif.register_heif_opener(thumbnails=False)
    return True


NO_PHOTOS: Final = {
    b"GIF8": "a GIF picture; save it as JPEG or PNG",
    b"BM": "a BMP picture; save it as JPEG or PNG",
    b"II*\0": "a TIFF picture; save it as JPEG or PNG",
    b"MM\0*": "a TIFF picture; save it as JPEG or PNG",
    b"%PDF": "a PDF document; save the picture in it as JPEG or PNG",
}
"""What files begin like that are often among photos, and what to do about them."""

MAGIC: Final = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "WebP": b"RIFF"}


def _unreadable(data: bytes) -> CorruptPhoto | UnsupportedFormat:
    """Tell a damaged photo of a known format from something that is no photo."""
    for name, magic in MAGIC.items():
        if data.startswith(magic) and (name != "WebP" or data[8:12] == b"WEBP"):
            return CorruptPhoto(
                f"the file begins like a {name} and its header is damaged or cut off; send it again"
            )
    if _is_heic(data):
        return UnsupportedFormat(
            "HEIC photos need an extra: run pip install 'satchel[heic]', or send a JPEG"
        )
    return UnsupportedFormat(f"expected a JPEG, PNG, WebP or AVIF photo, got {_what_else(data)}")


def _what_else(data: bytes) -> str:
    """Say what a file that is no photo is, where that can be told, and what to do."""
    for magic, what in NO_PHOTOS.items():
        if data.startswith(magic):
            return what
    begins = data[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begins.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        return "a web page that was saved under a photo's name; download the photo itself"
    return (
        f"a file that is none of them (it begins with {data[:8]!r}); "
        "the name of a file does not make it a photo"
    )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where it is absent or nonsense."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except (OSError, ValueError, SyntaxError, struct.error, TypeError, KeyError):
        return 1  # damaged EXIF says nothing; the pixels may still be whole
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


# -- pixels ------------------------------------------------------------------------------------


def _decode_jpeg(data: bytes, image: Image.Image, min_side_px: int | None) -> RGB:
    side = min_side_px or 0
    try:
        return simplejpeg.decode_jpeg(  # type: ignore[no-any-return]
            data, "RGB", min_height=side, min_width=side, strict=True
        )
    except ValueError:
        # Strict refuses harmless oddities too (stray bytes between markers). Pillow knows the
        # difference: it takes those, and refuses a file that ends before its picture does.
        return _pixels(image)


def _pixels(image: Image.Image) -> RGB:
    """Decode the first frame with Pillow to RGB over white."""
    try:
        image.seek(0)
        image.load()
    except (OSError, ValueError, SyntaxError, struct.error, EOFError, IndexError) as error:
        raise CorruptPhoto(
            f"the photo is damaged or cut off: {error}; send it again from the original"
        ) from None
    except Image.DecompressionBombError as error:
        raise PhotoTooLarge(f"{error}; send a smaller copy of the photo") from None
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
