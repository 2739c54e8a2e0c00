"""Galleries with wrong photos mixed in: how many curation finds, and what that does to accuracy.

    python -m benchmarks.garbage [dev] [test] [fit]

30 % of each gallery's photos are wrong, of four kinds in equal parts: photos of other products
(taken away from there), street photos, drawn screenshots of a shop's page (half of them with the
right photo in it), and tight crops of right photos, enlarged to a photo's size. Luma's photos are
put under their style, because most of its codes have one photo; its shop's own close-ups
(`alt1` and the like) are neither right nor wrong here, and counted apart, as are five bags that
it filed under the codes of bras.

Halves of the products are by the hash of their codes: `fit` prints weights and thresholds from
half A, the values in `GarbageRules`; `dev` and `test` report half A and half B, which had no
part in them. Queries: `dev` uses Grocery's val photos, `test` a third of its test photos; Luma's
right photos are queried one at a time, each left out of the gallery.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.accuracy import Photos, embedded, ranks, shipped
from benchmarks.datasets import SHARED, LabelledPhoto, Task, _grocery
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.curate.garbage import Classification, State, classify
from satchel.curate.integrity import Fault, faults, measure
from satchel.curate.rules import GarbageRules
from satchel.images import RGB, decode, encode_jpeg
from satchel.search.index import PLAIN

WRONG_SHARE = 0.30
KINDS = ("other product", "street", "screenshot", "crop")
RIGHT, CLOSE_UP, MISFILED = "right", "close-up of the shop", "misfiled by the shop"
PER_CLASS = 20
GOOD_LOST = 0.0425
"""Share of either gallery's right photos in half A that the cut may drop: below the 5 % allowed by
a standard error, of 834 photos, for what half B may differ by."""

DEALS = 4
"""How often the wrong photos are dealt out for fitting."""

FEW = (4, 6, 10)
"""Photos of each class in the galleries that show what happens to small products."""

GOOD_ASKED = 0.08
"""Share of half A's right photos that may be doubtful or dropped."""

DROPS = (Fault.TOO_SMALL, Fault.BLANK, Fault.TEXT_SCREENSHOT)
"""Faults that drop a photo. A crop that was enlarged here is also blurred, which real close-ups
are not: that figure takes no part."""

PAGE = (
    "the bag leather strap price new add to cart size colour search results similar items free "
    "delivery seller rating reviews shipping returns contact terms login menu home brand used "
    "excellent condition offer buy now details description material authentic"
)


QUERIES = {"dev": lambda: _grocery("val"), "test": lambda: _grocery("test")[::3]}
"""Split → its queries of Grocery."""


@dataclass(frozen=True)
class GalleryPhoto:
    """A photo as the catalogue has it, and what it truly is: of `own`, made from `source`."""

    code: str
    path: Path
    kind: str
    source: Path
    own: str = ""

    @property
    def wrong(self) -> bool:
        """Whether curation should find it."""
        return self.kind in KINDS


@dataclass(frozen=True)
class Gallery:
    """A polluted gallery, and clean queries; without queries, its right photos are the queries."""

    name: str
    photos: tuple[GalleryPhoto, ...]
    queries: tuple[LabelledPhoto, ...]


def half(code: str) -> str:
    """A or B."""
    return "AB"[int(hashlib.md5(code.encode()).hexdigest(), 16) % 2]


# -- wrong photos ------------------------------------------------------------------------------


def tight_crop(photo: RGB, rng: np.random.Generator) -> RGB:
    """A window of 25 to 45 % of the sides around the middle, enlarged to 360 pixels at least."""
    height, width = photo.shape[:2]
    share = rng.uniform(0.25, 0.45)
    h, w = int(height * share), int(width * share)
    y = int(np.clip(rng.uniform(0.25, 0.75) * height - h / 2, 0, height - h))
    x = int(np.clip(rng.uniform(0.25, 0.75) * width - w / 2, 0, width - w))
    scale = max(1.0, 360 / min(h, w))
    cut = photo[y : y + h, x : x + w]
    return rgb(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))


