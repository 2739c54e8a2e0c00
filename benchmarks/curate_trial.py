"""End-to-end trial of curation: a folder of mixed files, through the command line.

    python -m benchmarks.curate_trial [--files 5000] [--keep FOLDER]

A folder per code is made from Grocery's training photos and Luma's (by style), with everything a
collected folder has in it: copies of nine kinds, pictures under two codes, photos under wrong
codes, street photos, screenshots, tight crops, damaged files, files that are something else than
their name says, animations, CMYK, rotated phones' photos, Korean names. The truth of every file is
known. Then `satchel` is run as its user would: import, index, curate; import and curate once more
from the start, killed again and again; with nothing new; with ten more photos; with a person's
decision and its undoing, through a running server; and with other rules, the photos put out of
reach.

What must hold is checked, and a breach ends the trial: states after kills equal those without, no
decision is overruled, nothing is done twice, rules are applied without pixels. Times and what was
found are reported. --keep leaves files and workspaces in FOLDER.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from benchmarks.datasets import SHARED, _grocery
from benchmarks.duplicates import COPIES
from benchmarks.garbage import screenshot, tight_crop
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.images import RGB, decode, encode_jpeg

SEED = 7
PER_CLASS = 34
KILLS = 6
ADDED = 10
STATES = ("kept", "doubtful", "dropped")

SHARES = {
    "copy": 0.18,
    "two codes": 0.02,
    "other product": 0.05,
    "street": 0.05,
    "screenshot": 0.05,
    "crop": 0.04,
    "fault": 0.02,
    "odd but right": 0.02,
    "no photo": 0.03,
}
"""Parts of all files, each divided evenly among its kinds; the rest is right photos."""


@dataclass(frozen=True)
class File:
    """A file of the folder and what it truly is; `of` is the file that a copy was made from."""

    path: str
    kind: str
    part: str
    of: str | None = None

    @property
    def code(self) -> str:
        """As the catalogue will have it."""
        return unicodedata.normalize("NFC", self.path.partition("/")[0])


# -- the folder --------------------------------------------------------------------------------


class Folder:
    """Writes files and remembers what they are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[File] = []

    def add(
        self, name: str, data: bytes, kind: str, part: str | None = None, of: str | None = None
    ) -> str:
        """Write one file; returns its name."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files.append(File(name, kind, part or kind, of))
        return name


def right_photos(rng: random.Random) -> dict[str, list[Path]]:
    """Grocery's classes and Luma's styles as codes with their photos, in no order.

    Every tenth code is Korean, half of those in pieces (NFD), as macOS writes them.
    """
    by_code: dict[str, list[Path]] = defaultdict(list)
    for photo in _grocery("train"):
        by_code[f"GR-{int(photo.code):03}"].append(photo.path)
    with (SHARED / "luma" / "photos.csv").open() as file:
        for row in csv.DictReader(file):
            if "alt" not in row["view"]:
                by_code[row["style"]].append(SHARED / "luma" / row["photo"])
    codes = sorted(by_code)
    rng.shuffle(codes)
    named = {}
    for at, code in enumerate(codes):
        form: Literal["NFD", "NFC"] = "NFD" if at % 20 else "NFC"
        name = code if at % 10 else unicodedata.normalize(form, f"가방 {code}")
        named[name] = rng.sample(by_code[code], len(by_code[code]))
    return named


def make_folder(root: Path, files: int) -> list[File]:
    """Make the folder; about `files` files."""
    rng, numbers = random.Random(SEED), np.random.default_rng(SEED)
    folder, counts = Folder(root), {part: round(files * share) for part, share in SHARES.items()}
    wanted = files - sum(counts.values())
    originals: list[tuple[str, Path]] = []
    spare: list[tuple[str, Path]] = []
    for code, paths in right_photos(rng).items():
        if len(originals) >= wanted:
            break
        spare += [(code, path) for path in paths[PER_CLASS:]]
        for number, path in enumerate(paths[:PER_CLASS]):
            name = f"{code}/{_name(number, rng)}"
            originals.append((folder.add(name, path.read_bytes(), "right"), path))
    codes = sorted({name.partition("/")[0] for name, _ in originals})
    shuffled = iter(rng.sample(originals, len(originals)))
    _add_copies(folder, shuffled, counts["copy"], numbers)
    _add_second_codes(folder, shuffled, counts["two codes"], codes, rng)
    for own, path in rng.sample(spare, min(len(spare), counts["other product"])):
        code = rng.choice([code for code in codes if code != own])
        folder.add(f"{code}/other-{len(folder.files)}.jpg", path.read_bytes(), "other product")
    street = sorted((SHARED / "street" / "images").glob("*.jpg"))
    for path in rng.sample(street, counts["street"]):
        folder.add(f"{rng.choice(codes)}/crawled-{path.stem}.jpg", path.read_bytes(), "street")
    for kind, make in (("screenshot", screenshot), ("crop", tight_crop)):
        for _ in range(counts[kind]):
            name, path = rng.choice(originals)
            data = encode_jpeg(make(_read(path), numbers), 88)
            folder.add(f"{name.partition('/')[0]}/{kind}-{len(folder.files)}.jpg", data, kind)
    for part, ways in (("fault", FAULTS), ("odd but right", ODD), ("no photo", NO_PHOTOS)):
        for at in range(counts[part]):
            kind, make_file = list(ways.items())[at % len(ways)]
            name, path = rng.choice(originals) if part != "odd but right" else next(shuffled)
            data, suffix = make_file(path, numbers)
            code = name.partition("/")[0]
            of = name if part == "odd but right" else None
            folder.add(f"{code}/{kind}-{len(folder.files)}{suffix}", data, kind, part, of)
    return folder.files


def _name(number: int, rng: random.Random) -> str:
    """Realistic file names: of cameras, shops, Korean messengers, with blanks and in folders."""
    return rng.choice(
        (
            f"IMG_{number:04}.JPG",
            f"photo ({number}).jpg",
            f"정면 사진 {number}.jpg",
            f"카카오톡/KakaoTalk_{number:03}.jpeg",
            f"{number}.jpg",
        )
    )


def _read(path: Path) -> RGB:
    return decode(path.read_bytes(), min_side_px=None)


def _add_copies(
    folder: Folder, photos: Iterator[tuple[str, Path]], count: int, rng: np.random.Generator
) -> None:
    ways: dict[str, Callable[[bytes, Path], bytes]] = {
        "same bytes": lambda data, _: data,
        "same pixels": lambda data, _: data[:2] + b"\xff\xfe\x00\x06copy" + data[2:],
        **{
            kind: lambda _, path, make=make: make(_read(path), rng)  # type: ignore[misc]
            for kind, make in COPIES.items()
        },
    }
    for at in range(count):
        kind, make = list(ways.items())[at % len(ways)]
        name, path = next(photos)
        code = name.partition("/")[0]
        folder.add(f"{code}/copy-{at}.jpg", make(path.read_bytes(), path), kind, "copy", name)


def _add_second_codes(
    folder: Folder,
    photos: Iterator[tuple[str, Path]],
    count: int,
    codes: list[str],
    rng: random.Random,
) -> None:
    """The same picture under another code: every second as it is, the others recompressed."""
    for at in range(count):
        name, path = next(photos)
        code = rng.choice([code for code in codes if not name.startswith(f"{code}/")])
        data = path.read_bytes() if at % 2 else encode_jpeg(_read(path), 70)
        folder.add(f"{code}/shared-{at}.jpg", data, "two codes", of=name)


# -- single files ------------------------------------------------------------------------------

Made = tuple[bytes, str]


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _tiny(path: Path, _: np.random.Generator) -> Made:
    pixels = _read(path)
    scale = 64 / min(pixels.shape[:2])
    return encode_jpeg(rgb(cv2.resize(pixels, None, fx=scale, fy=scale)), 90), ".jpg"


def _banner(path: Path, _: np.random.Generator) -> Made:
    pixels = rgb(cv2.resize(_read(path), (900, 900)))
    return encode_jpeg(pixels[350:550], 90), ".jpg"


def _blank(_: Path, rng: np.random.Generator) -> Made:
    return encode_jpeg(np.full((400, 400, 3), rng.integers(200, 256), np.uint8), 90), ".jpg"


def _collage(path: Path, _: np.random.Generator) -> Made:
    small = rgb(cv2.resize(_read(path), (300, 300)))
    rows = np.hstack([small, np.full((300, 6, 3), 255, np.uint8), small[:, ::-1]])
    return encode_jpeg(rows, 90), ".jpg"


def _blurred(path: Path, _: np.random.Generator) -> Made:
    return encode_jpeg(rgb(cv2.GaussianBlur(_read(path), (0, 0), 9)), 90), ".jpg"


FAULTS: dict[str, Callable[[Path, np.random.Generator], Made]] = {
    "tiny": _tiny,
    "banner": _banner,
    "blank": _blank,
    "collage": _collage,
    "blurred": _blurred,
}


def _cmyk(path: Path, _: np.random.Generator) -> Made:
    return _saved(Image.open(path).convert("CMYK"), "JPEG", quality=90), ".jpg"


def _turned(path: Path, _: np.random.Generator) -> Made:
    """A phone held upright: the pixels lie on their side, and the tag says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.ascontiguousarray(np.rot90(_read(path))))
    return _saved(image, "JPEG", quality=90, exif=exif), ".jpg"


