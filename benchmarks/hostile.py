"""Robustness to hostile photos in an import, an `identify FILES` and over HTTP, and its cost.

    python -m benchmarks.hostile [FOLDER…]    # of hostile files, besides those of the shared data

Real processes: none may die, hang, print a traceback or answer 500, and every good photo comes
through. Each trial is a row: files tried; those answered or refused in words (clean); those that
were not, with what went wrong around them (wrong); peak memory; and the longest time, of one file
over HTTP, between two lines of `identify`, and of the whole import.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.datasets import SHARED
from benchmarks.reporting import print_table, write_json
from satchel.workspace import Workspace

MAISON = Path(__file__).resolve().parents[1] / "examples" / "maison"
GOOD = sorted((MAISON / "photos").rglob("*.jpg"))[:40]


@dataclass
class Watched:
    """A process of Satchel's: what it printed, how it ended, and its peak memory in MB.

    Memory is what the process and its decoder processes hold together; what they share, such as
    libraries, counts once (proportional set size).
    """

    process: subprocess.Popen[str]
    memory_every_s: float = 0.02
    peak_mb: float = 0
    output: list[str] = field(default_factory=list)
    printed_at: list[float] = field(default_factory=list)
    began_at: float = field(default_factory=time.monotonic)

    def watch(self) -> None:
        """Read its output and its memory until it ends."""
        reader = Thread(target=self._read, daemon=True)
        reader.start()
        while self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, memory_mb(self.process.pid))
            time.sleep(self.memory_every_s)
        reader.join()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.output.append(line)
            self.printed_at.append(time.monotonic())

    def died(self) -> bool:
        """Whether it was ended by a signal, or printed a traceback."""
        return (self.process.poll() or 0) < 0 or any("Traceback" in o for o in self.output)

    def longest_silence_s(self) -> float:
        """Seconds between two lines that it printed, at most."""
        return max(np.diff(self.printed_at), default=0.0)


def memory_mb(process: int) -> float:
    """Proportional memory of a process and its children, in megabytes (10⁶ bytes)."""
    kilobytes = 0
    for one in (process, *children(process)):
        with suppress(OSError):  # it has ended
            found = re.search(r"Pss:\s+(\d+) kB", Path(f"/proc/{one}/smaps_rollup").read_text())
            kilobytes += int(found[1]) if found else 0
    return kilobytes * 1024 / 1e6


def children(process: int) -> list[int]:
    """Process ids of the processes that a process has started."""
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(one) for one in file.read_text().split()]
    return found


def start(workspace: Path, *arguments: object, memory_every_s: float = 0.02) -> Watched:
    """Start a command of Satchel's in a workspace; measure its memory, which slows it, so often."""
    return Watched(
        subprocess.Popen(
            [sys.executable, "-m", "satchel", "--workspace", workspace, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        ),
        memory_every_s,
    )


def run(workspace: Path, *arguments: object) -> Watched:
    """Run a command to its end."""
    command = start(workspace, *arguments)
    command.watch()
    return command


def mixed_table(hostile: Sequence[Path], folder: Path) -> Path:
    """A catalogue with good photos between the hostile ones."""
    table = folder / "mixed.csv"
    step = max(1, len(hostile) // len(GOOD))
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("code", "photo"))
        for number, path in enumerate(hostile):
            rows.writerow((f"BAD-{number}", copied(path, folder, f"bad-{number}{path.suffix}")))
            if number % step == 0 and number // step < len(GOOD):
                at = number // step
                rows.writerow((f"GOOD-{at}", copied(GOOD[at], folder, f"good-{at}.jpg")))
    return table


def copied(path: Path, folder: Path, name: str) -> str:
    """Copy a file into a folder and return its name there."""
    shutil.copyfile(path, folder / name)
    return name


def try_import(workspace: Path, table: Path) -> dict[str, object]:
    """Import all of it at once, and once more."""
    rows = table.read_text().count("\n") - 1
    wanted = table.read_text().count("GOOD-")
    first, again = run(workspace, "import", table), run(workspace, "import", table)
    took = again.began_at - first.began_at
    line = next(line for line in first.output if "refused" in line and "rows" in line)
    there = Workspace.open(workspace).catalogue.products("GOOD-", offset=0, limit=1).total
    clean = sum(int(count) for count in re.findall(r"(\d+) (?:added|already there|refused)", line))
    return {
        "tried": rows,
        "clean": clean,
        "wrong": rows - clean + wanted - there + first.died() + again.died(),
        "peak MB": round(max(first.peak_mb, again.peak_mb)),
        "longest, s": round(took, 1),
        "said": f"{line.strip()}; good: {there} of {wanted}",
    }


def try_identify(workspace: Path, folder: Path) -> dict[str, object]:
    """Identify everything in a folder, file by file."""
    files = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    done = run(workspace, "identify", "--json", *files)
    answered = {Path(json.loads(o)["photo"]) for o in done.output if o.startswith("{")}
    refused = {path for path in files if any(f"{path}: " in o for o in done.output)} - answered
    good = sum(path.name.startswith("good-") for path in answered)
    wanted = sum(path.name.startswith("good-") for path in files)
    clean = len(answered | refused)
    return {
        "tried": len(files),
        "clean": clean,
        "wrong": len(files) - clean + wanted - good + done.died(),
        "peak MB": round(done.peak_mb),
        "longest, s": round(done.longest_silence_s(), 1),
        "said": f"{len(answered)} answered, {len(refused)} refused; good: {good} of {wanted}",
    }


@contextmanager
def served(
    workspace: Path, *, memory_every_s: float = 0.02
) -> Iterator[tuple[Watched, httpx.Client]]:
    """Serve the workspace, its memory watched."""
    server = start(workspace, "serve", "--port", 0, memory_every_s=memory_every_s)
    watcher = Thread(target=server.watch, daemon=True)
    watcher.start()
    while not (said := [line for line in server.output if "http://" in line]):
        time.sleep(0.05)
        if server.process.poll() is not None:
            raise SystemExit("".join(server.output))
    url = re.search(r"http://\S+", said[0])
    assert url is not None
    with httpx.Client(base_url=url[0], timeout=120) as client:
        yield server, client
    server.process.terminate()
    watcher.join()


def ask(client: httpx.Client, data: bytes) -> int:
    """Send one photo; the status of the answer."""
    return client.post("/api/v1/identify", files={"photos": ("photo", data)}).status_code


def try_http(workspace: Path, hostile: Sequence[Path]) -> dict[str, object]:
    """Send every file by itself; the server has to answer each, and a good one at the end."""
    codes: Counter[int] = Counter()
    longest = 0.0
    with served(workspace) as (server, client):
        for path in hostile:
            began = time.monotonic()
            try:
                codes[ask(client, path.read_bytes())] += 1
            except httpx.HTTPError:
                codes[0] += 1  # no answer
            longest = max(longest, time.monotonic() - began)
        last = ask(client, GOOD[0].read_bytes())
        after, died = memory_mb(server.process.pid), server.died()
    clean = sum(count for code, count in codes.items() if 200 <= code < 500)
    said = ", ".join(f"{count} × {code}" for code, count in sorted(codes.items()))
    return {
        "tried": len(hostile),
        "clean": clean,
        "wrong": len(hostile) - clean + (last != 200) + died,
        "peak MB": round(server.peak_mb),
        "longest, s": round(longest, 1),
        "said": f"{said}; a good one afterwards: {last}; {after:.0f} MB resident then",
    }


def worst_accepted() -> dict[str, bytes]:
    """The largest photos of each kind that an upload may be, by their estimated memory."""

    def saved(mode: str, megapixels: float, kind: str, **options: Any) -> bytes:
        side = int((megapixels * 1e6) ** 0.5)
        colour: Any = {"RGBA": (9, 9, 9, 100), "RGB": (9, 90, 9), "P": 3}[mode]
        buffer = BytesIO()
        Image.new(mode, (side, side), colour).save(buffer, kind, **options)
        return buffer.getvalue()

    return {
        "WebP, 14 MP": saved("RGBA", 14, "WEBP", lossless=True),
        "AVIF, 12 MP": saved("RGBA", 12.4, "AVIF", speed=10),
        "PNG, 39 MP": saved("RGBA", 39, "PNG"),
        "PNG, palette, 79 MP": saved("P", 79, "PNG"),
        "GIF, 79 MP": saved("P", 79, "GIF"),
        "TIFF, 16 MP": saved("RGBA", 16, "TIFF", compression="tiff_lzw"),
        "progressive JPEG 4:4:4, 32 MP": saved("RGB", 32, "JPEG", progressive=True, subsampling=0),
        "JPEG, 79 MP": saved("RGB", 79, "JPEG"),
    }


def try_worst(workspace: Path) -> list[dict[str, object]]:
    """Two uploads at once of the worst that is accepted, each kind on a separate server."""
    rows = []
    for name, data in worst_accepted().items():
        with served(workspace) as (server, client):
            ask(client, GOOD[0].read_bytes())
            before = memory_mb(server.process.pid)
            began = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                codes = list(pool.map(lambda photo: ask(client, photo), [data] * 2))
            took = time.monotonic() - began
            time.sleep(0.5)
            after = memory_mb(server.process.pid)
        rows.append(
            {
                "photo": name,
                "kB": len(data) // 1_000,
                "status": codes,
                "seconds": round(took, 1),
                "before MB": round(before),
                "peak MB": round(server.peak_mb),
                "afterwards MB": round(after),
            }
        )
    return rows


def main() -> None:
    """Run all trials and print the results."""
    folders = [SHARED / "hostile", *map(Path, sys.argv[1:])]
    hostile = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    hostile = [path for path in hostile if path.suffix not in (".csv", ".jsonl", ".md")]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        workspace, mixed = root / "shop", root / "mixed"
        mixed.mkdir()
        subprocess.run([sys.executable, "-m", "satchel", "init", workspace], check=True)
        run(workspace, "import", MAISON / "catalogue.csv")
        run(workspace, "index")
        table = mixed_table(hostile, mixed)
        trials = {
            "import": try_import(workspace, table),
            "identify FILES": try_identify(workspace, mixed),
            "POST /api/v1/identify": try_http(workspace, hostile),
        }
        worst = try_worst(workspace)
    header = ("", *trials["import"])
    rows = [(what, *found.values()) for what, found in trials.items()]
    print_table(f"{len(hostile)} hostile files", header, rows)
    print_table("two uploads at once", tuple(worst[0]), [tuple(row.values()) for row in worst])
    write_json("hostile", {"files": len(hostile), "trials": trials, "worst accepted": worst})


if __name__ == "__main__":
    main()
