"""CSV parser in bounded memory; an unclosed quote costs only its own line.

A quote that is never closed makes a CSV parser read all lines up to the next quote, or to the end,
as one cell. Such a record is reported at its first line, and parsing continues at the second.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TextIO

MAX_LINE_CHARS: Final = 1_000_000
MAX_RECORD_LINES: Final = 200


TOO_LONG: Final = f"a line longer than {MAX_LINE_CHARS:,} characters"
"""Placeholder for such a line, whose text is skipped; compared by identity."""


class Lines:
    """Lines of a text file, with pushback.

    Attributes:
        number: of the line read last, from 1.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._given_back: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        """Return the next line, None at the end, or `TOO_LONG`."""
        if self._given_back:
            self.number += 1
            return self._given_back.popleft()
        line = self._file.readline(MAX_LINE_CHARS)
        if not line:
            return None
        self.number += 1
        if len(line) < MAX_LINE_CHARS or line.endswith(("\n", "\r")):
            return line
        while len(more := self._file.readline(MAX_LINE_CHARS)) == MAX_LINE_CHARS:
            if more.endswith(("\n", "\r")):
                break
        return TOO_LONG

    def give_back(self, lines: list[str]) -> None:
        """Push lines back, to be read again."""
        self._given_back.extendleft(reversed(lines))
        self.number -= len(lines)


@dataclass(frozen=True, slots=True)
class Record:
    """One CSV record.

    Attributes:
        line: its first line, from 1.
        cells: empty for a blank line, and where there is a `fault`.
        text: the first line, unparsed.
        fault: why it cannot be parsed.
    """

    line: int
    cells: list[str]
    text: str
    fault: str = ""


def read_records(
    lines: Lines, dialect: type[csv.Dialect], is_row: Callable[[list[str]], bool]
) -> Iterator[Record]:
    """Parse records one after the other.

    Args:
        lines: read to the end.
        dialect: of the CSV.
        is_row: whether cells parsed from a single line are a row of this table. Such a line inside
            a quoted cell shows that the quote was not closed where it was meant to be.
    """
    while (record := _next_record(lines, dialect, is_row)) is not None:
        yield record


def _next_record(
    lines: Lines, dialect: type[csv.Dialect], is_row: Callable[[list[str]], bool]
) -> Record | None:
    first = lines.number + 1
    taken: list[str] = []
    unclosed = False

    def feed() -> Iterator[str]:
        nonlocal unclosed
        while len(taken) < MAX_RECORD_LINES and (line := lines.take()) is not None:
            taken.append(line)
            if line is TOO_LONG:
                break
            yield line
        unclosed = bool(taken)  # the parser reads another line only inside a quote

    fault = ""
    try:
        cells = next(csv.reader(feed(), dialect))
    except StopIteration:
        if not taken:
            return None
        fault = f"is {TOO_LONG}"
    except csv.Error as error:
        fault = f"not readable as CSV: {error}"
    if not fault and (unclosed or (len(taken) > 1 and _runs_on(taken, dialect, is_row))):
        fault = (
            f"a quote opened here is not closed in its cell (read lines {first:,} to "
            f"{first + len(taken) - 1:,}); close it, or write a quote inside of a cell twice"
        )
    if not fault:
        return Record(first, cells, taken[0])
    lines.give_back(taken[1:])
    return Record(first, [], taken[0], fault)


def _runs_on(
    taken: list[str], dialect: type[csv.Dialect], is_row: Callable[[list[str]], bool]
) -> bool:
    """Whether the lines of one record are several rows joined by an unclosed quote."""
    try:
        next(csv.reader(taken, dialect, strict=True))
        # A line with one quote may be a cell's end and those after it: 'red bag",M1,a.jpg'.
        whole = (line for line in taken[1:] if line.count('"') % 2 == 0)
        return any(is_row(next(csv.reader([line], dialect), [])) for line in whole)
    except csv.Error:
        return True
