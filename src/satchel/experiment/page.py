"""The page of an experiment: tables and charts in sections, and what went wrong, in one HTML file.

It knows nothing of training; `satchel.experiment.tables` says what stands where.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from satchel.evaluate import charts
from satchel.evaluate.charts import Chart
from satchel.evaluate.report import ConfusionRow, Figure, Photos, Pictures, page
from satchel.files import write_atomically

PAGE: Final = "report.html"

Entry = str | Figure | None
"""What stands in a table: words, a share with its interval, or nothing."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row.

    Attributes:
        reference: whether it holds somebody else's figures.
        link: address of a page that tells more, from this one's folder; of the first entry.
    """

    entries: tuple[Entry, ...]
    reference: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table, sorted by clicks on its headings.

    Attributes:
        words: how many columns, from the left, hold words rather than figures.
        references: names of the columns that hold somebody else's figures.
    """

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: int = 1
    note: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; what is empty is left out."""

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
    """All that the page shows.

    Attributes:
        warning: the sentence that nobody may miss.
        facts: name → value, above everything.
    """

    title: str
    warning: str
    facts: dict[str, str] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()


def render_experiment(report: ExperimentReport, photos: Photos) -> str:
    """Return the page.

    Args:
        report: what to show.
        photos: where photos come from; one that is gone or damaged leaves an empty frame.
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
