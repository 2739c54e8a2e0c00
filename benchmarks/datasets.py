"""The shared data sets as retrieval tasks: a gallery of known codes, and queries.

Choices are made on the `dev` tasks alone; the `test` tasks are for reporting. The two share no
query photo. DreamBooth is too small to be split and is reported only.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from satchel.records import Box
from satchel.workspace import Workspace

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and the code of the product that it shows; where in it, if that is known."""

    code: str
    path: Path
    box: Box | None = None


@dataclass(frozen=True)
class Task:
    """Find each query's code among the gallery's."""

    name: str
    gallery: tuple[LabelledPhoto, ...]
    queries: tuple[LabelledPhoto, ...]


def tasks(split: str) -> list[Task]:
    """Return the tasks of `split`, "dev" or "test"."""
    if not SHARED.is_dir():
        raise SystemExit(f"these benchmarks need the shared data, expected at {SHARED}")
    match split:
        case "dev":
            studio, train, val = _studio(), _grocery("train"), _grocery("val")
            return [
                Task("Grocery: studio → train+val", studio, train + val),
                Task("Grocery: train → val", train, val),
                _luma("Luma: main view → others, styles A", half=0),
            ]
        case "test":
            shop = _grocery("train") + _grocery("val")
            return [
                Task("Grocery: studio → test", _studio(), _grocery("test")),
                Task("Grocery: train+val → test", shop, _grocery("test")),
                _luma("Luma: main view → others, styles B", half=1),
                _luma("Luma: main view → others, all", half=None),
                _dreambooth(),
            ]
        case _:
            raise SystemExit(f"expected dev or test, got {split}")


def _grocery(split: str) -> tuple[LabelledPhoto, ...]:
    folder = SHARED / "grocery" / "dataset"
    lines = (folder / f"{split}.txt").read_text().splitlines()
    cells = (line.split(",") for line in lines)
    return tuple(LabelledPhoto(code.strip(), folder / path.strip()) for path, code, _ in cells)


def _studio() -> tuple[LabelledPhoto, ...]:
    folder = SHARED / "grocery" / "dataset"
    with (folder / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    return tuple(
        LabelledPhoto(row["Class ID (int)"], folder / row["Iconic Image Path (str)"].lstrip("/"))
        for row in rows
    )


def _luma(name: str, half: int | None) -> Task:
    """One view of each of the 450 codes as gallery: the main one; the other views as queries.

    Halves are by style, so that dev and test share no garment; both search all 450 codes.
    """
    with (SHARED / "luma" / "photos.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["view"] not in ("main", "0"))
    gallery: dict[str, LabelledPhoto] = {}
    queries = []
    for row in rows:
        photo = LabelledPhoto(row["code"], SHARED / "luma" / row["photo"])
        if row["code"] not in gallery:
            gallery[row["code"]] = photo
        elif half is None or int(hashlib.md5(row["style"].encode()).hexdigest(), 16) % 2 == half:
            queries.append(photo)
    return Task(name, tuple(gallery.values()), tuple(queries))


def _dreambooth() -> Task:
    folders = sorted(f for f in (SHARED / "dreambooth").iterdir() if f.is_dir())
    by_code = [[LabelledPhoto(f.name, path) for path in sorted(f.glob("*.jpg"))] for f in folders]
    return Task(
        "DreamBooth: first photo → others",
        tuple(photos[0] for photos in by_code),
        tuple(photo for photos in by_code for photo in photos[1:]),
    )


def grocery_workspace(folder: Path) -> Workspace:
    """A workspace of all Grocery photos, indexed; made where it is missing.

    The column `part` says which official part a photo is of.
    """
    if any(folder.glob("index/*")):  # written last
        return Workspace.open(folder)
    root = SHARED / "grocery" / "dataset"
    with (root / "classes.csv").open() as file:
        classes = {row["Class ID (int)"]: row for row in csv.DictReader(file)}
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "grocery.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["code", "photo", "name", "category", "part"])
        for part in ("train", "val", "test"):
            for line in (root / f"{part}.txt").read_text().splitlines():
                photo, number, _ = (cell.strip() for cell in line.split(","))
                entry = classes[number]
                names = entry["Class Name (str)"], entry["Coarse Class Name (str)"]
                rows.writerow([f"G{int(number):02d}", photo, *names, part])
    satchel = [sys.executable, "-m", "satchel"]
    subprocess.run([*satchel, "init", str(folder)], check=True)
    here = [*satchel, "--workspace", str(folder)]
    subprocess.run([*here, "import", str(table), "--photos", str(root)], check=True)
    subprocess.run([*here, "index"], check=True)
    return Workspace.open(folder)


def distinct_paths(chosen: Iterable[Task]) -> list[Path]:
    """Return every photo of these tasks, once."""
    return list(dict.fromkeys(p.path for task in chosen for p in task.gallery + task.queries))
