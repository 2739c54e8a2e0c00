"""Zip archives of annotations, unpacked with caps on members, sizes, ratio and paths."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from satchel.errors import UsageError
from satchel.photo_formats import PHOTO_SUFFIXES

SUFFIXES: Final = frozenset((".json", ".xml", ".txt", ".names", ".data", ".yaml", ".yml"))
"""Of annotation files. These and photos are unpacked, everything else stays packed."""

CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Caps on an archive.

    Attributes:
        members: files in it.
        member_bytes: of one file, unpacked.
        bytes: of all files, unpacked.
        ratio: bytes unpacked to bytes packed of one file; text reaches some hundred.
    """

    members: int = 200_000
    member_bytes: int = 2_000_000_000
    bytes: int = 20_000_000_000
    ratio: int = 1_000


@contextmanager
def unpacked(path: Path, limits: ArchiveLimits | None = None) -> Iterator[Path]:
    """Yield a temporary folder with an archive's annotations and photos.

    Raises:
        UsageError: it is no zip, is damaged or encrypted, exceeds a cap, or a member's path leads
            out of the folder. Nothing of it is used then.
    """
    with tempfile.TemporaryDirectory(prefix="satchel-") as name:
        folder = Path(name)
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, folder, path.name, limits or ArchiveLimits())
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UsageError(f"{path.name} is a damaged zip ({error}); export it again") from None
        except OSError as error:
            reason = (error.strerror or str(error) or "unknown reason").lower()
            raise UsageError(f"{path.name} cannot be unpacked ({reason})") from None
        yield folder


def _unpack(archive: zipfile.ZipFile, folder: Path, name: str, limits: ArchiveLimits) -> None:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) > limits.members:
        raise UsageError(
            f"expected at most {limits.members:,} files in {name}, got {len(members):,}; "
            "unpack it, and name the folder"
        )
    left = limits.bytes
    for member in members:
        path = _safe_path(member, name)
        if path.suffix.lower() not in SUFFIXES | PHOTO_SUFFIXES:
            continue
        most = min(left, limits.member_bytes, limits.ratio * max(member.compress_size, 1_000))
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        left -= _copy(archive, member, target, most, name)


def _safe_path(member: zipfile.ZipInfo, name: str) -> PurePosixPath:
    """Check a member's path and kind: a plain file below the folder."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    kind = member.external_attr >> 28  # of Unix: 8 a file, 10 a link, 0 where not said
    reason = ""
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
        reason = "its path leads out of the archive"
    elif kind not in (0, 8):
        reason = "it is a link or a device"
    elif member.flag_bits & 1:
        reason = "it is encrypted"
    elif len(member.filename) > 1_000 or not path.name:
        reason = "its name is no name of a file"
    if reason:
        raise UsageError(f"{name} holds {member.filename!r:.80}: {reason}; pack it again without")
    return path


def _copy(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: int, name: str
) -> int:
    """Copy one member, counting its bytes: sizes in headers may lie. Return the count."""
    size = 0
    with archive.open(member) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            size += len(chunk)
            if size > most:
                raise UsageError(
                    f"{member.filename!r:.80} in {name} unpacks to more than {most:,} bytes, far "
                    "more than annotations take; unpack it yourself if you trust it"
                )
            file.write(chunk)
    return size
