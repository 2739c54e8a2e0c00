from __future__ import annotations

import pytest

from satchel.text import printable, spreadsheet_cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hermès 가방", "Hermès 가방"),
        ("a\x1b[2J\n", r"a\x1b[2J\n"),
        ("\udcb0\udca1.jpg", r"\udcb0\udca1.jpg"),
        ("", ""),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_cells_that_a_spreadsheet_would_run_are_quoted(start: str) -> None:
    assert spreadsheet_cell(f"{start}1+1") == f"'{printable(start)}1+1"
    assert spreadsheet_cell(f"1{start}1") == f"1{printable(start)}1"
