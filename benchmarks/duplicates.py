"""Duplicate detection on a labelled set, and the speed of hashing.

    python -m benchmarks.duplicates [dev|test] [--imagededup PYTHON]
    python -m benchmarks.duplicates speed

Photos of the shared sets are copied in nine ways; every pair of files made from one photo is a
true pair, every other pair is not. All of Luma takes part, with its colour variants of one pose,
and Grocery photos of one class: look-alikes that must stay apart. Halves are by photo (Luma: by
style), thresholds were chosen on `dev`. Source files whose decoded pixels differ by less than half
a level of 255 on average count as one original, whatever they are called.

imagededup needs torch and runs in its own environment; PYTHON is that environment's. The
weights of its default network (MobileNetV3) come from the net alone: its CNN method is run with the
network that Satchel starts from instead, EfficientNet-Lite0 with ImageNet weights.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.datasets import SHARED
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.curate.duplicates import Groups, duplicate_candidates
from satchel.curate.geometry import compare, describe
from satchel.curate.hash_pairs import near_pairs
from satchel.curate.hashing import perceptual_hash, pixel_digest
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import DECODED_SIDE_PX, RGB, decode, encode_jpeg
from satchel.parallel import batched, map_in_order

GROCERY_CLASSES, PER_CLASS = 42, 12
COPIED = {"luma": 40, "grocery": 50, "dreambooth": 20, "coco_bags": 10}
LONG_SIDE_PX = 500
SAME_SOURCE_LEVELS = 0.5
"""Source files whose decoded pixels differ by less on average, of 255, are one original."""
Rng = np.random.Generator


# -- ways of copying ---------------------------------------------------------------------------


def recompressed(pixels: RGB, rng: Rng) -> bytes:
    """Quality 30 to 90, with chroma subsampling, as the web does it."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=int(rng.integers(30, 91)))
    return out.getvalue()


def resized(pixels: RGB, rng: Rng) -> bytes:
    """To 0.3 to 0.8 of the sides."""
    scale = rng.uniform(0.3, 0.8)
    return _jpeg(rgb(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)))


def cropped(pixels: RGB, rng: Rng) -> bytes:
    """5 to 20 % of either side cut off, divided between the two ends at random."""
    height, width = pixels.shape[:2]
    keep_h, keep_w = (round(side * (1 - rng.uniform(0.05, 0.2))) for side in (height, width))
    top, left = rng.integers(0, height - keep_h + 1), rng.integers(0, width - keep_w + 1)
    return _jpeg(pixels[top : top + keep_h, left : left + keep_w])


def flipped(pixels: RGB, rng: Rng) -> bytes:
    """Left and right exchanged."""
    return _jpeg(pixels[:, ::-1])


def rotated(pixels: RGB, rng: Rng) -> bytes:
    """By 1 to 5 degrees either way, the corners filled with white, black or the edge."""
    height, width = pixels.shape[:2]
    degrees = rng.uniform(1, 5) * rng.choice((-1, 1))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    fill = int(rng.choice((0, 255)))
    mode = cv2.BORDER_REPLICATE if rng.random() < 1 / 3 else cv2.BORDER_CONSTANT
    turned = cv2.warpAffine(
        pixels, matrix, (width, height), borderMode=mode, borderValue=(fill, fill, fill)
    )
    return _jpeg(rgb(turned))


def bordered(pixels: RGB, rng: Rng) -> bytes:
    """A frame of one colour, 3 to 12 % of the longer side."""
    thick = round(max(pixels.shape[:2]) * rng.uniform(0.03, 0.12))
    colour = [int(c) for c in rng.choice(((255, 255, 255), (0, 0, 0), (180, 30, 40)))]
    return _jpeg(
        rgb(
            cv2.copyMakeBorder(
                pixels, thick, thick, thick, thick, cv2.BORDER_CONSTANT, value=colour
            )
        )
    )


