"""The page of an experiment: sections of tables, charts and confusions in one HTML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from satchel.evaluate import charts
from satchel.evaluate.charts import Chart
from satchel.evaluate.rendering import Photos, Pictures, page
from satchel.evaluate.report import ConfusionRow, Figure
from satchel.files import write_atomically

PAGE: Final = "report.html"

Entry = str | Figure | None
"""An entry of a table: text, a figure with its interval, or nothing."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row.

    Attributes:
        reference: whether it holds published figures of others.
        link: relative address of a page on this row; its first entry links there.
    """

    entries: tuple[Entry, ...]
    reference: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table, sorted by clicks on its headings.

    Attributes:
        words: number of columns, from the left, that hold text rather than figures.
        references: headings of the columns that hold published figures of others.
    """

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: int = 1
    note: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page; what is empty is left out."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    charts: tuple[Chart, ...] = ()
    confusions: tuple[ConfusionRow, ...] = ()

    @property
    def anchor(self) -> str:
        """Its address on the page."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """Everything that the page shows.

    Attributes:
        warning: a sentence shown prominently.
        facts: name → value, shown at the top.
    """

    title: str
    warning: str
    facts: dict[str, str] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()


def render_experiment(report: ExperimentReport, photos: Photos) -> str:
    """Return the page.

    Args:
        photos: SHA-256 → bytes of a photo; a missing or damaged one leaves an empty frame.
    """
    return page("experiment.html").render(
        report=report,
        picture=Pictures(photos),
        drawn={s.anchor: [charts.draw(chart) for chart in s.charts] for s in report.sections},
    )


def write_experiment(report: ExperimentReport, photos: Photos, folder: Path) -> Path:
    """Write the page into an existing folder; return its path."""
    write_atomically(folder / PAGE, render_experiment(report, photos).encode())
    return folder / PAGE
