"""`-` in the place of a file: what comes on stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from satchel.photo_header import PhotoLimits

STDIN: Final = Path("-")


@contextmanager
def catalogue_file(path: Path, photos: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Yield the file to read and the folder of its photos.

    Stdin is copied to a temporary file, since catalogues are read twice; its kind is recognised by
    how it begins, and its photos are relative to the current directory.
    """
    if path != STDIN:
        yield path, photos
        return
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="satchel-") as folder:
        head = _stdin().read(1_000)
        file = Path(folder) / f"stdin{_suffix(head)}"
        with file.open("wb") as out:
            out.write(head)
            shutil.copyfileobj(_stdin(), out)
        yield file, photos or Path()


def read_photo_or_stdin(path: Path, limits: PhotoLimits) -> bytes:
    """Read a photo as `satchel.images.read_photo` does, or from stdin.

    Raises:
        PhotoTooLarge: it has more bytes than the cap.
        UnreadablePhoto: see there.
    """
    from satchel.errors import PhotoTooLarge
    from satchel.images import read_photo

    if path != STDIN:
        return read_photo(path, limits)
    data = _stdin().read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise PhotoTooLarge(f"expected at most {limits.max_bytes:,} bytes; send a smaller copy")
    return data


def _stdin() -> BinaryIO:
    return sys.stdin.buffer


def _suffix(head: bytes) -> str:
    from satchel.catalog.importers import ZIP
    from satchel.catalog.workbook import OLE

    if head.startswith((ZIP, OLE)):
        return ".xlsx"
    return ".jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ".csv"
