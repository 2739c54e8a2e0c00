"""Memory of a running server over many identifications: it has to stay flat.

    python -m benchmarks.steady [REQUESTS]    # default 300

A real server of the demo catalogue gets photos of several formats and sizes over HTTP, in turn,
some of them damaged. Resident memory of the server and of its decoder workers is read after the
first round of them, and then every 50 requests.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.hostile import GOOD, MAISON, ask, children, memory_mb, run, served
from benchmarks.reporting import print_table, write_json

EVERY: Final = 50


def photos() -> list[bytes]:
    """Photos of a phone, of a shop and of the web; and two that cannot be read."""
    queries = [path.read_bytes() for path in sorted((MAISON / "queries").glob("*.jpg"))]
    shop = [path.read_bytes() for path in GOOD[:10]]
    picture = Image.open(BytesIO(queries[0])).convert("RGB")
    large = picture.resize((4_000, 3_000))
    made = [
        saved(large, "JPEG", quality=88),
        saved(large.resize((2_000, 1_500)), "JPEG", progressive=True),
        saved(large.resize((2_000, 1_500)), "PNG"),
        saved(large.resize((3_000, 2_250)), "WEBP"),
        saved(large.resize((2_000, 1_500)), "AVIF", speed=10),
        saved(picture.convert("RGBA"), "PNG"),
    ]
    return [*queries, *shop, *made, made[0][: len(made[0]) // 2], made[2][: len(made[2]) // 2]]


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Encode a picture."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def resident_mb(process: int) -> float:
    """Resident memory of one process, in megabytes (10⁶ bytes)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def main(requests: int) -> None:
    """Send the photos, and print and write what memory they took."""
    some = photos()
    rows: list[tuple[int, float, float, float]] = []
    statuses: dict[int, int] = {}
    times = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "shop"
        run(workspace, "init", workspace)
        run(workspace, "import", MAISON / "catalogue.csv")
        run(workspace, "index")
        with served(workspace) as (server, client):
            process = server.process.pid

            def read(sent: int) -> None:
                workers = sum(map(resident_mb, children(process)))
                rows.append((sent, resident_mb(process), workers, memory_mb(process)))

            for data in some:
                ask(client, data)
            read(0)
            for sent, data in enumerate(islice(cycle(some), requests), start=1):
                began = time.perf_counter()
                status = ask(client, data)
                times.append(time.perf_counter() - began)
                statuses[status] = statuses.get(status, 0) + 1
                if sent % EVERY == 0:
                    read(sent)
    first, last = rows[0], rows[-1]
    growth = (last[1] + last[2]) / (first[1] + first[2]) - 1
    header = ("requests", "server: RSS MB", "workers: RSS MB", "all: proportional MB")
    print_table(
        f"{statuses}; growth {growth:+.1%}; median {1000 * np.median(times):.0f} ms",
        header,
        [tuple(round(value) for value in row) for row in rows],
    )
    figures = {
        "statuses": statuses,
        "growth": round(growth, 4),
        "rows": [header, *[[round(value, 1) for value in row] for row in rows]],
    }
    write_json("steady", figures)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
