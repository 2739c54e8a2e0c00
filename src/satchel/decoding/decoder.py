"""What decodes photos of strangers: a Protocol, and this process as the simpler one that fits."""

from __future__ import annotations

from typing import Final, Protocol

from satchel.decoding.photo import DECODED_SIDE_PX, CleanPhoto, clean, decode, measure
from satchel.decoding.pixels import RGB
from satchel.photo_header import PhotoLimits


class Decoder(Protocol):
    """Decodes photos, safe to call from several threads.

    All methods raise EmptyPhoto, UnsupportedFormat, PhotoTooLarge and CorruptPhoto.
    """

    def measure(self, data: bytes, limits: PhotoLimits) -> tuple[int, int]:
        """Read height and width, upright; see `satchel.decoding.photo.measure`."""

    def decode(
        self,
        data: bytes,
        *,
        min_side_px: int | None = DECODED_SIDE_PX,
        limits: PhotoLimits | None = None,
    ) -> RGB:
        """Decode to pixels; see `satchel.decoding.photo.decode`."""

    def clean(self, data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
        """Convert to what is stored; see `satchel.decoding.photo.clean`."""


class InProcess:
    """Decodes in this process: nothing to start, and a decoder that crashes ends the process."""

    def measure(self, data: bytes, limits: PhotoLimits) -> tuple[int, int]:
        """As `Decoder`."""
        return measure(data, limits)

    def decode(
        self,
        data: bytes,
        *,
        min_side_px: int | None = DECODED_SIDE_PX,
        limits: PhotoLimits | None = None,
    ) -> RGB:
        """As `Decoder`."""
        return decode(data, min_side_px=min_side_px, limits=limits)

    def clean(self, data: bytes, limits: PhotoLimits | None = None) -> CleanPhoto:
        """As `Decoder`."""
        return clean(data, limits)


IN_PROCESS: Final = InProcess()