def screenshot(photo: RGB, rng: np.random.Generator) -> RGB:
    """A page with a coloured bar and lines of words; every second one shows the photo."""
    width, height = [(390, 760), (640, 480), (800, 600)][rng.integers(3)]
    dark = rng.random() < 0.25
    paper = int(rng.integers(0, 40) if dark else rng.integers(235, 256))
    ink = 230 if dark else int(rng.integers(0, 90))
    page = np.full((height, width, 3), paper, np.uint8)
    y = int(rng.integers(30, 60))
    page[:y] = rng.integers(0, 256, 3)
    y += 20
    if rng.random() < 0.5:
        side = int(min(width, height) * rng.uniform(0.3, 0.5))
        x = int(rng.integers(10, width - side - 9))
        small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        page[y : y + side, x : x + side] = small
        y += side + 20
    while y < height - 10:
        size = float(rng.choice([0.4, 0.45, 0.5, 0.8], p=[0.4, 0.3, 0.2, 0.1]))
        line = " ".join(rng.choice(PAGE.split(), rng.integers(2, 14)))
        style = (cv2.FONT_HERSHEY_SIMPLEX, size, (ink,) * 3, 1, cv2.LINE_AA)
        cv2.putText(page, line, (12, y), *style)
        y += int(30 * size) + int(rng.integers(4, 14)) + (25 if rng.random() < 0.08 else 0)
    return page


def polluted(
    right: list[GalleryPhoto], spare: list[GalleryPhoto], folder: Path, seed: int
) -> tuple[GalleryPhoto, ...]:
    """Mix wrong photos in until they are `WRONG_SHARE` of all, each kind a quarter of them.

    `spare` are the photos to take for other products'; where there are none, they are taken away
    from the gallery's own.
    """
    rng = np.random.default_rng(seed)
    whole = len(right) if spare else len(right) / (1 + WRONG_SHARE / (1 - WRONG_SHARE) / 4)
    each = round(whole * WRONG_SHARE / (1 - WRONG_SHARE) / 4)
    shuffled = [(spare or right)[i] for i in rng.permutation(len(spare or right))]
    moved = [photo for photo in shuffled if photo.kind == RIGHT][:each]
    gallery = right if spare else [photo for photo in right if photo not in set(moved)]
    hosts = iter([gallery[i] for i in rng.permutation(len(gallery))])
    street = sorted((SHARED / "street" / "images").glob("*.jpg"))
    wrong = []
    for photo in moved:
        host = next(host for host in hosts if host.code != photo.code)
        wrong.append(GalleryPhoto(host.code, photo.path, KINDS[0], photo.path, photo.code))
    for at in rng.permutation(len(street))[:each]:
        wrong.append(GalleryPhoto(next(hosts).code, street[at], KINDS[1], street[at]))
    for kind, make in ((KINDS[2], screenshot), (KINDS[3], tight_crop)):
        for number in range(each):
            host = next(hosts)
            pixels = make(decode(host.path.read_bytes(), min_side_px=None), rng)
            path = folder / f"{seed}-{kind}-{number}.jpg"
            path.write_bytes(encode_jpeg(pixels, 88))
            wrong.append(GalleryPhoto(host.code, path, kind, host.path))
    return (*gallery, *wrong)


def dealt_again(gallery: Gallery, seed: int) -> Gallery:
    """The gallery with its street photos and other products' photos under other codes."""
    loose = [photo for photo in gallery.photos if photo.kind in KINDS[:2]]
    fixed = tuple(photo for photo in gallery.photos if photo.kind not in KINDS[:2])
    codes = [photo.code for photo in fixed if photo.kind not in KINDS]
    hosts = iter(np.random.default_rng(seed).permutation(codes).tolist())
    dealt = [
        replace(photo, code=next(code for code in hosts if code != photo.own)) for photo in loose
    ]
    return replace(gallery, photos=(*fixed, *dealt))


def fewer(gallery: Gallery, most: int, seed: int) -> Gallery:
    """At most so many right photos of each code, and as large a share of wrong ones as before."""
    order = np.random.default_rng(seed).permutation(len(gallery.photos))
    photos = [gallery.photos[at] for at in order]
    seen: Counter[str] = Counter()
    right = []
    for photo in (photo for photo in photos if not photo.wrong):
        seen[photo.code] += 1
        right += [photo] if seen[photo.code] <= most else []
    each = round(len(right) * WRONG_SHARE / (1 - WRONG_SHARE) / len(KINDS))
    wrong = [[photo for photo in photos if photo.kind == kind][:each] for kind in KINDS]
    return replace(gallery, photos=(*right, *chain.from_iterable(wrong)))


