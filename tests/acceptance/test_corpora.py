"""Test pictures of decoders' own projects, where they are at hand.

    SATCHEL_CORPORA=dir pytest tests/acceptance/test_corpora.py

`dir` holds checkouts or downloads of the test pictures of Pillow, libavif, libheif, sharp,
PngSuite and the like, in any folders.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import SHARED
from satchel.decoding.pool import DecoderPool
from satchel.errors import PhotoError, UnsupportedFormat
from satchel.images import decode, read_photo
from satchel.parallel import cores, map_in_order
from satchel.photo_formats import formats_of
from satchel.photo_header import PhotoLimits

LIMITS = PhotoLimits()


def readable(data: bytes) -> bool:
    """Whether Pillow, in this process, reads a file to its end."""
    try:
        Image.open(BytesIO(data), formats=formats_of(data)).load()
    except Exception:
        return False
    return True


def judged(path: Path, pool: DecoderPool) -> tuple[str, str]:
    """What becomes of a file: a verdict, and the reason."""
    try:
        data = read_photo(path, LIMITS)
        pixels = pool.decode(data, min_side_px=None, limits=LIMITS)
        stored = pool.clean(data, LIMITS)
    except UnsupportedFormat as error:
        return "unsupported", str(error)
    except PhotoError as error:
        return ("crash" if "its decoder failed" in str(error) else "refused"), str(error)
    except Exception as error:
        return "wrong", repr(error)
    if not readable(data):
        return "wrong", "taken, and Pillow cannot read it"
    shown = decode(stored.data, min_side_px=None)
    if shown.shape != pixels.shape or np.abs(shown.astype(int) - pixels).mean() > 6:
        return "wrong", "what is stored is not what was decoded"
    return "taken", ""


def judge_all(paths: list[Path]) -> dict[str, dict[Path, str]]:
    """Verdict → files → reasons."""
    found: dict[str, dict[Path, str]] = {}
    with DecoderPool(memory_bytes=LIMITS.max_decode_bytes) as pool:
        verdicts = map_in_order(lambda path: judged(path, pool), paths, workers=cores())
        for path, (verdict, reason) in zip(paths, verdicts, strict=True):
            found.setdefault(verdict, {})[path] = reason
    return found


@pytest.mark.skipif("SATCHEL_CORPORA" not in os.environ, reason="SATCHEL_CORPORA is not set")
def test_corpora() -> None:
    folder = Path(os.environ["SATCHEL_CORPORA"])
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert paths, f"no files in {folder}"
    found = judge_all(paths)
    print({verdict: len(files) for verdict, files in found.items()})
    for verdict in ("crash", "wrong"):
        for path, reason in found.get(verdict, {}).items():
            print(verdict, path, reason)
    assert not found.get("wrong")
    assert found.get("taken")


@pytest.mark.shared
def test_files_that_once_did_harm() -> None:
    folder = SHARED / "data" / "hostile"
    paths = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in (".avif", ".jpg", ".png", ".webp")
    ]
    found = judge_all(paths)
    assert not found.keys() - {"taken", "refused", "unsupported"}, found
    refused = {path.name for path in (*found["refused"], *found["unsupported"])}
    assert refused >= {
        "avif-box-1.avif",
        "avif-mdat-0.avif",
        "bugs-avif-broken.avif",
        "bugs-lossless-64.jpg",
        "interlaced-cut.png",
        "one-byte-damaged.png",
        "png-plte-missing.png",
        "strip-1000000x1.png",
        "strip-1x80000000.png",
    }
