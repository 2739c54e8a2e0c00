"""Damage to files, as disks and people do it."""

from __future__ import annotations

import re
from pathlib import Path


def flip_a_bit_of(path: Path, field: str) -> None:
    """Flip the lowest bit of the last character of what an index file says in one of its notes."""
    data = bytearray(path.read_bytes())
    value = re.search(rb'"%s":"((?:[^"\\]|\\.)*)"' % field.encode(), data)
    assert value is not None
    data[value.end(1) - 1] ^= 1
    path.write_bytes(data)
