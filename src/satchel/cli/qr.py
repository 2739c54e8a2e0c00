"""QR codes on a terminal."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

BLOCKS: Final = "█▀▄"
WHITE_ON_BLACK: Final = "\x1b[97;40m"
PLAIN: Final = "\x1b[0m"
BORDER: Final = 2


def can_show() -> bool:
    """Whether stderr is a terminal that has the characters."""
    try:
        BLOCKS.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return sys.stderr.isatty()


def qr_code(text: str) -> str:
    """Draw a QR code, two rows of modules a line.

    White on black, whatever the terminal's colours are: some phones read no inverted codes.
    """
    import segno

    drawn = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawn, border=BORDER, compact=True)
    lines = drawn.getvalue().splitlines()
    if "NO_COLOR" in os.environ:
        return "\n".join(lines)
    return "\n".join(f"{WHITE_ON_BLACK}{line}{PLAIN}" for line in lines)
