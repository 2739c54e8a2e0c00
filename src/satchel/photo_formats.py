"""Photo formats: recognised by a file's bytes, not by its name."""

from __future__ import annotations

from typing import Final

from satchel.errors import CorruptPhoto, UnsupportedFormat, install_extra

FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF")  # Pillow opens an MPO as a kind of JPEG
PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"})
"""Suffixes of photo files, only for finding them in folders: the bytes decide the format."""


def formats_of(data: bytes) -> tuple[str, ...]:
    """Return the formats, by Pillow's names, that a file with these bytes may be opened as."""
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


def readable_formats() -> tuple[str, ...]:
    """Return the formats that can be read here, JPEG first; HEIC where its extra is installed."""
    return ("JPEG", "PNG", "WebP", "AVIF", *(("HEIC",) if _register_heic() else ()))


NO_PHOTOS: Final = {
    b"GIF8": "a GIF picture; save it as JPEG or PNG",
    b"BM": "a BMP picture; save it as JPEG or PNG",
    b"II*\0": "a TIFF picture; save it as JPEG or PNG",
    b"MM\0*": "a TIFF picture; save it as JPEG or PNG",
    b"%PDF": "a PDF document; save the picture in it as JPEG or PNG",
}
"""First bytes of files that are often among photos, and what to do about them."""

MAGIC: Final = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "WebP": b"RIFF"}


def unreadable(data: bytes) -> CorruptPhoto | UnsupportedFormat:
    """Return the error: a damaged photo of a known format, or a file that is not a photo."""
    known = [name for name, magic in MAGIC.items() if data.startswith(magic)]
    if known == ["WebP"] and data[8:12] != b"WEBP":  # another kind of RIFF
        known = []
    if _is_heic(data):
        if not _register_heic():
            return UnsupportedFormat(
                f"HEIC photos need the extra 'heic': {install_extra('heic')}; or send a JPEG"
            )
        known = ["HEIC"]
    if known:
        return CorruptPhoto(
            f"the file begins like a {known[0]} and its header is damaged or cut off; send it again"
        )
    return UnsupportedFormat(f"expected a JPEG, PNG, WebP or AVIF photo, got {_what_else(data)}")


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
