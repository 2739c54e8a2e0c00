"""Refused rows summed up by reason, each reason with one example."""

from __future__ import annotations

import re
from typing import Final

from satchel.catalog.rows import RowProblem

MAX_REASONS: Final = 1_000
"""Reasons that are distinguished, at most: memory is bounded."""

_OWN: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*")
"""What one row's reason has and another's of the same kind has not: values and numbers."""


class Refusals:
    """Counts refused rows by column and reason."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, RowProblem]] = {}

    def add(self, problem: RowProblem) -> None:
        """Count a row."""
        kind = problem.column, _OWN.sub("…", problem.reason)
        if kind not in self._found and len(self._found) >= MAX_REASONS:
            kind = "", ""
        count, example = self._found.get(kind, (0, problem))
        self._found[kind] = count + 1, example

    @property
    def total(self) -> int:
        """Rows that were refused."""
        return sum(count for count, _ in self._found.values())

    def by_count(self) -> list[tuple[int, RowProblem]]:
        """Return how many rows each reason refuses, and the first of them; the most first."""
        return sorted(self._found.values(), key=lambda one: -one[0])