def _clear(path: Path, _: np.random.Generator) -> Made:
    return _saved(Image.open(path).convert("RGBA"), "PNG"), ".png"


def _animated_webp(path: Path, _: np.random.Generator) -> Made:
    first = Image.open(path).convert("RGB")
    frames = [first.rotate(90, expand=False), first.rotate(180)]
    return _saved(first, "WEBP", save_all=True, append_images=frames, quality=85), ".webp"


ODD = {"CMYK": _cmyk, "turned": _turned, "PNG": _clear, "animated WebP": _animated_webp}


def _truncated(path: Path, rng: np.random.Generator) -> Made:
    data = path.read_bytes()
    return data[: int(len(data) * rng.uniform(0.1, 0.8))], ".jpg"


def _text(_: Path, rng: np.random.Generator) -> Made:
    return f"404 not found {rng.integers(1000)}\n".encode(), ".jpg"


def _web_page(_: Path, rng: np.random.Generator) -> Made:
    return f"<!DOCTYPE html><title>로그인</title>{rng.integers(1000)}".encode("cp949"), ".jpg"


def _empty(_: Path, __: np.random.Generator) -> Made:
    return b"", ".jpg"


def _huge(_: Path, rng: np.random.Generator) -> Made:
    """A PNG whose header promises 60,000 × 60,000 pixels."""
    small = _saved(Image.new("RGB", (8, 8)), "PNG")
    side = (60_000 + int(rng.integers(100))).to_bytes(4)
    header = b"IHDR" + side + side + small[24:29]
    return small[:12] + header + _crc(header) + small[33:], ".png"


