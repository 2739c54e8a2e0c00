"""The reference pages of the documentation site are written from the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

import satchel
from satchel.cli.app import app
from satchel.cli.tree import walk
from satchel.config import Settings
from scripts import docs_reference


def test_every_command_has_a_section_and_its_whole_summary() -> None:
    page = docs_reference.command_line()
    assert "## `satchel identify`" in page
    assert "* [`train encoder`](#satchel-train-encoder): " in page
    assert "...\n" not in page.partition("## `satchel init`")[0].partition("**Commands**")[2]


def test_every_parameter_of_every_command_is_described() -> None:
    page = docs_reference.command_line()
    for words, command in walk(get_command(app)):
        heading = " ".join(("satchel", *words))
        section = re.split(r"^#+ ", page.partition(f"`{heading}`\n")[2] if words else page[2:])[0]
        section = re.split(r"\n## |\n### ", section)[0]
        assert section, heading
        for parameter in command.params:
            names = parameter.opts if parameter.param_type_name == "option" else []
            for name in names:
                entry = re.search(rf"^\* `[^`]*{re.escape(name)}\b[^`]*`: (.+)$", section, re.M)
                assert entry, (heading, name)
                assert not entry[1].startswith("["), (heading, name, "has no help")


@pytest.mark.parametrize("page", ["README.md", "docs/guide/command-line.md"])
def test_where_to_start_names_doctor_and_status(page: str) -> None:
    text = (Path(docs_reference.__file__).parents[1] / page).read_text(encoding="utf-8")
    assert "satchel doctor" in text
    assert "satchel status" in text


def test_every_setting_is_described() -> None:
    page = docs_reference.configuration()
    for section, field in Settings.model_fields.items():
        assert f"## `[{section}]`" in page
        for key in type(field.default).model_fields:
            assert f"`{key}`" in page or f"`[{section}.{key}]`" in page


def test_every_operation_and_object_of_the_api_is_described() -> None:
    page = docs_reference.http_api()
    assert "## `POST /api/v1/identify`" in page
    assert "### ProblemDetails" in page
    assert "{base}" not in page


def test_every_public_class_is_described() -> None:
    page = docs_reference.python_api()
    for name in satchel.__all__:
        assert not isinstance(getattr(satchel, name), type) or f"## `{name}`" in page
    assert "### `Identifier.identify()`" in page
    assert "- `PhotoError`: " in page
