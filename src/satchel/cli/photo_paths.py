"""Arguments that name photos: files, folders and patterns."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from satchel.cli.shared import say
from satchel.records import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from satchel.decoding.decoder import Decoder
    from satchel.photo_header import PhotoLimits


def photo_paths(arguments: list[str], fail: Callable[[Problem], None]) -> Iterator[Path]:
    """Expand folders and patterns; arguments that match nothing go to `fail`."""
    from satchel.folders import say_passed_over

    passed_over: Counter[str] = Counter()
    for argument in arguments:
        if not argument:
            fail(Problem("''", "expected a photo, a folder or a pattern, got an empty name"))
            continue
        try:
            yield from _paths_of(argument, passed_over, fail)
        except OSError as error:
            fail(Problem(argument, f"is no usable path ({error.strerror})"))
    if passed_over:
        say(say_passed_over(passed_over))


def decoder_for(photos: int, limits: PhotoLimits) -> Decoder:
    """What decodes so many photos: of one alone, nothing else is lost if its decoder crashes."""
    from satchel.decoding.decoder import IN_PROCESS
    from satchel.decoding.pool import DecoderPool

    return IN_PROCESS if photos < 2 else DecoderPool(memory_bytes=limits.max_decode_bytes)


def _paths_of(
    argument: str, passed_over: Counter[str], fail: Callable[[Problem], None]
) -> list[Path]:
    from satchel.folders import is_photo, walk_files

    if Path(argument).is_dir():

        def unlisted(error: OSError) -> None:
            fail(Problem(str(error.filename), f"folder cannot be listed ({error.strerror})"))

        files = walk_files(argument, passed_over=passed_over, on_error=unlisted)
        paths = sorted(file for file in files if is_photo(file))
        if not paths:
            reason = "no photos in this folder; expected files such as .jpg or .png"
            fail(Problem(argument, reason))
        return paths
    if Path(argument).exists() or not glob.has_magic(argument):
        return [Path(argument)]
    paths = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]
    if not paths:
        fail(Problem(argument, "no file matches this pattern"))
    return paths
