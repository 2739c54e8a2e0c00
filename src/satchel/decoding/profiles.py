"""ICC profiles: pixels in another colour space (Display P3 of phones, Adobe RGB, CMYK) → sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from satchel.arrays import Bytes

BAND_PIXELS: Final = 1 << 20
"""Pixels converted at once, so that converting takes no second picture's memory."""

KEPT_PROFILES: Final = 16
"""Profiles whose transforms are kept: making one takes 1 to 30 ms, and phones share theirs."""

UNSEEN_LEVELS: Final = 2
"""Grey levels: a profile that changes no colour by more is sRGB by another name."""

_SAMPLES: Final = np.stack(
    np.meshgrid(*[np.linspace(0, 255, 6).astype(np.uint8)] * 3, indexing="ij"), axis=-1
).reshape(36, 6, 3)


def to_srgb(pixels: Bytes, profile: bytes | None) -> Bytes:
    """Convert pixels, in place, from the colour space of a profile to sRGB.

    A profile that is damaged, or not of RGB, changes nothing.
    """
    transform = _transform(profile, "RGB") if profile else None
    if transform is None:
        return pixels
    rows = max(1, BAND_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows]
        band[:] = _applied(band, transform)
    return pixels


def cmyk_to_rgb(image: Image.Image) -> Image.Image:
    """Convert a CMYK picture by its profile; without a usable one, as if its inks were pure."""
    profile = image.info.get("icc_profile")
    transform = _transform(profile, "CMYK") if profile else None
    if transform is None:
        return image.convert("RGB")
    return transform.apply(image)


@lru_cache(KEPT_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None where there is none to make, or nobody would see it."""
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != mode:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        assert isinstance(transform, ImageCms.ImageCmsTransform)
        if mode != "RGB":
            return transform
        change = np.abs(_applied(_SAMPLES, transform).astype(int) - _SAMPLES)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if change.max() > UNSEEN_LEVELS else None


def _applied(pixels: Bytes, transform: ImageCms.ImageCmsTransform) -> Bytes:
    return np.asarray(transform.apply(Image.fromarray(pixels)))
