"""Opening annotations of any format: a file, a folder or a zip archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from satchel.annotate.archive import unpacked
from satchel.annotate.formats import FORMATS, cvat_xml, voc
from satchel.annotate.formats.yolo_config import CLASS_FILES
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.folders import walk_files
from satchel.xml_stream import root_tag

YOLO_SUFFIXES: Final = frozenset((".names", ".data", ".yaml", ".yml"))
XML_ROOTS: Final = {cvat_xml.ROOT: "cvat", voc.ROOT: "voc"}


@dataclass(frozen=True, slots=True)
class AnnotationSource:
    """Annotations opened for reading.

    Attributes:
        parts: (format, path) of each file or folder that is read.
        folder: where their photos are looked for first.
    """

    parts: tuple[tuple[str, Path], ...]
    folder: Path

    def read(self) -> Iterator[AnnotatedPhoto | BoxProblem]:
        """Yield the photos of all parts, and what is left out."""
        return chain.from_iterable(FORMATS[name].read(path) for name, path in self.parts)


@contextmanager
def open_annotations(path: Path, format_name: str | None = None) -> Iterator[AnnotationSource]:
    """Open annotations; an archive is unpacked to a folder that is deleted at the end.

    Args:
        path: a file, a folder, or a zip of either.
        format_name: a key of `FORMATS`; default: recognised by names and contents.

    Raises:
        UsageError: nothing is there, or no format is recognised.
    """
    if format_name is not None and format_name not in FORMATS:
        raise UsageError(f"expected one of {', '.join(FORMATS)} as format, got {format_name!r}")
    if not path.exists():
        raise UsageError(f"expected annotations at {path}, found nothing; check the path")
    zipped = path.is_file() and path.suffix.lower() == ".zip"
    with unpacked(path) if zipped else nullcontext(path) as root:
        parts = tuple(_parts(root, format_name))
        if not parts:
            wanted = FORMATS[format_name].title if format_name else "annotations"
            titles = ", ".join(one.title for one in FORMATS.values())
            raise UsageError(f"expected {wanted} in {path}, found none; formats are {titles}")
        yield AnnotationSource(parts, root if root.is_dir() else root.parent)


def _parts(root: Path, format_name: str | None) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        name = format_name or _format_of(root)
        if name is None:
            raise UsageError(
                f"expected annotations (.json, .xml, .data, .yaml, .names, .zip or a folder), got "
                f"{root.name}; say --format if it is one of {', '.join(FORMATS)}"
            )
        yield name, root
        return
    by_format = _formats_in(root)
    if format_name is None and len(by_format) > 1:
        raise UsageError(
            f"expected annotations of one format in {root}, found {', '.join(sorted(by_format))}; "
            "say which with --format, or name the file"
        )
    for name, files in by_format.items():
        if format_name in (None, name):
            folder = not FORMATS[name].suffix
            yield from [(name, root)] if folder else ((name, file) for file in files)


def _formats_in(root: Path) -> dict[str, list[Path]]:
    """Group the annotation files in a folder by format; of VOC and YOLO one is enough."""
    by_format: dict[str, list[Path]] = {}
    for file in walk_files(root):
        if "voc" in by_format and file.suffix.lower() == ".xml":
            continue
        name = _format_of(file)
        if name is not None:
            by_format.setdefault(name, []).append(file)
    return by_format


def _format_of(file: Path) -> str | None:
    """Recognise the format of a file, or of the folder that it describes."""
    suffix = file.suffix.lower()
    if suffix in YOLO_SUFFIXES or file.name.lower() in CLASS_FILES:
        return "yolo"
    if suffix == ".xml":
        return XML_ROOTS.get(root_tag(file))
    if suffix == ".json":
        return {"[": "label-studio", "{": "coco"}.get(_first_character(file))
    return None


def _first_character(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            return text.read(1_000).lstrip()[:1]
    except OSError:
        return ""
