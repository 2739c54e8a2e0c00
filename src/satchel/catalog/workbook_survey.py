"""Sizes of an Excel workbook, checked before anything of it is parsed.

A workbook is a zip of XML files, and not trusted. What they unpack to is capped, and a sheet's rows
are found and measured in its bytes, since a parser holds a whole row.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from satchel.errors import UsageError
from satchel.text import printable

MAX_PARTS: Final = 20_000
MAX_PART_BYTES: Final = 8_000_000
"""Unpacked size of each XML file of a workbook, but these:"""
MAX_STRINGS_BYTES: Final = 64_000_000
MAX_SHEET_BYTES: Final = 512_000_000
MAX_ROW_BYTES: Final = 8_000_000
MAX_MERGED: Final = 100_000
"""Merged cells of a sheet that are filled in; further ones are not."""
CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 64

_ROW: Final = re.compile(rb"<(?:\w+:)?row[\s/>]")
_MERGED: Final = re.compile(rb'<(?:\w+:)?mergeCell ref="([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})"')
_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_STRINGS: Final = re.compile(r"xl/sharedstrings\.xml", re.IGNORECASE)
_XML: Final = re.compile(r".*\.(xml|rels)", re.IGNORECASE)


class Merged(NamedTuple):
    """Cells of one column that are merged: numbers of the column, the first row and the last."""

    column: int
    first: int
    last: int


def survey_sheets(archive: zipfile.ZipFile, name: str) -> dict[str, tuple[int, frozenset[Merged]]]:
    """Check the unpacked sizes of a workbook's files, and survey its sheets.

    Args:
        name: of the workbook, for messages.

    Returns:
        file of a sheet in the zip → how many rows it has, and its merged cells.

    Raises:
        UsageError: a cap is exceeded.
    """
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        raise UsageError(f"{name} has {len(parts):,} parts, more than {MAX_PARTS:,}")
    for part in parts:
        # Nothing longer is ever unpacked: zipfile stops at the size that is stated.
        limit = _limit(part.filename)
        if part.file_size > limit:
            raise UsageError(
                f"{printable(part.filename)} in {name} unpacks to {part.file_size:,} bytes, more "
                f"than {limit:,}; save the sheet as CSV UTF-8, which has no such limit"
            )
    return {
        part.filename: _survey(archive, part, name)
        for part in parts
        if _SHEET.fullmatch(part.filename)
    }


def _limit(part: str) -> int:
    if _SHEET.fullmatch(part):
        return MAX_SHEET_BYTES
    if _STRINGS.fullmatch(part):
        return MAX_STRINGS_BYTES
    return MAX_PART_BYTES if _XML.fullmatch(part) else MAX_SHEET_BYTES


def _survey(
    archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str
) -> tuple[int, frozenset[Merged]]:
    """Count the rows of a sheet, and list its merged cells.

    Raises:
        UsageError: there are too many bytes between the beginnings of two rows.
    """
    rows, last, end, rest = 0, 0, 0, b""
    merged: set[Merged] = set()
    with archive.open(part) as file:
        while chunk := file.read(CHUNK_BYTES):
            text = rest + chunk
            begins = [end - len(rest) + match.start() for match in _ROW.finditer(text)]
            end += len(chunk)
            rows += len(begins)
            edges = [last, *begins, end]
            if max(b - a for a, b in pairwise(edges)) > MAX_ROW_BYTES:
                raise UsageError(
                    f"a row of {printable(part.filename)} in {name} has more than "
                    f"{MAX_ROW_BYTES:,} bytes; save the sheet as CSV UTF-8"
                )
            last = begins[-1] if begins else last
            if len(merged) < MAX_MERGED:
                merged.update(_merged(text))
            # A tag may be cut in two; its beginning is read again.
            cut = text.rfind(b"<", -TAG_BYTES)
            rest = text[cut:] if cut >= 0 and not _ROW.match(text, cut) else b""
    return rows, frozenset(merged)


def _merged(text: bytes) -> Iterator[Merged]:
    for match in _MERGED.finditer(text):
        column = 0
        for letter in match[1]:
            column = column * 26 + letter - ord("A") + 1
        if int(match[3]) > int(match[2]):
            yield Merged(column, int(match[2]), int(match[3]))
