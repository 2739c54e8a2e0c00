"""How long commands take to start: `import satchel`, `satchel --help`, a cold `satchel identify`.

    python -m benchmarks.startup [--runs 15]

Each run is a separate process, so that nothing is imported or loaded beforehand; commands take
turns, so that other load on the machine affects all. The answer is to a photo of the demo's
catalogue by the built-in encoder. An empty Python process is measured with them. CPU seconds are of
all threads together.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.reporting import print_table, write_json

MAISON = Path(__file__).parents[1] / "examples" / "maison"
LIMITS_S = {"import satchel": 0.1, "satchel --help": 0.3, "satchel identify PHOTO": 1.2}


def demo_workspace(folder: Path) -> Path:
    """Import and index the demo's catalogue."""
    satchel = [sys.executable, "-m", "satchel"]
    for command in (
        ["init", folder],
        ["--workspace", folder, "import", MAISON / "catalogue.csv"],
        ["--workspace", folder, "index"],
    ):
        subprocess.run([*satchel, *map(str, command)], check=True, capture_output=True)
    return folder


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure every command, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    photo = str(sorted((MAISON / "queries").glob("*.jpg"))[0])
    with tempfile.TemporaryDirectory() as folder:
        workspace = str(demo_workspace(Path(folder) / "shop"))
        satchel = ["-m", "satchel"]
        commands = {
            "python": ["-c", ""],
            "import satchel": ["-c", "import satchel"],
            "satchel --help": [*satchel, "--help"],
            "satchel identify PHOTO": [
                "-m",
                "satchel",
                "--workspace",
                workspace,
                "identify",
                photo,
            ],
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                measured[name].append(measure(command))
    figures = {
        name: {
            "wall_s": round(median(wall for wall, _ in times), 3),
            "best_wall_s": round(min(wall for wall, _ in times), 3),
            "cpu_s": round(median(cpu for _, cpu in times), 3),
            "limit_s": LIMITS_S.get(name),
        }
        for name, times in measured.items()
    }
    print_table(
        f"Start-up, medians of {runs} runs",
        ("command", "wall s", "best", "CPU s", "limit"),
        [(name, *of.values()) for name, of in figures.items()],
    )
    write_json("startup", {"runs": runs, "commands": figures})


if __name__ == "__main__":
    main()
