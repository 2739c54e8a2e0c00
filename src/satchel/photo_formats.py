"""Photo formats: recognised by a file's bytes, not by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from satchel.errors import CorruptPhoto, UnsupportedFormat, install_extra


@dataclass(frozen=True, slots=True)
class PhotoFormat:
    """A format on the allow-list.

    Attributes:
        pillow: Pillow's name of it.
        name: for people.
        suffixes: of its files, only for finding them in folders: the bytes decide the format.
        magic: what its files may begin with; empty for the formats of `ftyp`, which share it.
        decoder_bytes: memory of Pillow's decoder, in bytes per pixel: measured, rounded up. 0 of
            JPEG, whose memory is estimated from its frame.
    """

    pillow: str
    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    decoder_bytes: int


JPEG: Final = PhotoFormat(
    "JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), (b"\xff\xd8\xff",), 0
)
"""Pillow opens an MPO as a kind of JPEG."""
PNG: Final = PhotoFormat("PNG", "PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), 1)
WEBP: Final = PhotoFormat("WEBP", "WebP", (".webp",), (b"RIFF",), 10)
AVIF: Final = PhotoFormat("AVIF", "AVIF", (".avif",), (), 12)
GIF: Final = PhotoFormat("GIF", "GIF", (".gif",), (b"GIF87a", b"GIF89a"), 1)
BMP: Final = PhotoFormat("BMP", "BMP", (".bmp",), (b"BM",), 1)
TIFF: Final = PhotoFormat("TIFF", "TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*"), 8)
HEIC: Final = PhotoFormat("HEIF", "HEIC", (".heic", ".heif", ".hif"), (), 4)
"""Needs an extra, so it is not among `FORMATS`."""

HEIC_BRANDS: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)

FORMATS: Final = (JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF)
PHOTO_SUFFIXES: Final = frozenset(suffix for one in (*FORMATS, HEIC) for suffix in one.suffixes)


def formats_of(data: bytes) -> tuple[str, ...]:
    """Return the formats, by Pillow's names, that a file with these bytes may be opened as."""
    if data[4:8] == b"ftyp":
        extra = (HEIC,) if _is_heic(data) and _register_heic() else ()
        return tuple(one.pillow for one in (AVIF, *extra))
    return tuple(one.pillow for one in FORMATS if data.startswith(one.magic))


def decoder_bytes(pillow: str) -> int:
    """Return the memory of a format's decoder, in bytes per pixel; `pillow` as in `formats_of`."""
    return next(one.decoder_bytes for one in (*FORMATS, HEIC) if one.pillow == pillow)


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS


def _register_heic() -> bool:
    try:
        import pi_heif  # noqa: PLC0415 - an extra that most installs lack
    except ImportError:
        return False
    pi_heif.register_heif_opener(thumbnails=False)
    return True


def readable_formats() -> tuple[str, ...]:
    """Return the formats that can be read here, JPEG first; HEIC where its extra is installed."""
    extra = (HEIC,) if _register_heic() else ()
    return tuple(one.name for one in (*FORMATS, *extra))


NO_PHOTOS: Final = {
    b"%PDF": "a PDF document; save the picture in it as JPEG or PNG",
}
"""First bytes of files that are often among photos, and what to do about them."""


def unreadable(data: bytes) -> CorruptPhoto | UnsupportedFormat:
    """Return the error: a damaged photo of a known format, or a file that is not a photo."""
    known = [one.name for one in FORMATS if data.startswith(one.magic)]
    if known == [WEBP.name] and data[8:12] != b"WEBP":  # another kind of RIFF
        known = []
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        known = [AVIF.name]
    if _is_heic(data):
        if not _register_heic():
            return UnsupportedFormat(
                f"HEIC photos need the extra 'heic': {install_extra('heic')}; or send a JPEG"
            )
        known = [HEIC.name]
    if known:
        return CorruptPhoto(
            f"the file begins like a {known[0]} and its header is damaged or cut off; send it again"
        )
    *names, last = (one.name for one in FORMATS)
    expected = f"expected a {', '.join(names)} or {last} photo"
    return UnsupportedFormat(f"{expected}, got {_what_else(data)}")


def _what_else(data: bytes) -> str:
    """Describe a file that is not a photo, and what to do."""
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
