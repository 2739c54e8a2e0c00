"""`satchel` in processes of its own, which tests can kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

SCRIPT = "from satchel.cli.app import main; main()"


def start(workspace: Path, *arguments: str) -> Popen[str]:
    """Start `satchel` with these arguments; its notes are on stderr."""
    environment = {**os.environ, "SATCHEL_WORKSPACE": str(workspace)}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def url_of(process: Popen[str]) -> str:
    """The URL that a server says it is at, once it is."""
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    return next(word for line in lines for word in line.split() if "://" in word)


@contextmanager
def satchel_serve(workspace: Path, *options: str) -> Iterator[tuple[Popen[str], str]]:
    """`satchel serve` on a port of the system's choice, and its URL."""
    with start(workspace, "serve", "--port", "0", *options) as process:
        try:
            yield process, url_of(process)
        finally:
            process.kill()
