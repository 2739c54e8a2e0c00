"""Which of several copies curation keeps: the original, or one that was made from it.

    python -m benchmarks.kept_copy [dev|test] [--keep FOLDER]       (some minutes on two cores)

Photos of Luma and Grocery are copied in eleven ways. Half of the products have further photos, the
others only this one. Each way is tried by itself, the original against the one copy, and all of
them together. Counted: in how many groups the original stays, among those in which curation finds
that the two are copies; and, of all copies together, how often the one that stays is upright, not
mirrored, and not clipped.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.datasets import LabelledPhoto, tasks
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.catalog.curation import GalleryPhotos
from satchel.curate.copies import compared_pairs, confirmed_copies
from satchel.curate.decide import COPY, decide
from satchel.curate.orientation import Copies
from satchel.curate.rules import CurationRules
from satchel.images import RGB, decode, encode_jpeg
from satchel.served import served_space
from satchel.workspace import Workspace

GROUPS = 12
"""Groups of each data set."""

PEERS = 3
"""Further photos of a product that has some."""

Rng = np.random.Generator


def _jpeg(pixels: Any, quality: int = 90) -> bytes:
    return encode_jpeg(rgb(pixels), quality)


def _recompressed(pixels: RGB, rng: Rng) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=int(rng.integers(25, 45)))
    return out.getvalue()


def _enlarged(pixels: RGB, by: float) -> RGB:
    return rgb(cv2.resize(pixels, None, fx=by, fy=by, interpolation=cv2.INTER_CUBIC))


def _cropped(pixels: RGB, rng: Rng) -> RGB:
    height, width = pixels.shape[:2]
    tall, wide = round(0.85 * height), round(0.85 * width)
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
    return pixels[top : top + tall, left : left + wide]


def _exposed(pixels: RGB, gain: float) -> RGB:
    return rgb(np.clip(pixels * gain, 0, 255))


COPIES: dict[str, Callable[[RGB, Rng], bytes]] = {
    "turned left": lambda p, _: _jpeg(np.rot90(p)),
    "turned right": lambda p, _: _jpeg(np.rot90(p, 3)),
    "upside down": lambda p, _: _jpeg(np.rot90(p, 2)),
    "mirrored": lambda p, _: _jpeg(p[:, ::-1]),
    "overexposed": lambda p, rng: _jpeg(_exposed(p, rng.uniform(1.25, 1.5))),
    "underexposed": lambda p, rng: _jpeg(_exposed(p, rng.uniform(0.5, 0.75))),
    "recompressed": _recompressed,
    "saved again": lambda p, _: _jpeg(p, 98),
    "enlarged": lambda p, rng: _jpeg(_enlarged(p, rng.uniform(1.3, 1.8)), 92),
    "cropped": lambda p, rng: _jpeg(_cropped(p, rng)),
    "cropped, enlarged": lambda p, rng: _jpeg(_enlarged(_cropped(p, rng), 1.5), 92),
}
TURNED = ("turned left", "turned right", "upside down")
CLIPPED = ("overexposed", "underexposed")


# -- the catalogue --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A file of the catalogue: of which group, and how it was made; "" for a peer."""

    group: str
    made: str


def chosen(split: str) -> list[tuple[LabelledPhoto, list[LabelledPhoto]]]:
    """Originals with their products' further photos."""
    rng = np.random.default_rng(0 if split == "dev" else 1)
    named = {task.name: task for task in tasks("dev" if split == "dev" else "test")}
    grocery = next(task for name, task in named.items() if name.startswith("Grocery: train"))
    luma = next(task for name, task in named.items() if name.startswith("Luma"))
    found = []
    for task in (luma, grocery):
        by_code: dict[str, list[LabelledPhoto]] = {}
        for photo in (*task.gallery, *task.queries):
            by_code.setdefault(photo.code, []).append(photo)
        half = 0 if split == "dev" else 1
        codes = [code for code in sorted(by_code) if len(by_code[code]) > 1]
        codes = [code for code in codes if hashlib.md5(code.encode()).digest()[0] % 2 == half]
        for code in rng.permutation(codes)[:GROUPS]:
            photos = [by_code[code][at] for at in rng.permutation(len(by_code[code]))]
            found.append((photos[0], photos[1 : 1 + PEERS]))
    return found


