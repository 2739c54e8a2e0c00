"""Shared by all commands: opening the workspace, options, confirmation, progress, problems."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from satchel.cli.output import Verbosity, complain, print_json, print_table, say, verbosity
from satchel.cli.stage_display import show_stage
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.records import Problem
    from satchel.workspace import Workspace

__all__ = [
    "NOT_NOW",
    "OUR_FAULT",
    "PROBLEMS_SHOWN",
    "RESUMED",
    "SOME_FAILED",
    "STOPPED",
    "WRONG_USAGE",
    "AsJson",
    "AsJsonLines",
    "Bars",
    "Encoding",
    "FirstProblems",
    "Where",
    "Yes",
    "complain",
    "confirm",
    "open_workspace",
    "pairs",
    "print_json",
    "print_result",
    "print_table",
    "problems_shown",
    "say",
    "say_first",
]

SOME_FAILED = 1
WRONG_USAGE = 2
NOT_NOW = 3
OUR_FAULT = 70
STOPPED = 130
PROBLEMS_SHOWN = 10
"""Most problems printed on stderr, unless verbose."""

Encoding = Annotated[
    str | None,
    typer.Option(help="Of the file: utf-8, utf-16, cp949, cp1252; default: detected."),
]

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout; notes and progress on stderr.")
]
AsJsonLines = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout; notes on stderr.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE=VALUE",
        help="Only products with this brand, category, colour or other attribute. Several of one "
        "attribute are alternatives; of different ones, all must fit.",
    ),
]


def open_workspace(context: typer.Context) -> Workspace:
    """Open the workspace that the command line names.

    Raises:
        WorkspaceError: there is none, or its database is lost or damaged.
    """
    from satchel.workspace import Workspace

    workspace = Workspace.open(context.obj)
    workspace.catalogue.revision()  # read now, so that nothing is begun without a database
    return workspace


def confirm(what: str, *, yes: bool) -> None:
    """Ask whether to go on, unless that is said already.

    Raises:
        UsageError: nobody can be asked.
        typer.Exit: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: add --yes to confirm; nothing was changed")
    if not typer.confirm(f"{what}. Go on?", err=True):
        say("nothing was changed")
        raise typer.Exit(1)


RESUMED: Final = frozenset(("import", "collect", "search", "embed", "measure", "compare"))
"""Stages that count what is stored: all that they counted is kept when they are stopped."""


class Bars:
    """A `satchel.progress.Progress` that shows one bar after another, and a line for each epoch.

    Args:
        resumes: Ctrl-C ends the command, and the same command resumes; otherwise it is passed on.
    """

    def __init__(self, *, resumes: bool = True) -> None:
        self._resumes = resumes

    def __enter__(self) -> Bars:
        self._open = contextlib.ExitStack()
        self._advance: Any = lambda count: None
        self._stage, self._done, self._total = "", 0, 0
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> bool | None:
        self._open.__exit__(kind, *error)
        if self._resumes and kind is KeyboardInterrupt:
            complain(self._stopped())
            raise typer.Exit(STOPPED) from None
        return None

    def _stopped(self) -> str:
        if self._stage in RESUMED:
            of = f" of {self._total:,}" if self._total else ""
            kept = f"{self._stage}: {self._done:,}{of} are kept"
        else:
            kept = f"what was finished before is kept, {self._stage or 'this'} begins again"
        return f"stopped; {kept}; run the same command again to resume"

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """Close the previous bar, and open one for this stage."""
        self.end()
        self._stage, self._done, self._total = stage, done, total
        self._advance = self._open.enter_context(show_stage(stage, total, done))

    def advance(self, count: int = 1) -> None:
        """Advance the bar."""
        self._done += count
        self._advance(count)

    def end(self) -> None:
        """Close the bar, so that lines can be printed."""
        self._open.close()
        self._advance = lambda count: None

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Print an epoch's figures."""
        shown = "  ".join(f"{k} {v:.4f}" for k, v in figures.items() if k != "score")
        say(f"epoch {epoch}: {shown}")


def pairs(given: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE arguments, their values read as TOML, or as text where they are none.

    TABLE.KEY=VALUE sets a key of a table.
    """
    import tomllib

    found: dict[str, Any] = {}
    for pair in given or []:
        path, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"expected KEY=VALUE, got {pair!r}")
        *tables, key = path.split(".")
        table = found
        for name in tables:
            table = table.setdefault(name, {})
        try:
            table[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[key] = value
    return found


def print_result(result: object) -> None:
    """Print a result as one JSON object: records and mappings, with paths and times as text."""
    from pydantic_core import to_jsonable_python

    print_json(to_jsonable_python(result, inf_nan_mode="null"))


class FirstProblems:
    """Prints the first problems on stderr, and once a note that there are more.

    Attributes:
        count: of all problems.
    """

    def __init__(self, more: str) -> None:
        self._more = more
        self.count = 0

    def __call__(self, problem: object) -> None:
        """Count a problem, and print it if it is among the first."""
        self.count += 1
        if self.count <= problems_shown():
            complain(str(problem))
        elif self.count == problems_shown() + 1:
            complain(self._more)


def changes(start: Mapping[str, float], adapted: Mapping[str, float]) -> str:
    """Name figures of an adapted encoder next to those it started with, but for its score."""
    return ", ".join(
        f"{name} {start.get(name, 0.0):.1%} → {value:.1%}"
        for name, value in adapted.items()
        if name != "score"
    )


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: 1 photo, 2 photos.

    Args:
        nouns: its plural; default, with an s.
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def say_first(problems: Sequence[Problem]) -> None:
    """Print the first of some problems on stderr."""
    for problem in problems[: problems_shown()]:
        complain(str(problem))


def problems_shown() -> int:
    """Most problems printed on stderr; a report or the count covers the rest."""
    return PROBLEMS_SHOWN if verbosity() < Verbosity.VERBOSE else sys.maxsize
