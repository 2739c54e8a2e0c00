"""Lines that people paste become URLs of codes."""

from __future__ import annotations

import pytest

from satchel.catalog.rows import RowProblem
from satchel.collect.pasted import read_pasted
from satchel.collect.records import Found

A, B = "https://shop.test/a.jpg", "HTTP://shop.test/b.jpg?w=1,2"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (A, [("S1", A)]),
        (f"  {A}\t", [("S1", A)]),
        (f"M2 {A}", [("M2", A)]),
        (f"가방 7,\t{A}", [("가방 7", A)]),
        (f"M2;{A} {B}", [("M2", A), ("M2", B)]),
        (f"{A}, {B};", [("S1", A), ("S1", B)]),
    ],
)
def test_codes_stand_before_addresses(line: str, expected: list[tuple[str, str]]) -> None:
    found = list(read_pasted(f"\n{line}\n\n", "S1"))
    assert found == [Found(code, url, 2) for code, url in expected]


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        ("shop.test/a.jpg", "S1", "photo"),
        ("ftp://shop.test/a.jpg", "S1", "photo"),
        (A, "", "code"),
        (f"M\x07 {A}", "S1", "code"),
        (f"{'M' * 201} {A}", "S1", "code"),
    ],
)
def test_lines_that_name_no_photo_of_a_code_are_problems(line: str, code: str, column: str) -> None:
    (problem,) = read_pasted(line, code)
    assert isinstance(problem, RowProblem)
    assert (problem.line, problem.column) == (1, column)
