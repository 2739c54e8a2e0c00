"""Print tables and write JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from satchel.intervals import interval

RESULTS = Path(__file__).parent / "results"


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(width=max(120, Console().width)).print(table)


def write_json(name: str, figures: Any) -> Path:
    """Write figures, with the machine and the versions they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    packages = ("satchel", "onnxruntime", "opencv-python-headless", "numpy")
    about = {
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),  # above the cores, times are upper bounds
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }
    path.write_text(json.dumps({"measured_with": about, "figures": figures}, indent=2) + "\n")
    print(f"written to {path.relative_to(RESULTS.parents[1])}")
    return path


def bootstrap_interval(
    hits: np.ndarray, codes: Sequence[str], *, rounds: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of `hits`, shape (n,), by resampling the products they are of."""
    found = interval(hits, codes, rounds=rounds, seed=seed)
    return found.low, found.high
