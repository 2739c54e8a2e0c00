"""Golden answers: what the command line and the API say, held still while the code moves.

    python tests/acceptance/golden.py            # compare with what is recorded
    python tests/acceptance/golden.py --record   # after a change that is meant to move answers

Three small catalogues (the demo; parts of Grocery and of Luma from `../shared`) are imported and
indexed by the command line. Their queries are identified by `satchel identify --json` and by
`POST /api/v1/identify`, in the shipped configuration.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RECORDED = Path(__file__).parent / "golden"

TOLERANCE = 2e-3
"""Largest accepted difference of a score, a confidence or a box's side (a fraction)."""

Catalogue = tuple[Path, Path, list[Path]]
"""Catalogue file, folder of its photos, queries."""


def maison(folder: Path) -> Catalogue:
    """The demo's catalogue: 12 products, 4 queries."""
    queries = sorted((ROOT / "examples" / "maison" / "queries").glob("*.jpg"))
    return ROOT / "examples/maison/catalogue.csv", ROOT / "examples/maison", queries


def grocery(folder: Path) -> Catalogue:
    """81 studio photos, 40 shop photos of the validation part."""
    root = SHARED / "grocery" / "dataset"
    with (root / "classes.csv").open() as file:
        rows = [
            {
                "code": f"G{int(row['Class ID (int)']):02d}",
                "photo": row["Iconic Image Path (str)"].lstrip("/"),
                "name": row["Class Name (str)"],
            }
            for row in csv.DictReader(file)
        ]
    lines = (root / "val.txt").read_text().splitlines()
    queries = [root / line.split(",")[0].strip() for line in lines[:: len(lines) // 40][:40]]
    return write(folder, rows), root, queries


def luma(folder: Path) -> Catalogue:
    """The first 100 style-and-colour codes by their main view; 40 other views as queries."""
    root = SHARED / "luma"
    with (root / "photos.csv").open() as file:
        photos = sorted(csv.DictReader(file), key=lambda row: row["view"] not in ("main", "0"))
    rows: dict[str, dict[str, str]] = {}
    queries = []
    for photo in photos:
        if photo["code"] in rows:
            queries.append(root / photo["photo"])
        elif len(rows) < 100:
            rows[photo["code"]] = {key: photo[key] for key in ("code", "photo", "name", "colour")}
    return write(folder, list(rows.values())), root, queries[:40]


CATALOGUES: dict[str, Callable[[Path], Catalogue]] = {
    "maison": maison,
    "grocery": grocery,
    "luma": luma,
}


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Write a catalogue file."""
    path = folder / "catalogue.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def answers(name: str, folder: Path) -> dict[str, Any]:
    """Import, index and identify; what the command line and the API answered, by photo."""
    table, photos, queries = CATALOGUES[name](folder)
    workspace = folder / "shop"
    satchel(workspace, "import", str(table), "--photos", str(photos))
    satchel(workspace, "index")
    printed = satchel(workspace, "identify", "--json", *map(str, queries))
    cli = [json.loads(line) for line in printed.splitlines()]
    return {
        query.name: {"cli": stable(cli_answer), "api": stable(api_answer)}
        for query, cli_answer, api_answer in zip(
            queries, cli, posted(workspace, queries), strict=True
        )
    }


def satchel(workspace: Path, *arguments: str) -> str:
    """Run a command in the workspace, made first where it is missing; return its stdout."""
    command = [sys.executable, "-m", "satchel"]
    if not workspace.exists():
        subprocess.run([*command, "init", str(workspace)], check=True, capture_output=True)
    done = subprocess.run(
        [*command, "--workspace", str(workspace), *arguments],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    return done.stdout


def posted(workspace: Path, queries: list[Path]) -> Iterator[Any]:
    """Answers of the API, one request for each query."""
    from fastapi.testclient import TestClient

    from satchel.web.app import create_app
    from satchel.workspace import Workspace

    with TestClient(create_app(Workspace.open(workspace)), base_url="http://127.0.0.1") as client:
        for query in queries:
            response = client.post(
                "/api/v1/identify", files={"photos": (query.name, query.read_bytes())}
            )
            assert response.status_code == 200, response.text
            answer = response.json()
            del answer["answer"]  # a token, another one each time
            yield answer


def stable(answer: Any) -> Any:
    """The answer with every path and link cut to its last name."""
    if isinstance(answer, dict):
        return {key: stable(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [stable(value) for value in answer]
    return Path(answer).name if isinstance(answer, str) and answer.startswith("/") else answer


def differences(recorded: Any, now: Any, at: str = "") -> list[str]:
    """Where two answers differ by more than `TOLERANCE`, one line each."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        found = [f"{at}/{key}: only in one" for key in recorded.keys() ^ now.keys()]
        for key in recorded.keys() & now.keys():
            found += differences(recorded[key], now[key], f"{at}/{key}")
        return sorted(found)
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{at}/{i}")]
    if isinstance(recorded, float) and isinstance(now, float | int):
        return [] if abs(recorded - now) <= TOLERANCE else [f"{at}: {recorded} → {now}"]
    return [] if recorded == now else [f"{at}: {recorded!r} → {now!r}"]


def main() -> None:
    """Compare or record every catalogue whose photos are here."""
    failed = False
    for name in CATALOGUES:
        if name != "maison" and not SHARED.is_dir():
            print(f"{name}: left out, expected its photos at {SHARED}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            now = answers(name, Path(folder))
        path = RECORDED / f"{name}.json"
        if "--record" in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(now, ensure_ascii=False) + "\n", "utf-8")
            print(f"{name}: {len(now)} queries recorded")
            continue
        lines = differences(json.loads(path.read_text("utf-8")), now)
        print(f"{name}: {len(now)} queries, {len(lines)} differences", *lines[:20], sep="\n  ")
        failed |= bool(lines)
    sys.exit(failed)


if __name__ == "__main__":
    main()