def _crc(chunk: bytes) -> bytes:
    import zlib

    return zlib.crc32(chunk).to_bytes(4)


def _gif(path: Path, _: np.random.Generator) -> bytes:
    first = Image.open(path).convert("P")
    return _saved(first, "GIF", save_all=True, append_images=[first.rotate(90)])


NO_PHOTOS: dict[str, Callable[[Path, np.random.Generator], Made]] = {
    "truncated": _truncated,
    "text": _text,
    "web page": _web_page,
    "empty": _empty,
    "huge": _huge,
    "GIF called JPEG": lambda path, rng: (_gif(path, rng), ".jpg"),
    "GIF": lambda path, rng: (_gif(path, rng), ".gif"),
    "note": lambda path, rng: (b"size 35, sold\n", ".txt"),
}
PASSED_OVER = ("GIF", "note")
"""Kinds whose names are no photo's: import skips them."""


# -- satchel -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        code: exit code.
        said: what it wrote, both streams.
        seconds: wall clock.
        memory_mb: at most.
    """

    code: int
    said: str
    seconds: float
    memory_mb: float


class User:
    """Someone at the command line of one workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def run(self, *arguments: str, kill_after_s: float | None = None) -> Ran:
        """Run `satchel`; with a time limit, kill it with SIGKILL after so many seconds."""
        log = self.workspace.with_suffix(".log")
        with log.open("wb") as out:
            began = time.perf_counter()
            process = self.start(*arguments, out=out)
            while process.poll() is None and (
                kill_after_s is None or time.perf_counter() - began < kill_after_s
            ):
                time.sleep(0.02)
                memory = _memory_mb(process.pid) or 0.0
                self.peak = max(getattr(self, "peak", 0.0), memory)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            code = process.wait()
        peak, self.peak = self.peak, 0.0
        return Ran(code, log.read_text(), time.perf_counter() - began, peak)

    def start(self, *arguments: str, out: Any) -> subprocess.Popen[bytes]:
        """Start `satchel`."""
        command = [sys.executable, "-m", "satchel", "--workspace", str(self.workspace), *arguments]
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def asked(self, query: str) -> list[Any]:
        """Ask the database."""
        with sqlite3.connect(f"file:{self.workspace / 'satchel.db'}?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def states(self) -> dict[tuple[str, str], tuple[str, str]]:
        """State and reasons of every photo of every product, by code and SHA-256."""
        rows = self.asked(
            "SELECT code, sha256, state, reasons FROM product_photos "
            "JOIN products ON products.id = product_id JOIN photos ON photos.id = photo_id"
        )
        return {(code, name): (state, reasons) for code, name, state, reasons in rows}

    def received(self) -> dict[str, str]:
        """SHA-256 of the files as they came → of the photos that they became."""
        return dict(
            self.asked(
                "SELECT source_sha256, sha256 FROM photo_sources "
                "JOIN photos ON photos.id = photo_id"
            )
        )

    def work_done(self) -> Counter[str]:
        """Photos embedded and measured, and pairs compared, so far."""
        tables = ("vectors", "photo_figures", "photo_pairs")
        return Counter({name: self.asked(f"SELECT count(*) FROM {name}")[0][0] for name in tables})


def _memory_mb(process: int) -> float | None:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def must(holds: object, what: str) -> None:
    """End the trial where something that must hold does not."""
    if not holds:
        raise SystemExit(f"the trial failed: {what}")


@contextmanager
def serving(user: User) -> Iterator[str]:
    """A running server; its address."""
    log = user.workspace.with_suffix(".serve.log")
    with log.open("wb") as out:
        process = user.start("serve", "--port", "0", out=out)
        try:
            for _ in range(600):
                found = re.search(r"http://[\d.]+:\d+", log.read_text())
                if found:
                    break
                time.sleep(0.1)
            must(found, f"the server did not start: {log.read_text()}")
            assert found
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def post(address: str, path: str, **form: object) -> str:
    """Send a form as the page does."""
    request = urllib.request.Request(
        address + path,
        urllib.parse.urlencode(form).encode(),
        {"HX-Request": "true", "Accept": "text/html", "Origin": address},
    )
    with urllib.request.urlopen(request) as answer:
        return str(answer.read().decode())


# -- the trial ---------------------------------------------------------------------------------

Times = dict[str, Ran]


def first_time(user: User, photos: Path, before_curate: Callable[[], object]) -> Times:
    """Init, import, index, curate, as a newcomer does."""
    times = {
        "init": user.run("init", str(user.workspace)),
        "import": user.run("import", str(photos)),
        "index": user.run("index"),
    }
    before_curate()
    return {**times, "curate": user.run("curate")}


def killed_import(user: User, photos: Path, seconds: float, rng: random.Random) -> list[float]:
    """Import, killed twice; returns the moments, in seconds."""
    user.run("init", str(user.workspace))
    moments = [rng.uniform(0.1, 0.9) * seconds for _ in range(2)]
    for moment in moments:
        user.run("import", str(photos), kill_after_s=moment)
    user.run("import", str(photos))
    return moments


def killed_curate(user: User, seconds: float, rng: random.Random) -> list[float]:
    """Curate, killed again and again; returns the moments, in seconds.

    What was done is kept, so what is left gets shorter: a third of the whole each at most.
    """
    moments = []
    for _ in range(KILLS):
        ended = user.run("curate", kill_after_s=rng.uniform(2, max(3.0, seconds / 3)))
        moments.append(ended.seconds)
        if ended.code >= 0:
            break
    user.run("curate")
    return moments


def decision(user: User) -> str:
    """Keep a photo that was dropped, curate, undo, curate; returns what it was dropped for."""
    link, code, name, reasons = user.asked(
        "SELECT product_photos.id, code, sha256, reasons FROM product_photos "
        "JOIN products ON products.id = product_id JOIN photos ON photos.id = photo_id "
        "WHERE state = 'dropped' AND reasons LIKE '%other_product%' ORDER BY product_photos.id"
    )[0]
    key, before = (code, name), user.states()
    with serving(user) as address:
        post(address, "/review/decide", link_id=link, choice="keep", state="dropped", who="심사")
        must(user.states()[key][0] == "kept", "the photo is kept")
        user.run("curate", "--best", "1")
        must(user.states()[key][0] == "kept", "no later run overrules a person")
        action = user.asked("SELECT max(action) FROM decisions")[0][0]
        post(address, "/review/undo", action=action, after=link, state="dropped")
        must(user.states()[key] == before[key], "undoing brings the old state back")
    user.run("curate")
    must(user.states() == before, "after undoing, a run decides as before")
    return str(reasons)


def other_rules(user: User) -> Ran:
    """Curate by other rules, the photos out of reach."""
    settings = user.workspace / "satchel.toml"
    kept, photos = settings.read_text(), user.workspace / "photos"
    rules = "[curate]\nbest = 5\n[curate.garbage]\ndropped_at = 1.5\n[curate.integrity]\n"
    settings.write_text(rules + "sharpness = 20.0\n")
    photos.rename(photos.with_name("away"))
    try:
        ran = user.run("curate")
    finally:
        photos.with_name("away").rename(photos)
        settings.write_text(kept)
    return ran


def add_photos(root: Path, files: list[File]) -> None:
    """Ten photos more, of codes that are there."""
    codes = {file.code: file.path.partition("/")[0] for file in files if file.kind == "right"}
    new = [photo for photo in _grocery("val") if f"GR-{int(photo.code):03}" in codes]
    for at, photo in enumerate(random.Random(SEED).sample(new, ADDED)):
        code = codes[f"GR-{int(photo.code):03}"]
        (root / code / f"new-{at}.jpg").write_bytes(photo.path.read_bytes())


# -- what was found ----------------------------------------------------------------------------

DESTINIES = ("refused", "copy", "dropped", "doubtful", "beyond best", "kept")


def destinies(root: Path, files: list[File], user: User) -> dict[str, tuple[str, set[str]]]:
    """Outcome of each file (one of `DESTINIES`), and the kinds of reasons, by path."""
    received, states = user.received(), user.states()
    found: dict[str, tuple[str, set[str]]] = {}
    first = set()
    for file in files:
        name = received.get(hashlib.sha256((root / file.path).read_bytes()).hexdigest())
        state = states.get((file.code, name or ""))
        if state is None:
            found[file.path] = ("refused", set())
            continue
        if (file.code, name) in first:  # the very same bytes once more
            found[file.path] = ("copy", {"copy"})
            continue
        first.add((file.code, name))
        kinds = {reason["kind"] for reason in json.loads(state[1])}
        destiny = state[0]
        if destiny == "dropped" and "copy" in kinds:
            destiny = "copy"
        elif destiny == "dropped" and kinds == {"beyond_best"}:
            destiny = "beyond best"
        found[file.path] = (destiny, kinds)
    return found


def by_kind(files: list[File], found: dict[str, tuple[str, set[str]]]) -> list[dict[str, Any]]:
    """Destinies counted for each kind, and whether the truth was found.

    A copy is found where it or its original is out as a copy; what stands under two codes, where
    that is a reason; a wrong or faulty photo, where it is dropped or doubtful; what is no photo,
    where it is refused; a right one, where it is kept or one of too many good ones.
    """
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for file in files:
        destiny, reasons = found[file.path]
        original = found.get(file.of or "", ("", set()))
        hit = {
            "copy": destiny == "copy" or original[0] == "copy",
            "two codes": "two_codes" in reasons | original[1],
            "right": destiny in ("kept", "beyond best", "copy"),
            "odd but right": destiny in ("kept", "beyond best", "copy"),
            "no photo": destiny == "refused",
        }.get(file.part, destiny in ("dropped", "doubtful", "copy"))
        rows[file.part, file.kind] += Counter({"files": 1, destiny: 1, "as it should": hit})
    return [{"part": part, "kind": kind, **row} for (part, kind), row in rows.items()]


def mistaken_copies(files: list[File], found: dict[str, tuple[str, set[str]]]) -> list[str]:
    """Right photos that are out as copies, though no copy was made of them."""
    copied = {file.of for file in files if file.of}
    return [
        file.path
        for file in files
        if file.kind == "right" and file.path not in copied and found[file.path][0] == "copy"
    ]


def print_found(rows: list[dict[str, Any]]) -> None:
    """The table of kinds."""
    cells = [
        [
            *(row.get(column, 0) for column in ("part", "kind", "files", *DESTINIES)),
            f"{100 * row['as it should'] / row['files']:.1f}",
        ]
        for row in rows
    ]
    print_table("What became of them", ["", "kind", "files", *DESTINIES, "as it should, %"], cells)


def trial(folder: Path, count: int) -> dict[str, Any]:
    """Everything, in `folder`."""
    photos, rng = folder / "photos", random.Random(SEED)
    files = make_folder(photos, count)
    user, killed, again = (User(folder / name) for name in ("straight", "killed", "again"))
    times = first_time(
        user, photos, lambda: shutil.copytree(user.workspace, killed.workspace, symlinks=True)
    )
    for name, ran in times.items():
        print(f"--- {name}: exit {ran.code}\n{ran.said}")
    must(times["curate"].code == 0, "curate ends well")
    straight = user.states()
    found = destinies(photos, files, user)
    kinds = by_kind(files, found)
    print_found(kinds)
    mistaken = mistaken_copies(files, found)
    print(f"right photos taken for copies of others: {len(mistaken)} {mistaken[:5]}")

    moments = {
        "import": killed_import(again, photos, times["import"].seconds, rng),
        "curate": killed_curate(killed, times["curate"].seconds, rng),
    }
    must(again.states().keys() == straight.keys(), "what is imported after kills is the same")
    must(killed.states() == straight, "states after kills equal those without")
    done = user.work_done()
    times["import again"] = user.run("import", str(photos))
    times["curate again"] = user.run("curate")
    must(user.states() == straight and user.work_done() == done, "nothing is done twice")

    add_photos(photos, files)
    times["import, ten more"] = user.run("import", str(photos))
    times["curate, ten more"] = user.run("curate")
    print(times["curate, ten more"].said)
    more = user.work_done() - done
    must(
        more["vectors"] == more["photo_figures"] == ADDED, f"only new photos are worked on: {more}"
    )
    reason = decision(user)
    times["curate, other rules"] = other_rules(user)
    must(times["curate, other rules"].code == 0, "rules are applied without pixels")
    rows = [[name, f"{ran.seconds:.1f}", f"{ran.memory_mb:.0f}"] for name, ran in times.items()]
    print_table(f"{len(files):,} files", ["", "seconds", "memory, MB"], rows)
    return {
        "files": len(files),
        "seconds": {name: round(ran.seconds, 1) for name, ran in times.items()},
        "memory_mb": {name: round(ran.memory_mb) for name, ran in times.items()},
        "load": os.getloadavg(),
        "killed_after_s": moments,
        "work": dict(done),
        "work_for_ten_more": dict(more),
        "undone_drop": json.loads(reason),
        "found": kinds,
        "right_taken_for_copies": len(mistaken),
    }


def main() -> None:
    """Run the trial and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        figures = trial(folder, chosen.files)
    write_json("curate-trial", figures)


if __name__ == "__main__":
    main()