def watermarked(pixels: RGB, rng: Rng) -> bytes:
    """A see-through line of text, a third to nine tenths of the width, anywhere."""
    height, width = pixels.shape[:2]
    layer = Image.new("RGBA", (width, height))
    share = rng.uniform(1 / 3, 0.9)
    font = ImageFont.load_default(max(8, width * share / 6.5))
    at = (rng.uniform(0, 1 - share) * width, rng.uniform(0.05, 0.8) * height)
    shade = int(rng.choice((0, 255)))
    ink = (shade, shade, shade, int(rng.integers(90, 200)))
    ImageDraw.Draw(layer).text(at, "© SHOP-24.com", ink, font)
    over = Image.alpha_composite(Image.fromarray(pixels).convert("RGBA"), layer)
    return _jpeg(np.asarray(over.convert("RGB")))


def brightness_changed(pixels: RGB, rng: Rng) -> bytes:
    """Brighter or darker by 15 to 35 %, clipped, with a little contrast."""
    gain = 1 + rng.uniform(0.15, 0.35) * rng.choice((-1, 1))
    return _jpeg(np.clip(pixels * gain + rng.uniform(-10, 10), 0, 255).astype(np.uint8))


def _jpeg(pixels: RGB) -> bytes:
    return encode_jpeg(pixels, 88)


COPIES: dict[str, Callable[[RGB, Rng], bytes]] = {
    "recompressed": recompressed,
    "resized": resized,
    "cropped": cropped,
    "flipped": flipped,
    "rotated": rotated,
    "bordered": bordered,
    "watermarked": watermarked,
    "brightness": brightness_changed,
}


# -- the set -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """One file of the set: the photo it was made from, how, and its bytes."""

    original: int
    made: str
    path: Path
    data: bytes


def originals(split: str) -> dict[str, list[Path]]:
    """Return the photos of a split, by data set, in random order."""
    if not SHARED.is_dir():
        raise SystemExit(f"these benchmarks need the shared data, expected at {SHARED}")
    with (SHARED / "luma" / "photos.csv").open() as file:
        luma = [(row["style"], SHARED / "luma" / row["photo"]) for row in csv.DictReader(file)]
    grocery = SHARED / "grocery" / "dataset"
    lines = [line.split(",") for line in (grocery / "train.txt").read_text().splitlines()]
    by_class: dict[str, list[Path]] = {}
    for path, code, _ in lines:
        by_class.setdefault(code.strip(), []).append(grocery / path.strip())
    found = {
        "luma": [path for style, path in luma if _half(style) == split],
        "grocery": [
            path
            for code in sorted(by_class)[:GROCERY_CLASSES]
            for path in _shuffled(p for p in by_class[code] if _half(str(p.name)) == split)[
                :PER_CLASS
            ]
        ],
        "dreambooth": [
            p for p in SHARED.glob("dreambooth/*/*.jpg") if _half(p.parent.name) == split
        ],
        "coco_bags": [p for p in SHARED.glob("coco_bags/images/*.jpg") if _half(p.name) == split],
    }
    return {name: _shuffled(paths) for name, paths in found.items()}


def known_truth(split: str) -> list[Sample]:
    """Return the originals of a split and the copies made of some of them."""
    samples: list[Sample] = []
    known: list[Source] = []
    for name, paths in originals(split).items():
        for at, path in enumerate(paths):
            pixels = decode(path.read_bytes(), min_side_px=None)
            source = Source(path, _means(pixels))
            original = next((n for n, k in enumerate(known) if k.is_the_same(source, pixels)), None)
            seed = len(known)
            known.append(source)
            number = seed if original is None else original
            samples += _copies(number, path, pixels, seed, with_copies=at < COPIED[name])
    return samples


@dataclass(frozen=True)
class Source:
    """A photo of the shared sets, and the means on an 8 × 8 grid, shape (8, 8, 3)."""

    path: Path
    means: np.ndarray

    def is_the_same(self, other: Source, pixels: RGB) -> bool:
        """Whether the two files' pixels are `SAME_SOURCE_LEVELS` apart on average, or less.

        Means of cells are never further apart than the pixels are: most pairs need no comparison.
        """
        if np.abs(self.means - other.means).mean() >= SAME_SOURCE_LEVELS:
            return False
        mine = decode(self.path.read_bytes(), min_side_px=None)
        if mine.shape != pixels.shape:
            return False
        return float(cv2.absdiff(mine, pixels).mean()) < SAME_SOURCE_LEVELS


def _means(pixels: RGB) -> np.ndarray:
    return cv2.resize(pixels.astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA)


