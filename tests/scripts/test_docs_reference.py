"""The reference pages of the documentation site are written from the program."""

from __future__ import annotations

import satchel
from satchel.config import Settings
from scripts import docs_reference


def test_every_command_has_a_section_and_its_whole_summary() -> None:
    page = docs_reference.command_line()
    assert "## `satchel identify`" in page
    assert "* [`train encoder`](#satchel-train-encoder): " in page
    assert "...\n" not in page.partition("## `satchel init`")[0].partition("**Commands**")[2]


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
