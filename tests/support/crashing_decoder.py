"""A decoder that crashes over some photos, as a fault in libjpeg would."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

MARK: Final = b"this photo crashes its decoder"
"""At the end of a JPEG, where other decoders pass over it."""

_PROGRAM: Final = f"""
import json, os, signal, sys
sys.path[:] = json.loads(sys.argv[3])
from satchel.decoding import worker
whole = worker.decode
def decode(data, **options):
    if data.endswith({MARK!r}):
        os.kill(os.getpid(), signal.SIGSEGV)
    return whole(data, **options)
worker.decode = decode
worker.main(int(sys.argv[1]), int(sys.argv[2]))
"""


def crash_over_marked_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers that start from now on crash over photos that `mark` has marked."""
    monkeypatch.setattr("satchel.decoding.process._PROGRAM", _PROGRAM)


def mark(path: Path) -> None:
    """Let a photo crash its decoder."""
    path.write_bytes(path.read_bytes() + MARK)