def _copies(number: int, path: Path, pixels: RGB, seed: int, *, with_copies: bool) -> list[Sample]:
    scale = min(1, LONG_SIDE_PX / max(pixels.shape[:2]))
    pixels = rgb(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    data = encode_jpeg(pixels, 92)
    made = [Sample(number, "original", path, data)]
    if not with_copies:
        return made
    made.append(Sample(number, "exact", path, data[:2] + b"\xff\xfe\x00\x06copy" + data[2:]))
    rng = np.random.default_rng(seed)
    pixels = decode(data, min_side_px=None)
    return made + [Sample(number, way, path, copy(pixels, rng)) for way, copy in COPIES.items()]


def _half(name: str) -> str:
    return ("dev", "test")[int(hashlib.md5(name.encode()).hexdigest(), 16) % 2]


def _shuffled(paths: Iterable[Path]) -> list[Path]:
    def key(path: Path) -> bytes:
        return hashlib.md5(f"{path.name}{path.parent.name}".encode()).digest()

    return sorted(paths, key=key)


# -- what is found -----------------------------------------------------------------------------


def satchel_pairs(samples: list[Sample]) -> dict[str, Any]:
    """Exact groups, candidates and confirmed pairs, as curation finds them."""
    limits = DuplicateThresholds()
    encoder = Encoder.load()
    began = time.perf_counter()

    def work(batch: list[Sample]) -> list[tuple[bytes, np.ndarray, bool, Any, np.ndarray]]:
        photos = [decode(sample.data) for sample in batch]
        return [
            (pixel_digest(p), *perceptual_hash(p), describe(p), seen.vector)
            for p, seen in zip(photos, embed(encoder, photos), strict=True)
        ]

    batches = batched(samples, 8)
    rows = [row for done in map_in_order(work, batches, workers=2) for row in done]
    digests, hashes, informative, features, vectors = zip(*rows, strict=True)
    telling = np.flatnonzero(informative)
    near, _ = near_pairs(np.stack(hashes)[telling], limits.max_hash_distance)
    by_vector = duplicate_candidates(np.stack(vectors), limits.neighbours, limits.min_cosine)
    proposed = np.unique(np.concatenate([telling[near], by_vector]), axis=0)

    def confirm(pair: np.ndarray) -> Any:
        return compare(features[pair[0]], features[pair[1]], limits)

    cpu = time.process_time()
    matches = list(map_in_order(confirm, proposed, workers=2))
    cpu = time.process_time() - cpu
    return {
        "digests": np.unique(digests, return_inverse=True)[1],
        "hash_pairs": telling[near],
        "proposed": proposed,
        "matches": matches,
        "compare_cpu_ms": 1000 * cpu / max(1, len(proposed)),
        "seconds": time.perf_counter() - began,
        "confirmed": proposed[[bool(match.same(limits)) for match in matches]],
    }


def scores(samples: list[Sample], pairs: np.ndarray, made: tuple[str, ...]) -> dict[str, float]:
    """Recall of originals' copies made in these ways, and precision of all pairs of the subset.

    Both by group: a copy is found where it is in the group of the photo that it was made from, and
    every two photos in one group count as a pair.
    """
    number = np.array([sample.original for sample in samples])
    way = np.array([sample.made for sample in samples])
    inside = np.isin(way, ("original", *made))
    kept = pairs[inside[pairs].all(1)]
    labels = Groups.connected(len(samples), kept).labels
    original = {samples[row].path: row for row in np.flatnonzero(way == "original").tolist()}

    def found(row: int) -> bool:
        return bool(labels[row] == labels[original[samples[row].path]])

    recall = {
        name: float(np.mean([found(row) for row in np.flatnonzero(way == name).tolist()]))
        for name in made
    }
    right = wrong = 0
    for rows in Groups(labels).members():
        a, b = np.triu_indices(len(rows), 1)
        same = number[rows[a]] == number[rows[b]]
        right, wrong = right + int(same.sum()), wrong + int((~same).sum())
    direct = number[kept[:, 0]] == number[kept[:, 1]]
    return {
        **recall,
        "precision_grouped": right / max(1, right + wrong),
        "precision_pairs": float(direct.mean()) if len(kept) else 1.0,
        "wrong_pairs": int((~direct).sum()),
    }


NEAR, TRANSFORMED = (
    ("recompressed", "resized"),
    (
        "cropped",
        "flipped",
        "rotated",
        "bordered",
        "watermarked",
        "brightness",
    ),
)

PHASH = """
import json, sys
from satchel.train.torchvision_ops import declare_missing_ops
declare_missing_ops()  # PyPI's torchvision for CPUs lacks some that it declares
from imagededup.methods import PHash
folder, limit = sys.argv[1], int(sys.argv[2])
found = PHash(verbose=False).find_duplicates(
    image_dir=folder, max_distance_threshold=limit, scores=True
)
json.dump({k: [(o, int(bits)) for o, bits in v] for k, v in found.items()}, open(sys.argv[3], "w"))
"""

CNN = """
import json, sys
from satchel.train.torchvision_ops import declare_missing_ops
declare_missing_ops()  # PyPI's torchvision for CPUs lacks some that it declares
import torch
from imagededup.methods import CNN
from imagededup.utils import CustomModel
from satchel.train.pretrained import LITE_MEAN, LITE_STD, create
from torchvision import transforms
folder, least = sys.argv[1], float(sys.argv[2])
network = create("efficientnet_lite0").network.eval()
class Pooled(torch.nn.Module):
    def forward(self, crops):
        return network.forward_features(crops).mean((2, 3))
look = transforms.Compose([
    transforms.Resize((224, 224)), transforms.ToTensor(),
    transforms.Normalize([LITE_MEAN] * 3, [LITE_STD] * 3),
])
cnn = CNN(verbose=False, model_config=CustomModel("lite0", Pooled().eval(), look))
found = cnn.find_duplicates(image_dir=folder, min_similarity_threshold=least, scores=True)
json.dump({k: [(o, float(cos)) for o, cos in v] for k, v in found.items()}, open(sys.argv[3], "w"))
"""
"""imagededup's CNN method with the network that Satchel starts from, see above."""


IMAGEDEDUP: dict[str, tuple[str, Callable[[Any, float], Any], tuple[float, ...]]] = {
    "pHash ≤": (PHASH, np.less_equal, (10, 2)),
    "CNN ≥": (CNN, np.greater_equal, (0.9, 0.97)),
}
"""Scripts, which scores are near enough, and limits: its default, and one that is stricter."""


def imagededup_pairs(
    samples: list[Sample], python: str, script: str, limit: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The pairs that imagededup finds within `limit`, their bits or cosines, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for at, sample in enumerate(samples):
            (photos / f"{at}.jpg").write_bytes(sample.data)
        answer = Path(folder) / "found.json"
        command = [python, "-c", script, str(photos), str(limit), str(answer)]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        found = json.loads(answer.read_text())
    scored = {
        tuple(sorted((int(a[:-4]), int(b[:-4])))): score
        for a, near in found.items()
        for b, score in near
    }
    pairs = np.array(list(scored), np.int64).reshape(-1, 2)
    return pairs, np.array(list(scored.values())), seconds


def report(split: str, python: str | None) -> None:
    """Print and write recall and precision, first of Satchel alone."""
    samples = known_truth(split)
    figures = satchel_figures(samples)
    _tell(split, figures)
    if not python:
        return
    for name, (script, near, limits) in IMAGEDEDUP.items():
        pairs, score, spent = imagededup_pairs(samples, python, script, limits[0])
        figures["seconds"][f"imagededup {name}"] = spent
        for limit in limits:
            figures |= _scored(f"imagededup {name} {limit}", samples, pairs[near(score, limit)])
    _tell(split, figures)


def satchel_figures(samples: list[Sample]) -> dict[str, Any]:
    """Statistics of the set, and Satchel's results on it."""
    found = satchel_pairs(samples)
    order = np.argsort(found["digests"], kind="stable")
    same = found["digests"][order][1:] == found["digests"][order][:-1]
    exact = np.sort(np.stack([order[:-1][same], order[1:][same]], axis=1), axis=1)
    confirmed = np.concatenate([found["confirmed"], exact])
    merged = {
        tuple(sorted((samples[a].path.name, samples[b].path.name)))
        for a, b in confirmed
        if samples[a].original != samples[b].original
    }
    return {
        "photos": len(samples),
        "originals": len({sample.original for sample in samples}),
        "thresholds": DuplicateThresholds().model_dump(),
        "proposed_pairs": len(found["proposed"]),
        "compare_cpu_ms": found["compare_cpu_ms"],
        "seconds": {"satchel": found["seconds"]},
        "merged_originals": sorted(merged),
        "satchel, digest, exact": scores(samples, exact, ("exact",)),
        **_scored("satchel", samples, confirmed),
        **_scored("satchel, hash alone", samples, found["hash_pairs"]),
    }


KINDS = {"exact": ("exact",), "near": NEAR, "transformed": TRANSFORMED}


def _scored(side: str, samples: list[Sample], pairs: np.ndarray) -> dict[str, Any]:
    return {f"{side}, {kind}": scores(samples, pairs, KINDS[kind]) for kind in list(KINDS)[1:]}


def _tell(split: str, figures: dict[str, Any]) -> None:
    rows = [
        [name, *_cells(figures[name], made)]
        for name in figures
        for kind, made in KINDS.items()
        if name.endswith(f", {kind}")
    ]
    header = ["side, copies", "recall", "precision (groups)", "precision (pairs)", "wrong pairs"]
    print_table(f"Duplicates ({split})", header, rows)
    print(*figures["merged_originals"], sep="\n")
    write_json(f"duplicates-{split}", figures)


def _cells(figures: dict[str, float], made: tuple[str, ...]) -> list[str]:
    recall = " ".join(f"{name[:6]} {figures[name]:.3f}" for name in made)
    precise = [f"{figures[name]:.4f}" for name in ("precision_grouped", "precision_pairs")]
    return [recall, *precise, str(figures["wrong_pairs"])]


# -- how fast ----------------------------------------------------------------------------------


def hashing_share(min_side_px: int | None, rounds: int = 7) -> dict[str, float]:
    """Photos a second of processor time: decoded alone, and decoded and hashed; one thread.

    Each photo is processed in every way, one directly after the other, and the ways take turns in
    being first. Of the rounds the fastest counts, for each photo and way: other work on the machine
    only ever adds time.
    """
    paths = sorted(SHARED.glob("dreambooth/*/*.jpg")) + sorted(SHARED.glob("luma/images/*"))[:200]
    files = [path.read_bytes() for path in paths]

    def alone(data: bytes) -> None:
        decode(data, min_side_px=min_side_px)

    def hashed(data: bytes) -> None:
        perceptual_hash(decode(data, min_side_px=min_side_px))

    def digested(data: bytes) -> None:
        pixels = decode(data, min_side_px=min_side_px)
        perceptual_hash(pixels)
        pixel_digest(pixels)

    ways = {"decode": alone, "and_hash": hashed, "and_digest": digested}
    fastest = np.full((len(ways), len(files)), np.inf)
    for turn in range(rounds):
        for at, data in enumerate(files):
            for way in np.roll(range(len(ways)), turn + at):
                began = time.thread_time()
                list(ways.values())[way](data)
                fastest[way, at] = min(fastest[way, at], time.thread_time() - began)
    spent = fastest.sum(1)
    rates = {f"{name}_per_s": len(files) / s for name, s in zip(ways, spent, strict=True)}
    shares = spent[0] / spent
    return {**rates, "share": float(shares[1]), "share_with_digest": float(shares[2])}


def report_speed() -> None:
    """Print and write how fast hashing is."""
    figures: dict[str, Any] = {}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    for side in (128, DECODED_SIDE_PX, None):
        figures[f"hashing, min_side_px={side}"] = hashing_share(side)
    os.sched_setaffinity(0, cores)
    rows = [(name, key, f"{v:,.2f}") for name, f in figures.items() for key, v in f.items()]
    print_table("Speed", ["what", "figure", ""], rows)
    write_json("duplicates-speed", figures)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("dev", "test", "speed"), nargs="?", default="test")
    parser.add_argument("--imagededup", metavar="PYTHON")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    match chosen.what:
        case "speed":
            report_speed()
        case split:
            report(split, chosen.imagededup)


if __name__ == "__main__":
    main()
