"""`satchel` in processes of its own, which tests can kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from support.waiting import wait_until

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


class Run:
    """`satchel` until it ends or is killed; one that hangs fails the test by its threads' stacks.

    Its notes are in a file: a pipe that nobody reads would fill up.
    """

    def __init__(self, workspace: Path, notes: Path, *arguments: str) -> None:
        self._notes = notes
        command = [sys.executable, "-X", "faulthandler", "-m", "satchel"]
        with notes.open("w") as stderr:
            self._process = Popen(
                [*command, "--workspace", str(workspace), *arguments], stderr=stderr
            )

    def wait(self, fact: Callable[[], bool] = lambda: False) -> int | None:
        """Wait until something is so, or it ended; its code, if it ended."""
        try:
            wait_until(lambda: self._process.poll() is not None or fact(), within_s=150)
        except AssertionError:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()
            raise AssertionError(self._notes.read_text(encoding="utf-8")) from None
        return self._process.returncode

    def kill(self) -> None:
        """End it by the signal that cannot be caught."""
        self._process.kill()
        self._process.wait()


@contextmanager
def satchel_serve(workspace: Path, *options: str) -> Iterator[tuple[Popen[str], str]]:
    """`satchel serve` on a port of the system's choice, and its URL."""
    with start(workspace, "serve", "--port", "0", *options) as process:
        try:
            yield process, url_of(process)
        finally:
            process.kill()
