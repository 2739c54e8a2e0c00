"""What commands print: answers on stdout; notes, problems and progress on stderr.

`satchel --quiet` leaves notes and progress out, `satchel --verbose` names every problem and says
what the command took.
"""

from __future__ import annotations

import io
import json
import os
import sys
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


class Verbosity(IntEnum):
    """How much is printed on stderr."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


_verbosity = Verbosity.NORMAL


def set_verbosity(verbosity: Verbosity) -> None:
    """Set how much is printed on stderr from now on."""
    global _verbosity  # noqa: PLW0603 - stderr is one for the whole process, too
    _verbosity = verbosity


def verbosity() -> Verbosity:
    """Return how much is printed on stderr."""
    return _verbosity


def say(message: str) -> None:
    """Print a note on stderr, unless quiet: stdout is for answers."""
    if _verbosity > Verbosity.QUIET:
        complain(message)


def complain(message: str) -> None:
    """Print on stderr what went wrong, however quiet."""
    print(message, file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether stderr can show what changes: not a pipe, a dumb terminal, or quiet."""
    dumb = os.environ.get("TERM") in ("dumb", "unknown")
    return _verbosity > Verbosity.QUIET and sys.stderr.isatty() and not dumb


def write_anything() -> None:
    """Let stdout and stderr take any character; those that their encoding lacks are escaped.

    A terminal may be in ASCII, and a file's name may hold bytes that are no text at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: object) -> None:
    """Print one JSON value as a line on stdout, in ASCII where stdout's encoding lacks a letter."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        line = json.dumps(value)
    print(line, flush=True)


def print_table(table: Table) -> None:
    """Print a table on stdout without markup: "[red]" and ":bag:" are plain text.

    With $NO_COLOR nothing is emphasised either: no escape sequence is written.
    """
    from rich.console import Console

    plain = False if os.environ.get("NO_COLOR") else None
    Console(markup=False, emoji=False, force_terminal=plain).print(table)
