"""Reports of refused inputs, as CSV files that Excel reads."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from satchel.files import timestamp
from satchel.text import spreadsheet_cell


class ProblemReport:
    """The refused inputs of one run as a CSV file, created with the first of them."""

    def __init__(self, folder: Path, kind: str, name: str, columns: Sequence[str]) -> None:
        # A name that every file system takes, of at most 40 × 4 bytes from the source's.
        stem = re.sub(r"[^\w.-]+", "_", name)[:40]
        self.path = folder / f"{kind}-{timestamp()}-{stem}.csv"
        self._columns = columns
        self._files = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> ProblemReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, *values: str | int) -> None:
        """Write one refused input, a value for each column."""
        if self._writer is None:
            file = self._files.enter_context(
                # with a byte order mark, so that Excel reads it
                self.path.open("w", encoding="utf-8-sig", newline="")
            )
            self._writer = csv.writer(file)
            self._writer.writerow(self._columns)
        cells = (spreadsheet_cell(v) if isinstance(v, str) else v for v in values)
        self._writer.writerow(cells)
