"""Pixels from Pillow's pictures: RGB over white, reduced, upright."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from satchel.decoding.profiles import BAND_PIXELS, cmyk_to_rgb

RGB = npt.NDArray[np.uint8]
"""Pixels, shape (height, width, 3), uint8, red-green-blue, upright."""

WHITE: Final = (255, 255, 255, 255)


def reduction(width: int, height: int, min_side_px: int | None) -> int:
    """The factor by which a photo is reduced so that both sides still have `min_side_px`."""
    return 1 if min_side_px is None else max(1, min(width, height) // max(1, min_side_px))


def rgb(image: Image.Image, factor: int = 1) -> RGB:
    """Decode the picture with Pillow to RGB over white.

    Args:
        factor: of whose square pixels the mean is taken.
    """
    image.load()
    width, height = image.size
    pixels = np.empty((ceil(height / factor), ceil(width / factor), 3), np.uint8)
    rows = max(1, BAND_PIXELS // (width * factor))
    for top in range(0, len(pixels), rows):
        band = (0, top * factor, width, min((top + rows) * factor, height))
        shown = _over_white(image.crop(band))
        pixels[top : top + rows] = np.asarray(shown.reduce(factor) if factor > 1 else shown)
    return pixels


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: keep the upper byte, do not clip at 255
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
    if image.mode == "CMYK":
        return cmyk_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, WHITE), rgba)
    return image.convert("RGB")


def upright(pixels: RGB, exif_orientation: int) -> RGB:
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