def make_catalogue(folder: Path, split: str) -> dict[str, Member]:
    """Write photos and catalogue.csv; return what each photo is, by the SHA-256 of its bytes."""
    rng = np.random.default_rng(7)
    members: dict[str, Member] = {}
    (folder / "photos").mkdir(parents=True)
    with (folder / "catalogue.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("code", "photo"))

        def add(code: str, data: bytes, made: str) -> None:
            digest = hashlib.sha256(data).hexdigest()
            (folder / "photos" / f"{digest}.jpg").write_bytes(data)
            rows.writerow((code, f"photos/{digest}.jpg"))
            members[digest] = Member(code, made)

        for at, (original, peers) in enumerate(chosen(split)):
            code = f"{original.path.parts[-3]}-{original.code}"
            pixels = decode(original.path.read_bytes(), min_side_px=None)
            made = [("original", original.path.read_bytes())]
            made += [(name, make(pixels, rng)) for name, make in COPIES.items()]
            for name, data in [made[i] for i in rng.permutation(len(made))]:
                add(code, data, name)
            for peer in peers if at % 2 else ():
                add(code, peer.path.read_bytes(), "")
            for peer in () if at % 2 else peers:  # so that others of the kind are in the catalogue
                add(f"{code}-other", peer.path.read_bytes(), "")
    return members


def workspace_of(folder: Path, split: str) -> tuple[Workspace, dict[str, Member]]:
    """A curated workspace; made where it is missing."""
    source, shop = folder / f"source-{split}", folder / f"shop-{split}"
    listing = folder / f"members-{split}.csv"
    if not listing.exists():
        members = make_catalogue(source, split)
        satchel = [sys.executable, "-m", "satchel"]
        subprocess.run([*satchel, "init", str(shop)], check=True)
        for words in (("import", str(source / "catalogue.csv")), ("curate",)):
            subprocess.run([*satchel, "--workspace", str(shop), *words], check=True)
        with listing.open("w", newline="") as file:
            csv.writer(file).writerows((k, m.group, m.made) for k, m in members.items())
    with listing.open() as file:
        return Workspace.open(shop), {k: Member(g, m) for k, g, m in csv.reader(file)}


# -- what is kept ---------------------------------------------------------------------------------


def take(photos: GalleryPhotos, rows: Sequence[int]) -> GalleryPhotos:
    """Some of the photos."""
    taken: dict[str, Any] = {}
    for field in fields(photos):
        values = getattr(photos, field.name)
        whole = isinstance(values, np.ndarray)
        taken[field.name] = values[list(rows)] if whole else [values[row] for row in rows]
    return replace(photos, **taken)


def kept(photos: GalleryPhotos, made: Sequence[Member], copies: Copies) -> dict[str, str]:
    """Group → how the photo was made that stays; groups in which no copy is found are missing."""
    states = decide(photos, copies, CurationRules(best=100))
    dropped = [any(reason["kind"] == COPY for reason in state.reasons) for state in states]
    found: dict[str, list[str]] = {}
    groups = {member.group for member, out in zip(made, dropped, strict=True) if out}
    for member, out in zip(made, dropped, strict=True):
        if member.made and not out and member.group in groups:
            found.setdefault(member.group, []).append(member.made)
    return {group: stays[0] for group, stays in found.items() if len(stays) == 1}


def trial(workspace: Workspace, members: dict[str, Member]) -> dict[str, Any]:
    """Kept originals, by way of copying and of all together."""
    space = served_space(workspace)
    store = workspace.catalogue.curation
    everything = store.gallery_photos(space.id, space.card.dimension)
    compared = compared_pairs(store)
    sources = received(workspace)
    made = [members[sources[name]] for name in everything.sha256]
    figures: dict[str, Any] = {}
    for name in (*COPIES, "all"):
        rows = [
            row
            for row, member in enumerate(made)
            if name == "all" or member.made in ("", "original", name)
        ]
        photos = take(everything, rows)
        copies = confirmed_copies(photos, compared, CurationRules().duplicates)
        stays = kept(photos, [made[row] for row in rows], copies)
        figures[name] = {
            "groups": len(stays),
            "original": sum(one == "original" for one in stays.values()),
            "upright": sum(one not in TURNED for one in stays.values()),
            "not mirrored": sum(one != "mirrored" for one in stays.values()),
            "well exposed": sum(one not in CLIPPED for one in stays.values()),
            "kept": sorted(stays.values()),
        }
    return figures


def received(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of each stored photo → of the bytes that it was made of."""
    query = "SELECT sha256, source_sha256 FROM photo_sources JOIN photos ON photos.id = photo_id"
    with closing(sqlite3.connect(workspace.folder / "satchel.db")) as database:
        return dict(database.execute(query).fetchall())


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("split", choices=("dev", "test"), nargs="?", default="test")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        workspace, members = workspace_of(given.keep or Path(temporary), given.split)
        figures = trial(workspace, members)
    columns = ("groups", "original", "upright", "not mirrored", "well exposed")
    rows = [[name, *(str(row[column]) for column in columns)] for name, row in figures.items()]
    print_table(f"The copy that is kept ({given.split})", ["copies", *columns], rows)
    write_json(f"kept-copy-{given.split}", figures)


if __name__ == "__main__":
    main()
