"""The tree of commands: help, types, suggestions, completion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from satchel.cli import train_options
from satchel.cli.app import app
from satchel.cli.tree import walk
from satchel.train.settings import STAGES
from support.cli import satchel

COMMANDS = dict(walk(get_command(app)))
SHOWN = re.compile(r"[A-Z][A-Z0-9_,]*(=[A-Z]+)?|KxN")


def test_every_command_and_parameter_says_what_it_is() -> None:
    for words, command in COMMANDS.items():
        assert command.help, words
        for parameter in command.params:
            assert isinstance(parameter, TyperArgument | TyperOption)
            if not parameter.type_descriptor.is_choice and not getattr(parameter, "is_flag", 0):
                assert SHOWN.fullmatch(parameter.metavar or ""), (words, parameter.name)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_no_types_of_python(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = satchel(tmp_path, *words, "-h")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert not re.search(r"<(str|int|float|path|dir|list|file)", done.stdout)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("indx",), "Did you mean 'index'?"),
        (("catalog", "lst"), "Did you mean 'list'?"),
        (("identify", "--tops", "3", "x.jpg"), "--top"),
        (("train", "encoder", "--stage", "hed"), "'head', 'partial', 'full'"),
    ],
)
def test_typos_are_answered_with_what_there_is(
    tmp_path: Path, wrong: tuple[str, ...], told: str
) -> None:
    done = satchel(tmp_path, *wrong)
    assert done.returncode == 2
    assert told in done.stderr


def test_stages_are_those_of_training() -> None:
    literal = get_args(get_args(train_options.Stage)[0])[0]
    assert get_args(literal) == STAGES


def test_shells_complete_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SATCHEL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "satchel cal")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        app(prog_name="satchel")
    assert capsys.readouterr().out.strip() == "calibrate"


def test_the_version_is_one_line(tmp_path: Path) -> None:
    assert re.fullmatch(r"satchel \d+\.\d+\.\d+\n", satchel(tmp_path, "--version").stdout)
