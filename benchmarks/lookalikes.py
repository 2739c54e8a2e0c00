"""Look-alikes: precision of proposals, and the effect of counting a group as one candidate.

    python -m benchmarks.lookalikes [dev|test] [FOLDER]

`dev`: the posterior from which on products are proposed, chosen by how often the ranking decides
rightly between the two of a pair, queried with real photos; and a rule that leaves photos of the
gallery out. `test`: the same for what ships, on other photos and styles; rendered twins, whose
truth is known (examples/maison: another size, another metal, another colour); the right answer
before and after; and times. FOLDER keeps rendered twins between runs. The tables behind
docs/decisions/0014-look-alikes.md.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.accuracy import Photos, embedded, gallery_of, shipped
from benchmarks.datasets import SHARED, LabelledPhoto, Task, distinct_paths, tasks
from benchmarks.reporting import print_table, write_json
from recipes.maison.camera import Camera, frame
from recipes.maison.materials import BRASS, STEEL
from recipes.maison.models import MODELS
from recipes.maison.places import STUDIO
from recipes.maison.render import VIEWS, encode
from recipes.maison.scene import Placed, Pose, Scene
from recipes.maison.tracer import render
from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import Decided, GroupState, Proposal
from satchel.catalog.products import ProductKind
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.evaluate.offline import NO_PRODUCT, Query, rank_queries
from satchel.identify import STATES, Identifier
from satchel.lookalikes.groups import cluster, fold
from satchel.lookalikes.near_pairs import LeastCosine, Pairs, near_pairs
from satchel.photo_header import PhotoLimits
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.search.index import PLAIN, GalleryIndex
from satchel.search.ranking import SHARPNESS
from satchel.search.rules import LookAlikeRules, SearchRules
from satchel.search.searcher import Searcher
from satchel.workspace import Workspace

CHANCES = (0.25, 0.15, 0.1, 0.08, 0.05, 0.03, 0.02, 0.01)
RULES = LookAlikeRules()
DECIDED_AT_MOST = 0.75
"""Share of right decisions between the two up to which a pair counts as look-alikes."""

SAME_BY_EYE = {"MP09", "MP12"}
"""Styles of Luma whose photos of two colours look the same to a person."""

TRIM_BY_EYE = {"WSH04", "WSH05", "WSH10"}
"""Styles whose pictures differ in a waistband or a hem alone."""

MAISON = Path(__file__).resolve().parents[1] / "examples" / "maison"
TWIN_SIDE_PX = 260


@dataclass(frozen=True)
class Searched:
    """A task, ready to be searched.

    Attributes:
        kinds: by product number, as `near_pairs` takes them.
        queries: embedded; `right`, shape (n,), their products' numbers.
        plain: the gallery without whitening and colours.
    """

    name: str
    searcher: Searcher
    codes: list[str]
    kinds: dict[int, ProductKind]
    queries: list[PhotoEmbedding]
    right: np.ndarray
    plain: GalleryIndex | None = None

    @property
    def index(self) -> GalleryIndex:
        """Of the gallery."""
        return self.searcher.index

    def pairs(self, rules: LookAlikeRules = RULES) -> Pairs:
        """Near-duplicate pairs."""
        least = LeastCosine.of(Encoder.load().card.confidence, rules)
        return near_pairs(self.index, least, self.kinds)

    def pairs_at(self, chance: float) -> Pairs:
        """Near-duplicate pairs by one posterior for all, whatever their colours."""
        return self.pairs(LookAlikeRules(chance=chance, colour_chance=chance))

    def plain_pairs(self, count: int) -> Pairs:
        """As many pairs by the plain cosine of vectors, without whitening and colours."""
        assert self.plain is not None
        pairs = near_pairs(self.plain, LeastCosine(0.7, 0.7), self.kinds)
        return dict(sorted(pairs.items(), key=lambda one: -one[1].cosine)[:count])


def searched(task: Task, photos: Photos) -> Searched:
    """Index a task's gallery; categories come from the data set's own tables."""
    gallery, codes = gallery_of(task, photos)
    known = catalogue_kinds()
    kinds = {number: known[code] for number, code in enumerate(codes)}
    queries = [photos.query(query.path) for query in task.queries]
    right = np.array([codes.index(query.code) for query in task.queries])
    shipped, plain = gallery.searcher(SearchRules()), gallery.searcher(PLAIN).index
    return Searched(task.name, shipped, codes, kinds, queries, right, plain)


def catalogue_kinds() -> dict[str, ProductKind]:
    """Category and colour of each code of Luma, category of Grocery's."""
    with (SHARED / "luma" / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {r["code"]: ProductKind("", r["category"], frozenset([r["colour"]])) for r in rows}
    with (SHARED / "grocery" / "dataset" / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    return found | {
        row["Class ID (int)"]: ProductKind("", row["Coarse Class Name (str)"], frozenset())
        for row in rows
    }


def every_photo(task: Task) -> Task:
    """All photos of a task as gallery, and no queries."""
    return Task("Luma: all 709 photos", task.gallery + task.queries, ())


def by_eye(task: Searched) -> list[dict[str, object]]:
    """Luma's groups compared with a person's labels."""
    found_figures = []
    rules = {"one chance for all": task.pairs_at(RULES.chance), "ships": task.pairs()}
    for rule, pairs in rules.items():
        groups = cluster(pairs, Decided())
        styles = [{task.codes[product].split("-")[0] for product in group} for group in groups]
        found_figures.append(
            {
                "gallery": task.name,
                "rule": rule,
                "groups": len(groups),
                "products": sum(map(len, groups)),
                "of one style": sum(len(found) == 1 for found in styles),
                "same to the eye": sum(found <= SAME_BY_EYE for found in styles),
                "of": len(SAME_BY_EYE),
                "differ in a trim": sum(found <= TRIM_BY_EYE for found in styles),
            }
        )
    return found_figures


def product_scores(searched: Searched) -> np.ndarray:
    """Every product's score for every query, as `rank_products` has it; shape (n, products)."""
    described = np.stack([query.descriptor for query in searched.queries])
    queries = searched.index.prepared(described)
    cosines = queries @ searched.index.gallery.vectors.T
    return scores_of(cosines, searched.index.gallery.products)


def scores_of(cosines: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Cosines to gallery rows, shape (n, rows), → scores of products; -inf cosines are left out."""
    starts = np.flatnonzero(np.r_[True, np.diff(products) > 0])
    weights = np.exp(SHARPNESS * cosines)
    there = np.where(np.isfinite(cosines), cosines, 0)
    total = np.add.reduceat(weights, starts, axis=1)
    return np.add.reduceat(weights * there, starts, axis=1) / np.where(total > 0, total, np.inf)


def decided_rightly(
    scores: np.ndarray, right: np.ndarray, pairs: Iterable[tuple[int, int]]
) -> tuple[float, int]:
    """Share of queries of one of a pair that score it above the other, and how many there are.

    Both sides of a pair have equal weight: a product that is often preferred gains nothing.
    """
    shares, queries = [], 0
    for a, b in pairs:
        for one, other in ((a, b), (b, a)):
            mine = right == one
            if mine.any():
                shares.append((scores[mine, one] > scores[mine, other]).mean())
                queries += int(mine.sum())
    return (float(np.mean(shares)) if shares else float("nan")), queries


def left_out(searched: Searched) -> Pairs:
    """Pairs that the gallery's own photos, each left out in turn, decide rightly too seldom."""
    vectors, products = searched.index.gallery.vectors, searched.index.gallery.products
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    scores = scores_of(cosines, products)
    several = np.bincount(products)[products] > 1
    return {
        (a, b): near
        for (a, b), near in searched.pairs_at(0.001).items()
        if decided_rightly(scores[several], products[several], [(a, b)])[0] <= DECIDED_AT_MOST
    }


def choose(everything: list[Searched]) -> tuple[list[list[object]], list[dict[str, object]]]:
    """Decisions between the two of a pair, by the chance from which on it is proposed."""
    rows: list[list[object]] = []
    figures: list[dict[str, object]] = []
    for task in everything:
        scores = product_scores(task)
        rules = {f"chance {chance:g}": task.pairs_at(chance) for chance in CHANCES}
        same = len(rules[f"chance {RULES.chance:g}"])
        rules[f"plain cosine, {same} pairs"] = task.plain_pairs(same)
        rules["ships"] = task.pairs()
        rules["leave one photo out"] = left_out(task)
        for rule, pairs in rules.items():
            share, queries = decided_rightly(scores, task.right, pairs)
            groups = cluster(pairs, Decided())
            rows.append([task.name, rule, len(pairs), len(groups), queries, f"{share:.3f}"])
            figures.append(
                {
                    "task": task.name,
                    "rule": rule,
                    "pairs": len(pairs),
                    "groups": len(groups),
                    "queries": queries,
                    "decided_rightly": None if np.isnan(share) else share,
                }
            )
    return rows, figures


def counted_as_one(task: Searched) -> dict[str, float]:
    """Top-1 and top-5 with products alone and with proposed groups as one, by two orders."""
    confidence = Encoder.load().card.confidence
    groups = cluster(task.pairs(), Decided())
    home = {product: group for group in groups for product in group}
    hits = {name: np.zeros(2) for name in ("before", "after", "after, by best score")}
    in_groups, right_group = 0, 0
    found = rank_queries(task.searcher, map(Query, task.queries), confidence=confidence)
    for row, right in enumerate(task.right):
        products = found.products[row][found.products[row] != NO_PRODUCT].tolist()
        places_of = fold(products, found.confidences[row, : len(products)].tolist(), groups)
        folded = [[products[at] for at in places] for places in places_of]
        by_score = [[products[at] for at in places] for places in sorted(places_of)]
        orders = ([[product] for product in products], folded, by_score)
        for name, order in zip(hits, orders, strict=True):
            place = next((at for at, one in enumerate(order) if right in one), 99)
            hits[name] += [place < 1, place < 5]
        if right in home:
            in_groups += 1
            right_group += right in folded[0]
    count = len(task.right)
    found_figures = {
        f"{name}, top-{k}": float(hits[name][at] / count)
        for name in hits
        for at, k in enumerate((1, 5))
    }
    return found_figures | {
        "groups": len(groups),
        "products in groups": len(home),
        "queries": count,
        "queries of products in groups": in_groups,
        "of these, their group first": right_group / max(1, in_groups),
    }


# -- rendered twins -----------------------------------------------------------------------------


def render_twins(folder: Path) -> None:
    """Render each model of the demo catalogue as another size, and with other metal."""
    for kind, metal in (("size", BRASS), ("metal", STEEL)):
        for model in MODELS:
            if kind == "metal" and model.code in ("MO1102", "MW6102"):
                continue  # the same tote again; a watch of steel
            rng = np.random.default_rng(zlib.crc32((model.code + kind).encode()))
            for number, (yaw, pitch) in enumerate(VIEWS[:2], start=1):
                turned = rng.normal(0, 2.5), rng.normal(0, 1.5), rng.normal(0, 0.7)
                margin = rng.uniform(0.08, 0.13)
                path = folder / kind / model.code / f"{number}.jpg"
                if path.exists():
                    continue
                parts = (
                    replace(part, material=metal) if part.material is BRASS else part
                    for part in model.build()
                )
                scene = Scene([Placed(part, Pose()) for part in parts])
                camera = Camera(
                    yaw + turned[0], pitch + model.tilt + turned[1], distance=11 + turned[2]
                )
                window = frame(scene, camera, margin=margin)
                picture = render(scene, STUDIO, camera, window, size=TWIN_SIDE_PX, samples=2)
                encode(picture, path, 88)


def twins(folder: Path, embedder: Embedder) -> list[list[object]]:
    """How many twins are proposed, by their difference; each twin in a separate catalogue.

    The demo catalogue and one twin: so the twins of the other kind are no help and no harm.
    """
    render_twins(folder)
    with (MAISON / "catalogue.csv").open() as file:
        photos = [LabelledPhoto(r["code"], MAISON / r["photo"]) for r in csv.DictReader(file)]
    pictures = sorted(folder.glob("*/*/*.jpg"))
    photos_of = embedded([photo.path for photo in photos] + pictures, embedder)
    rows: list[list[object]] = []
    for kind in ("size", "metal"):
        found, cosines, others = 0, [], 0
        codes = sorted({path.parent.name for path in pictures if path.parts[-3] == kind})
        for code in codes:
            twin = [
                LabelledPhoto(f"{code}-twin", path)
                for path in pictures
                if path.parts[-3:-1] == (kind, code)
            ]
            task = Task(kind, (*photos, *twin), ())
            gallery, names = gallery_of(task, photos_of)
            searcher = gallery.searcher(SearchRules())
            of = Searched(kind, searcher, names, {}, [], np.empty(0))
            proposed = {(names[a], names[b]) for a, b in of.pairs()}
            near = of.pairs_at(0.0005)
            pair = (names.index(code), names.index(f"{code}-twin"))
            cosines.append(near[pair].cosine if pair in near else float("nan"))
            found += (code, f"{code}-twin") in proposed
            others += len(proposed - {(code, f"{code}-twin")})
        rows.append(
            [
                kind,
                len(codes),
                found,
                others,
                f"{np.nanmedian(cosines):.3f}",
                f"{np.nanmin(cosines):.3f}",
            ]
        )
    gallery, names = gallery_of(Task("colour", tuple(photos), ()), photos_of)
    searcher = gallery.searcher(SearchRules())
    of = Searched("colour", searcher, names, {}, [], np.empty(0))
    pair = (names.index("MO1101"), names.index("MO1102"))
    near = of.pairs_at(0.0005)
    shown = f"{near[pair].cosine:.3f}" if pair in near else "far"
    wrong = set(of.pairs())
    rows.append(["colour", 1, int(pair in wrong), len(wrong - {pair}), shown, shown])
    return rows


# -- times --------------------------------------------------------------------------------------


def times(products: int, photos: int) -> dict[str, float]:
    """Seconds of finding, for random pictures of which a tenth are near another product's."""
    rng = np.random.default_rng(0)
    count = products * photos
    vectors = rng.normal(size=(count, 1424)).astype(np.float32)
    copies = rng.choice(count, (count // 10, 2), replace=False)
    vectors[copies[:, 0]] = vectors[copies[:, 1]] + rng.normal(0, 0.15, (len(copies), 1424)).astype(
        np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery = GalleryVectors(
        vectors, np.repeat(np.arange(products), photos), np.zeros((count, 32), np.uint8), 0
    )
    began = time.perf_counter()
    pairs = near_pairs(GalleryIndex(gallery, "times"), LeastCosine(0.95, 0.95), {})
    searched_s = time.perf_counter() - began
    groups = cluster(pairs, Decided())
    return {
        "products": products,
        "pictures": count,
        "pairs": len(pairs),
        "groups": len(groups),
        "search_s": searched_s,
        "group_s": time.perf_counter() - began - searched_s,
    }


def answer_ms(products: int, in_groups: int, rounds: int = 200) -> dict[str, float]:
    """Milliseconds from embedded photo to answer, with groups off and with them on; medians."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "w")
        with workspace.catalogue.writing() as writer:
            ids = [writer.add_product(f"P{at:06d}", {"size": f"{at} cm"}) for at in range(products)]
        store = workspace.catalogue.look_alikes
        sets = [tuple(ids[at : at + 3]) for at in range(0, in_groups, 3)]
        store.propose(Proposal(group, 0.99, (None,) * 3) for group in sets)
        for group in store.in_state(GroupState.PROPOSED):
            store.decide(Choice.CONFIRM_GROUP, group.number)
        vectors = rng.normal(size=(3 * products, 1424)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        gallery = GalleryVectors(
            vectors, np.repeat(np.array(ids), 3), np.zeros((3 * products, 32), np.uint8), 0
        )
        index, encoder = GalleryIndex(gallery, "times"), Encoder.load()
        found_figures = {}
        for name in ("off", "confirmed"):
            identifier = Identifier(
                workspace.catalogue,
                Embedder(encoder),
                index,
                PhotoLimits(),
                look_alikes=STATES[name],
            )
            taken = []
            for at in range(rounds):
                row = vectors[at * 7 % len(vectors)]
                photo = PhotoEmbedding(WHOLE_PHOTO, row[:1280], row[:1280], row[1280:])
                began = time.perf_counter()
                identifier.identify_embedded([photo])
                taken.append(time.perf_counter() - began)
            found_figures[f"{name}_ms"] = 1000 * float(np.median(taken))
        workspace.catalogue.close()
    return found_figures | {"products": products, "products in groups": in_groups}


# -- all of it ----------------------------------------------------------------------------------


def main() -> None:
    """Print the tables and write the JSON."""
    split = sys.argv[1] if len(sys.argv) > 1 else "test"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    cv2.setNumThreads(1)
    embedder = shipped()
    chosen = [task for task in tasks(split) if "DreamBooth" not in task.name]
    photos = embedded(distinct_paths(chosen), embedder)
    everything = [searched(task, photos) for task in chosen]
    rows, figures = choose(everything)
    header = ["task", "rule", "pairs", "groups", "queries", "decided rightly"]
    print_table(f"Proposed, and how the ranking decides between the two ({split})", header, rows)
    if split == "dev":
        write_json("lookalikes-dev", {"chosen": figures})
        return
    luma = every_photo(next(task for task in chosen if "all" in task.name))
    eye = by_eye(everything[-1]) + by_eye(searched(luma, photos))
    print_table("Luma's groups", list(eye[0]), [list(one.values()) for one in eye])
    counted = {task.name: counted_as_one(task) for task in everything}
    names = list(next(iter(counted.values())))
    shown = [
        [name, *(f"{found_figures[name]:.3f}" for found_figures in counted.values())]
        for name in names
    ]
    print_table("Counted as one", ["", *counted], shown)
    of_twins = twins(folder / "twins", embedder)
    columns = ["twins by", "twins", "proposed", "others proposed", "cosine, median", "least"]
    print_table("Rendered twins", columns, of_twins)
    speed = [times(3_000, 3), times(20_000, 1)]
    answers = answer_ms(3_000, 600)
    print_table("Finding", list(speed[0]), [[f"{v:.4g}" for v in one.values()] for one in speed])
    print_table("Answering", list(answers), [[f"{v:.4g}" for v in answers.values()]])
    write_json(
        "lookalikes-test",
        {
            "chosen": figures,
            "luma_groups": eye,
            "counted_as_one": counted,
            "twins": [dict(zip(columns, row, strict=True)) for row in of_twins],
            "finding": speed,
            "answering": answers,
        },
    )


if __name__ == "__main__":
    main()
