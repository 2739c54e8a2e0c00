"""The seed's protocol on Grocery, in a given time, by the command line.

    python -m benchmarks.experiment WORKSPACE [--minutes 13] [--side-px 96]

Grocery's official split (training, validation and test photos); unseen products: half of all. Run
it again to resume. The page is in the workspace; figures go to results/experiment-grocery.json.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from benchmarks.datasets import SHARED
from benchmarks.reporting import print_table, write_json
from satchel.experiment.plan import Plan
from satchel.experiment.store import Experiment, Results
from satchel.workspace import Workspace

NAME = "seed"
GROCERY = SHARED / "grocery" / "dataset"
DATA = (
    *("--classify", "10x50", "--classify", "40x50", "--classify", "81x50", "--classify", "81x10"),
    *("--embed", "10x110", "--embed", "81x50", "--unseen", "81x50"),
)
SHOWN = ("Top-1", "Top-5", "Recall@1, by photo", "Recall@1, Euclidean", "Recall@1, Mahalanobis")


def main() -> None:
    """Make the workspace if it does not exist, run or resume, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--minutes", type=float, default=13)
    parser.add_argument("--side-px", type=int, default=96)
    given = parser.parse_args()
    if not (given.workspace / "index" / "gallery.safetensors").exists():
        make_workspace(given.workspace)
    chosen = ("--column", "part", "--set", f"side_px={given.side_px}", "--tracker", "none")
    satchel(
        given.workspace,
        *("experiment", "seed-protocol", "--name", NAME, "--minutes", str(given.minutes)),
        *(*chosen, *DATA),
    )
    experiment = Experiment.named(Workspace.open(given.workspace), NAME)
    report(experiment.plan(), experiment.results())


def make_workspace(folder: Path) -> None:
    """Import Grocery's photos, each with its part of the official split."""
    satchel(folder, "init", str(folder))
    path = folder / "grocery.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "part", "photo"))
        for part in ("train", "val", "test"):
            for line in (GROCERY / f"{part}.txt").read_text().splitlines():
                photo, code, _ = (cell.strip() for cell in line.split(","))
                writer.writerow((code, part, photo))
    satchel(folder, "import", str(path), "--photos", str(GROCERY))
    satchel(folder, "index")


def satchel(workspace: Path, *arguments: str) -> None:
    """Run a command."""
    command = [sys.executable, "-m", "satchel", "--workspace", str(workspace), *arguments]
    subprocess.run(command, check=True)


def report(plan: Plan, results: Results) -> None:
    """Print a table and write the JSON."""
    rows = []
    for cell in plan.cells:
        result = results.get(cell.name)
        figures = [result.figure(name) if result else None for name in SHOWN]
        shares = (f"{100 * figure.value:.1f}" if figure else "" for figure in figures)
        minutes = f"{result.seconds / 60:.1f}" if result else "not finished"
        rows.append((cell.dataset, cell.method, str(cell.epochs), minutes, *shares))
    print_table("Grocery, per cent", ("data set", "method", "epochs", "min", *SHOWN), rows)
    write_json(
        "experiment-grocery",
        {
            "plan": plan.model_dump(mode="json"),
            "results": {name: found.model_dump(mode="json") for name, found in results.items()},
        },
    )


if __name__ == "__main__":
    main()
