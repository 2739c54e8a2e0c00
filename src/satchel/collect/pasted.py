"""URLs of photos that a person pastes: a photo a line, with its code before it, or all of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from satchel.catalog.headers import CODE, PHOTO
from satchel.catalog.rows import RowProblem, checked_code
from satchel.collect.records import Found
from satchel.errors import UsageError

SOURCE: Final = "by hand"
_ADDRESS: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_BETWEEN: Final = " \t,;|"
MAX_SHOWN: Final = 200
"""Characters of a line that a message quotes."""


def read_pasted(text: str, code: str = "") -> Iterator[Found | RowProblem]:
    """Read pasted lines: an address each, or a code and one or more addresses of its photos.

    Args:
        code: of the lines that have none.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        first = _ADDRESS.search(line)
        if first is None:
            reason = "expected the address of a photo, https://…, with its code before it"
            yield RowProblem.of(number, PHOTO, line.strip()[:MAX_SHOWN], reason)
            continue
        own = line[: first.start()].strip(_BETWEEN) or code
        try:
            checked = checked_code(own)
        except UsageError as error:
            yield RowProblem.of(number, CODE, own[:MAX_SHOWN], str(error))
            continue
        for address in _ADDRESS.findall(line):
            yield Found(checked, address.rstrip(",;|"), number)
