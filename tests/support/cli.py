"""The command line in this process, without the start of an interpreter for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from satchel.cli.app import app, exit_code
from satchel.errors import SatchelError


@dataclass(frozen=True)
class Done:
    """Exit code and outputs of a command."""

    returncode: int
    stdout: str
    stderr: str


def satchel(workspace: Path, *arguments: str, stdin: bytes | None = None) -> Done:
    """Run `satchel --workspace WORKSPACE ARGUMENTS`."""
    result = CliRunner().invoke(
        app,
        ["--workspace", str(workspace), *arguments],
        input=stdin,
        env={"COLUMNS": "160"},
    )
    error = result.exception
    if isinstance(error, SatchelError):  # as satchel.cli.app.main reports it
        return Done(exit_code(error), result.stdout, f"{result.stderr}satchel: {error}\n")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Done(result.exit_code, result.stdout, result.stderr)