def grocery(folder: Path) -> Gallery:
    """The first 20 training photos of each class; other classes' are from the rest.

    Its queries are a split's.
    """
    seen: Counter[str] = Counter()
    right: list[GalleryPhoto] = []
    spare: list[GalleryPhoto] = []
    for photo in _grocery("train"):
        seen[photo.code] += 1
        kept = GalleryPhoto(photo.code, photo.path, RIGHT, photo.path)
        (right if seen[photo.code] <= PER_CLASS else spare).append(kept)
    return Gallery("Grocery", polluted(right, spare, folder, seed=1), ())


def luma(folder: Path) -> Gallery:
    """All photos, by style; what its shop filed wrongly or took from close is counted apart."""
    with (SHARED / "luma" / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = []
    for row in rows:
        path = SHARED / "luma" / row["photo"]
        kind = CLOSE_UP if "alt" in row["view"] else RIGHT
        if row["category"].startswith("Women") and row["view"] == "0":
            kind = MISFILED
        right.append(GalleryPhoto(row["style"], path, kind, path))
    return Gallery("Luma, by style", polluted(right, [], folder, seed=2), ())


# -- curation ----------------------------------------------------------------------------------


def dropped_by_itself(path: Path) -> bool:
    """Whether integrity alone drops a photo."""
    pixels = decode(path.read_bytes())
    found = faults(measure(pixels, width=pixels.shape[1], height=pixels.shape[0]))
    return any(fault.kind in DROPS for fault in found)


def curated(
    gallery: Gallery,
    embeddings: Photos,
    faulty: dict[Path, bool],
    rules: GarbageRules,
    *,
    without: str | None = None,
) -> Classification:
    """Classify a gallery; `without` "whole" or "colours", as if they were missing."""
    codes = sorted({photo.code for photo in gallery.photos})
    number = {code: at for at, code in enumerate(codes)}
    looks = {
        name: np.stack([getattr(embeddings[photo.path], name) for photo in gallery.photos])
        for name in ("vector", "whole", "colours")
    }
    fine = np.array([not faulty[photo.path] for photo in gallery.photos])
    found = classify(
        looks.pop("vector")[fine],
        np.array([number[photo.code] for photo in gallery.photos])[fine],
        **{name: look[fine] for name, look in looks.items() if name != without},
        rules=rules,
    )
    return with_faulty(found, fine)


def with_faulty(found: Classification, fine: np.ndarray) -> Classification:
    """Add rows for the photos that integrity drops: state dropped, score +inf."""
    columns = {}
    for name in Classification.__slots__:
        values = getattr(found, name)
        columns[name] = np.zeros((len(fine), *values.shape[1:]), values.dtype)
        columns[name][fine] = values
    columns["states"][~fine], columns["score"][~fine] = 2, np.inf
    return Classification(**columns)


def figures_of(classified: Classification) -> np.ndarray:
    """The regression's inputs, in the order of `WEIGHTS`; shape (n, len(WEIGHTS))."""
    return np.stack([getattr(classified, name) for name in WEIGHTS], axis=1).astype(np.float64)


WEIGHTS = ("level", "centre", "near", "other", "enlarged", "off_colour")


def regression(inputs: np.ndarray, wrong: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method; weights and constant, shape (features + 1,)."""
    x = np.c_[inputs, np.ones(len(inputs))]
    ridge = np.diag([0.003] * inputs.shape[1] + [0.0])
    found = np.zeros(x.shape[1])
    for _ in range(50):
        odds = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        slope = x.T @ (weight * (odds - wrong)) + ridge @ found
        bend = (x * (weight * odds * (1 - odds))[:, None]).T @ x + ridge
        found -= np.linalg.solve(bend, slope)
    return found


def fit(galleries: list[Gallery], embeddings: Photos, faulty: dict[Path, bool]) -> GarbageRules:
    """Choose weights, then cuts, on half A; both galleries, right and wrong count the same.

    Wrong photos are dealt out several times: of Luma's, half A has 136, too few for six weights.
    """
    galleries = [
        dealt_again(gallery, seed) if seed else gallery
        for gallery in galleries
        for seed in range(DEALS)
    ]
    rules = GarbageRules()
    for _ in range(4):  # weights and trust depend on each other: iterate
        parts = [fitted_on(gallery, embeddings, faulty, rules) for gallery in galleries]
        inputs, wrong, weight, _, _ = (np.concatenate(part) for part in zip(*parts, strict=True))
        found = regression(inputs, wrong, weight)
        named = dict(zip(WEIGHTS, np.round(found[:-1], 1).tolist(), strict=True))
        rules = rules.model_copy(update={**named, "constant": round(float(found[-1]), 1)})
    parts = [fitted_on(gallery, embeddings, faulty, rules) for gallery in galleries]
    cuts = {}
    for name, place, lost in (("dropped_at", 4, GOOD_LOST), ("doubtful_at", 3, GOOD_ASKED)):
        each = [np.quantile(part[place][~part[1]], 1 - lost) for part in parts]
        cuts[name] = round(float(np.reshape(each, (-1, DEALS)).mean(1).max()), 1)
    return rules.model_copy(update=cuts)


def fitted_on(
    gallery: Gallery, embeddings: Photos, faulty: dict[Path, bool], rules: GarbageRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, truth, weights and scores of half A, less photos that integrity drops.

    Scores once as they are, and once with those of products too small for dropping at the bottom.
    """
    classified = curated(gallery, embeddings, faulty, rules)
    usable = np.array(
        [
            half(photo.code) == "A" and photo.kind in (RIGHT, *KINDS) and not faulty[photo.path]
            for photo in gallery.photos
        ]
    ) & np.isfinite(classified.score)
    wrong = np.array([photo.wrong for photo in gallery.photos])[usable]
    weight = np.where(wrong, 1 / wrong.sum(), 1 / (~wrong).sum())
    score, few = classified.score[usable], classified.peers[usable] < rules.trusted_peers
    lowest = np.where(few, score.min(), score)
    return figures_of(classified)[usable], wrong, weight * 1_000, score, lowest


# -- tables ------------------------------------------------------------------------------------


def found_by_kind(gallery: Gallery, classified: Classification) -> list[dict[str, object]]:
    """Shares dropped, and dropped or doubtful, of each kind of photo, for either half."""
    states = np.array([classified.state(row) for row in range(len(gallery.photos))])
    rows: list[dict[str, object]] = []
    for name in "AB":
        mine = np.array([half(photo.code) == name for photo in gallery.photos])
        groups = {kind: [kind] for kind in (RIGHT, CLOSE_UP, MISFILED, *KINDS)} | {
            "all wrong": list(KINDS)
        }
        for kind, members in groups.items():
            chosen = mine & np.array([photo.kind in members for photo in gallery.photos])
            if chosen.any():
                rows.append(
                    {
                        "gallery": gallery.name,
                        "half": name,
                        "kind": kind,
                        "photos": int(chosen.sum()),
                        "dropped": float((states[chosen] == State.DROPPED).mean()),
                        "dropped or doubtful": float((states[chosen] != State.KEPT).mean()),
                    }
                )
    return rows


def of_few_photos(
    gallery: Gallery, embeddings: Photos, faulty: dict[Path, bool]
) -> list[dict[str, object]]:
    """Shares dropped where there are few photos of each class; of several random choices."""
    rows: list[dict[str, object]] = []
    for most in FEW:
        counts = np.zeros((2, 2))  # right or wrong × dropped or all
        for seed in range(DEALS):
            small = fewer(dealt_again(gallery, seed), most, seed)
            out = curated(small, embeddings, faulty, GarbageRules()).states == 2
            wrong = np.array([photo.wrong for photo in small.photos])
            for row, chosen in enumerate((~wrong, wrong)):
                counts[row] += (out & chosen).sum(), chosen.sum()
        right, wrong_found = counts[:, 0] / counts[:, 1]
        rows.append({"photos of each": most, "right": right, "all wrong": wrong_found})
    return rows


def curve(gallery: Gallery, classified: Classification) -> list[dict[str, float]]:
    """Half B: share of the wrong that is dropped, where a share of the right may be."""
    counted = np.array(
        [half(photo.code) == "B" and photo.kind in (RIGHT, *KINDS) for photo in gallery.photos]
    )
    wrong = np.array([photo.wrong for photo in gallery.photos])
    few = classified.peers < GarbageRules().trusted_peers
    itself = np.isposinf(classified.score)
    score = np.where(itself, np.inf, np.where(few, -np.inf, classified.score))
    points = []
    for lost in (0.01, 0.02, 0.03, 0.05, 0.08, 0.12):
        cut = np.quantile(score[counted & ~wrong], 1 - lost, method="higher")
        points.append(
            {"right lost": lost, "wrong found": float((score > cut)[counted & wrong].mean())}
        )
    return points


def accuracy(gallery: Gallery, embeddings: Photos, kept: np.ndarray) -> tuple[float, int]:
    """Top-1 on clean queries with the photos `kept` of the gallery; and the number of queries."""
    photos = [photo for photo, keep in zip(gallery.photos, kept, strict=True) if keep]
    if gallery.queries:
        known = tuple(LabelledPhoto(photo.code, photo.path) for photo in photos)
        rank = ranks(Task(gallery.name, known, gallery.queries), embeddings, PLAIN)
        return float((rank == 1).mean()), len(rank)
    right = [photo for photo in gallery.photos if photo.kind == RIGHT]
    size = Counter(photo.code for photo in right)
    hits = []
    for asked in (photo for photo in right if size[photo.code] > 1):
        rest = tuple(LabelledPhoto(p.code, p.path) for p in photos if p.source != asked.path)
        query = LabelledPhoto(asked.code, asked.path)
        hits.append(ranks(Task(gallery.name, rest, (query,)), embeddings, PLAIN)[0] == 1)
    return float(np.mean(hits)), len(hits)


def accuracies(
    gallery: Gallery, embeddings: Photos, classified: Classification
) -> dict[str, object]:
    """Top-1 with the never-polluted, the polluted and the curated gallery."""
    wrong = np.array([photo.wrong for photo in gallery.photos])
    dropped, doubtful = classified.states == 2, classified.states == 1
    clean, queries = accuracy(gallery, embeddings, ~wrong)
    return {
        "gallery": gallery.name,
        "queries": queries,
        "never polluted": clean,
        "polluted": accuracy(gallery, embeddings, np.ones(len(wrong), bool))[0],
        "curated, without the dropped": accuracy(gallery, embeddings, ~dropped)[0],
        "curated, without the doubtful too": accuracy(gallery, embeddings, ~dropped & ~doubtful)[0],
    }


def percent(rows: list[dict[str, object]]) -> list[list[object]]:
    """Cells of a table; shares in percent."""
    return [
        [f"{100 * cell:.1f}" if isinstance(cell, float) else cell for cell in row.values()]
        for row in rows
    ]


def main() -> None:
    """Print the tables and write the JSON."""
    what = sys.argv[1:] or ["dev"]
    if not set(what) <= {*QUERIES, "fit"}:
        raise SystemExit(f"expected dev, test or fit, got {' '.join(what)}")
    asked = {split: queries() for split, queries in QUERIES.items() if split in what}
    with TemporaryDirectory() as folder:
        galleries = [grocery(Path(folder)), luma(Path(folder))]
        paths = [photo.path for gallery in galleries for photo in gallery.photos]
        queries = [photo.path for photos in asked.values() for photo in photos]
        found = embedded(list(dict.fromkeys(paths + queries)), shipped())
        whole = {path: replace(photo, patches=None) for path, photo in found.items()}
        embeddings = Photos(whole, found.n_passes)
        faulty = {path: dropped_by_itself(path) for path in paths}
    if "fit" in what:
        print(fit(galleries, embeddings, faulty))
    for split, photos in asked.items():
        galleries[0] = replace(galleries[0], queries=photos)
        report(split, galleries, embeddings, faulty)


def report(
    split: str, galleries: list[Gallery], embeddings: Photos, faulty: dict[Path, bool]
) -> None:
    """Results with the shipped rules, and their effect on accuracy."""
    kinds, top, curves = [], [], {}
    for gallery in galleries:
        classified = curated(gallery, embeddings, faulty, GarbageRules())
        kinds += found_by_kind(gallery, classified)
        top.append(accuracies(gallery, embeddings, classified))
        curves[gallery.name] = {"ships": curve(gallery, classified)} | {
            f"without {name}": curve(
                gallery, curated(gallery, embeddings, faulty, GarbageRules(), without=look)
            )
            for name, look in (("whole-photo vectors", "whole"), ("colours", "colours"))
        }
    print_table("Found, % (half B had no part in the thresholds)", list(kinds[0]), percent(kinds))
    for name, methods in curves.items():
        rows = [
            [f"{name}: {method}", *(f"{100 * point['wrong found']:.1f}" for point in points)]
            for method, points in methods.items()
        ]
        lost = [f"{100 * p['right lost']:.0f} % lost" for p in methods["ships"]]
        print_table("Wrong photos dropped, %, half B", ["", *lost], rows)
    print_table(f"Top-1 on clean queries, % ({split})", list(top[0]), percent(top))
    few = of_few_photos(galleries[0], embeddings, faulty)
    print_table("Grocery, few photos of each class: dropped, %", list(few[0]), percent(few))
    figures = {"found": kinds, "curves": curves, "accuracy": top, "few_photos": few}
    write_json(f"garbage-{split}", figures)


if __name__ == "__main__":
    main()
