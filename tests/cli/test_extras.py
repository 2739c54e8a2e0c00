"""Without an extra, every command says what to install: no traceback, exit code 2."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from satchel.errors import EXTRAS, MissingExtra
from satchel.train.runs import Run, RunRecord
from satchel.workspace import Workspace

INSTALL = "in the folder with Satchel's source code, type: pip install '.[train]'"

RUN_ALL = """
import contextlib, io, json, sys, traceback

BLOCKED = set(json.loads(sys.argv[1]))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from satchel.cli.app import main

answers = []
for arguments in json.loads(sys.argv[2]):
    sys.argv = ["satchel", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 99
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


def without(modules: frozenset[str], commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each command, in one process that lacks these modules."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(sorted(modules)), json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(answer) for answer in json.loads(done.stdout)]


def a_run(workspace: Workspace, name: str) -> None:
    """A run with weights, as another machine may have left it."""
    record = RunRecord(
        name=name,
        kind="encoder",
        command="train encoder",
        settings={"backbone": "small_cnn"},
        split="default",
        split_hash="",
        products=2,
        photos=4,
        revision="0",
        machine={"cores": 1, "gpu": "none"},
        begun_at="2026-01-01T00:00:00Z",
    )
    run = Run.create(workspace.runs, record)
    run.best.write_bytes(b"")


@pytest.mark.flow
def test_every_command_of_training_names_the_extra(filled: Workspace) -> None:
    a_run(filled, "mine")
    filled.split_path("default").parent.mkdir(exist_ok=True)
    needs_torch = [
        ["train", "classifier"],
        ["train", "classifier", "--resume", "mine"],
        ["train", "encoder", "--loss", "triplet"],
        ["train", "encoder", "--split", "nothing", "--set", "x"],
        ["train", "encoder", "--loss", "triplet", "--option", "x"],
        ["train", "locator", "nothing.json"],
        ["adapt"],
        ["adapt", "--minutes", "1", "--name", "x"],
        ["adapt", "--resume", "TYPO"],
        ["experiment", "seed-protocol", "--dry-run"],
        ["experiment", "seed-protocol", "--set", "x"],
        ["export", "TYPO"],
        ["evaluate", "TYPO"],
        ["promote", "mine"],
    ]
    at = ["--workspace", str(filled.folder)]
    answers = without(EXTRAS["train"], [[*at, *command] for command in needs_torch])
    for command, (code, _, told) in zip(needs_torch, answers, strict=True):
        assert "Traceback" not in told, (command, told)
        assert (code, told.count("\n")) == (2, 1), (command, told)
        assert INSTALL in told, (command, told)


@pytest.mark.flow
@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("ocr", ["read", "nothing.jpg"]),
        ("market", ["admin", "create", "no address"]),
        ("encoders", ["encoder", "add", "nothing"]),
    ],
)
def test_other_extras_are_named(filled: Workspace, extra: str, command: list[str]) -> None:
    ((code, _, told),) = without(EXTRAS[extra], [["--workspace", str(filled.folder), *command]])
    assert (code, told.count("\n")) == (2, 1), told
    assert INSTALL.replace("train", extra) in told


@pytest.mark.flow
@pytest.mark.parametrize(("tool", "extra"), [("cvat", "annotate"), ("label-studio",) * 2])
def test_a_tool_of_annotation_names_its_extra(filled: Workspace, tool: str, extra: str) -> None:
    at = ["--workspace", str(filled.folder), "annotate"]
    commands = [[*at, "push", "3", "--to", tool], [*at, "pull", "--from", tool]]
    for module in EXTRAS[extra]:
        for code, _, told in without(frozenset((module,)), commands):
            assert "Traceback" not in told
            assert (code, told.count("\n")) == (2, 1), told
            assert INSTALL.replace("train", extra) in told


@pytest.mark.flow
def test_what_needs_no_torch_works_without(filled: Workspace) -> None:
    a_run(filled, "mine")
    commands = {
        ("--help",): "Usage",
        **{(*name, "--help"): "Usage" for name in _commands()},
        ("split", "default"): "frozen in",
        ("runs",): "mine",
        ("runs", "--compare"): "mine",
        ("promote", "TYPO"): "expected one run named 'TYPO'",
        ("promote",): "expected a run to promote",
        ("adapt", "--minutes", "soon"): "Invalid value for '--minutes'",
        ("train", "nothing"): "No such command",
        ("promote", "lite0"): "lite0 is served now",
        ("promote", "--rollback"): "is served again",
    }
    at = ["--workspace", str(filled.folder)]
    answers = without(EXTRAS["train"], [[*at, *command] for command in commands])
    for (command, told), (_, out, err) in zip(commands.items(), answers, strict=True):
        assert "Traceback" not in err, (command, err)
        assert told in out + err, (command, out, err)


def _commands() -> list[tuple[str, ...]]:
    """Every command of the command line, those of groups included."""
    from typer.main import get_command

    from satchel.cli.app import app

    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found.append((name,))
        found += [(name, inner) for inner in getattr(command, "commands", ())]
    assert ("train", "encoder") in found
    return found


@pytest.mark.train
@pytest.mark.parametrize("missing", ["accelerate", "onnx"])
def test_half_an_extra_is_named_too(filled: Workspace, missing: str) -> None:
    pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
    ((code, _, told),) = without(
        frozenset((missing,)), [["--workspace", str(filled.folder), "adapt", "--minutes", "1"]]
    )
    assert code == 2
    assert f"its module {missing!r} is not installed" in told


def test_the_modules_are_those_of_the_package() -> None:
    """Each requirement of the extra has its module in the list."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    modules = {"mlflow-skinny": "mlflow", "zxing-cpp": "zxingcpp"}
    unneeded = {"heic", "docs", "dev"}  # no command needs them
    assert set(project["project"]["optional-dependencies"]) - unneeded == set(EXTRAS)
    for extra, known in EXTRAS.items():
        for requirement in project["project"]["optional-dependencies"][extra]:
            named = re.match(r"[\w-]+", requirement)
            assert named
            name = named[0]
            assert modules.get(name, name.replace("-", "_")) in known


def test_other_modules_are_no_extra() -> None:
    assert MissingExtra.behind(ModuleNotFoundError("No module named 'x'", name="x")) is None
    assert MissingExtra.behind(ModuleNotFoundError("?")) is None
    found = MissingExtra.behind(ModuleNotFoundError("?", name="torch.nn.functional"))
    assert found is not None
    assert found.extra == "train"
