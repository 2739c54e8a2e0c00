"""What the documentation names exists: commands, options, settings and files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from satchel.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs").glob("[!r]*/*.md")),  # research notes are of their time
]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def options(arguments: list[str]) -> set[str]:
    """All options of the command that these arguments begin with."""
    command = typer.main.get_command(app)
    known = {"--help"}
    for argument in arguments:
        known |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        commands = getattr(command, "commands", {})
        if argument in commands:
            command = commands[argument]
    if any(not argument.startswith("--") for argument in arguments):
        assert not hasattr(command, "commands"), f"no such command: {arguments}"
    return known | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def commands(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(FENCED.findall(text)).splitlines()
    inline = re.findall(r"`(satchel [^`]+)`", text)
    return [line.strip() for line in blocks if line.strip().startswith("satchel ")] + inline


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    for line in commands(page):
        for part in re.split(r"&&|>|\|", line.partition(" #")[0]):
            words = shlex.split(part)
            if words[:1] != ["satchel"] or len(words) < 2 or words[1] in ("…", "import…"):
                continue
            named = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert named <= options(words[1:]), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target and "reference/" not in target:  # the reference is generated
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    ("page", "least"),
    [("architecture.md", 30), ("explanation/ranking.md", 8), ("explanation/confidence.md", 5)],
)
def test_modules_that_a_page_names_exist(page: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)+)(?:\.py)?`", text)
    assert len(named) >= least
    for name in named:
        path = ROOT / "src" / "satchel" / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
