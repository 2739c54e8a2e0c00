"""Every command that reports has --json: one document, or one a line; stdout has nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from conftest import jpeg
from satchel.cli.app import app
from satchel.cli.output import print_json
from satchel.cli.shared import print_result
from satchel.cli.tree import walk
from satchel.workspace import Workspace
from support.cli import satchel

SILENT = {
    ("serve",): "runs until it is stopped; its log can be JSON: [serve] log",
    ("worker",): "runs until it is stopped",
    ("feedback", "export"): "prints JSON Lines anyway",
}
COMMANDS = {
    words: command for words, command in walk(get_command(app)) if not hasattr(command, "commands")
}


def test_every_command_that_reports_has_the_option() -> None:
    without = {
        words
        for words, command in COMMANDS.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == set(SILENT)


def documents(folder: Path, *arguments: str) -> list[Any]:
    """What a command prints as JSON; it has to succeed, and to print nothing else."""
    done = satchel(folder, *arguments, "--json")
    assert done.returncode == 0, done
    return [json.loads(line, parse_constant=_refuse) for line in done.stdout.splitlines()]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("status",), "next_steps"),
        (("index",), "indexed"),
        (("split", "mine"), "parts"),
        (("lookalikes",), None),
        (("runs",), None),
        (("facets",), "attribute"),
        (("catalog", "list"), "code"),
        (("catalog", "history"), None),
        (("jobs", "list"), None),
        (("calibrate", "--forget"), "calibrated"),
        (("check",), "whole"),
        (("annotate", "suggest", "2"), "photo"),
        (("admin", "list"), None),
    ],
)
def test_documents(filled: Workspace, arguments: tuple[str, ...], key: str | None) -> None:
    found = documents(filled.folder, *arguments)
    assert all(key in one for one in found)
    assert bool(found) == (key is not None)  # those without a key list what is not there


def test_import_says_rows_and_refusals(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("ring", 77))
    (tmp_path / "more.csv").write_text("code,photo\nNEW,a.jpg\nOTHER,missing.jpg\n")
    done = satchel(filled.folder, "import", str(tmp_path / "more.csv"), "--json")
    assert done.returncode == 1
    (found,) = map(json.loads, done.stdout.splitlines())
    assert (found["rows"]["read"], found["rows"]["added"], found["rows"]["refused"]) == (2, 1, 1)
    assert found["refusals"][0]["rows"] == 1
    assert Path(found["report"]).is_file()
    assert found["catalogue"] == {"products": 6, "photos": 11}


def test_curation_backup_and_restore(filled: Workspace, tmp_path: Path) -> None:
    folder, backup = filled.folder, str(tmp_path / "backup")
    (curated,) = documents(folder, "curate")
    assert sum(curated["photos"].values()) == 10
    (made,) = documents(folder, "backup", backup)
    assert (made["products"], made["photos"], made["problems"]) == (5, 10, [])
    assert documents(folder, "backup", backup, "--verify") == [
        {"snapshots": [made["name"]], "problems": []}
    ]
    ((listed,),) = (one["snapshots"] for one in documents(folder, "restore", backup, "--list"))
    assert listed["name"] == made["name"]
    (restored,) = documents(tmp_path / "again", "restore", backup)
    assert (restored["name"], restored["products"]) == (made["name"], 5)


def test_init_and_remove(filled: Workspace, tmp_path: Path) -> None:
    (made,) = documents(tmp_path, "init", str(tmp_path / "shop"))
    assert made == {"folder": str(tmp_path / "shop"), "products": 0, "photos": 0}
    documents(filled.folder, "split", "mine")
    assert documents(filled.folder, "remove", "split", "mine", "--yes") == [{"removed": ["mine"]}]


@dataclass
class Result:
    """A result with what JSON has no type for."""

    path: Path
    figure: float


def test_results_are_plain_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(Result(Path("a/b"), math.nan))
    assert json.loads(capsys.readouterr().out) == {"path": "a/b", "figure": None}
    print_json({"품번": 1})
    assert json.loads(capsys.readouterr().out) == {"품번": 1}
