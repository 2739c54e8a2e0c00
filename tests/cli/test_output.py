"""How much is printed, and where: quiet and verbose, terminals and pipes, faults of the program."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.table import Table

from satchel.cli import output
from satchel.cli.app import main
from satchel.cli.output import Verbosity, complain, print_table, say, set_verbosity
from satchel.cli.shared import FirstProblems
from satchel.cli.stage_display import StageLines, duration, rate, show_answers, show_stage
from satchel.workspace import Workspace
from support.cli import satchel


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    set_verbosity(Verbosity.NORMAL)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_every_half_minute_with_rate_and_estimate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    lines = StageLines("embed", 1000, 200, clock)
    for _ in range(7):  # 10 photos every 10 s: 1/s, and those done before do not count
        clock.now += 10
        lines.advance(10)
    lines.end()
    assert capsys.readouterr().err.splitlines() == [
        "embed: 230 of 1,000, 1.0/s, about 12 min 50 s left",
        "embed: 260 of 1,000, 1.0/s, about 12 min 20 s left",
        "embed: 270 of 1,000 in 1 min 10 s, 1.0/s",
    ]


def test_a_stage_of_unknown_length_has_no_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = StageLines("import", 0, clock=clock)
    clock.now += 31
    lines.advance(62)
    assert capsys.readouterr().err == "import: 62, 2.0/s\n"


def test_a_stage_without_a_count_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = StageLines("write the index", 0, clock=clock)
    clock.now += 2
    lines.end()
    assert capsys.readouterr().err == "write the index in 2.0 s\n"


@pytest.mark.parametrize("total", [1, 2])
def test_several_answers_in_a_pipe_have_progress(
    total: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_answers("identify", total) as advance:
        advance(total)
    assert capsys.readouterr().err.startswith("identify: 2 of 2 in") == (total == 2)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.6, "9.6 s"),
        (59.6, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_rates() -> None:
    assert [rate(one) for one in (0, 0.05, 2.345, 41.7, 1234)] == [
        "",
        "3/min",
        "2.3/s",
        "42/s",
        "1,234/s",
    ]


def test_quiet_leaves_notes_and_progress_out_and_problems_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_verbosity(Verbosity.QUIET)
    with show_stage("embed", 3) as advance:
        advance(3)
    say("a note")
    complain("a problem")
    assert capsys.readouterr().err == "a problem\n"


@pytest.mark.parametrize(("verbosity", "shown"), [(Verbosity.NORMAL, 11), (Verbosity.VERBOSE, 25)])
def test_verbose_names_every_problem(
    verbosity: Verbosity, shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    set_verbosity(verbosity)
    problems = FirstProblems("… and more")
    for number in range(25):
        problems(number)
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_quiet_is_taken_anywhere_on_the_line(filled: Workspace, tmp_path: Path) -> None:
    for arguments in (["-q", "index"], ["index", "--quiet"]):
        done = satchel(filled.folder, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
    assert "the index holds" in satchel(filled.folder, "index").stderr
    elsewhere = satchel(tmp_path, "facets", "--workspace", str(filled.folder), "brand")
    assert (elsewhere.returncode, elsewhere.stderr) == (0, "")
    after = satchel(filled.folder, "identify", "--", "-q")  # the name of a photo
    assert "-q: cannot be read" in after.stderr
    both = satchel(filled.folder, "-q", "-v", "index")
    assert (both.returncode, both.stdout) == (2, "")


def in_terminal(*command: str, environment: dict[str, str]) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**known, **environment}
    ):
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
    os.close(ours)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its other end is closed
        return b""


@pytest.mark.flow
def test_colours_on_terminals_unless_told_not_to(filled: Workspace) -> None:
    facets = (sys.executable, "-m", "satchel", "--workspace", str(filled.folder), "facets")
    assert "\x1b[" in in_terminal(*facets, environment={"TERM": "xterm"})
    for environment in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = in_terminal(*facets, environment=environment)
        assert "brand" in shown
        assert "\x1b" not in shown
    index = (*facets[:-1], "index")
    assert re.search("index|embed", in_terminal(*index, environment={"TERM": "xterm"}))
    assert "\x1b" not in in_terminal(*index, environment={"TERM": "dumb"})


def test_nothing_is_coloured_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("[red]heading[/]")
    table.add_row(":bag: [bold]x[/]")
    print_table(table)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert ":bag: [bold]x[/]" in shown


def test_a_fault_of_the_program_is_one_line_and_a_file(
    filled: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_given: object) -> None:
        raise LookupError("nobody thought of this")

    monkeypatch.setattr("satchel.workspace.Workspace.open", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["satchel", "index"])
    monkeypatch.setattr("signal.signal", lambda *given: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 70
    told = capsys.readouterr().err
    assert told.startswith("satchel: this is a fault of Satchel itself (LookupError: nobody")
    assert told.count("\n") == 1
    (file,) = tmp_path.glob("satchel-fault-*.txt")
    assert str(file) in told
    assert "Traceback" in file.read_text()


def test_verbose_says_what_the_command_took(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["satchel", "--workspace", str(filled.folder), "facets", "-v"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr("signal.signal", lambda *given: None)
    with pytest.raises(SystemExit):
        main()
    assert re.search(r"took [\d.]+ s and [\d,]+ MB of memory", capsys.readouterr().err)
    assert output.verbosity() is Verbosity.VERBOSE
