"""How sure answers are: fitted on the dev tasks for the encoder's card, measured on the test tasks.

    python benchmarks/confidence.py [dev|test]

`dev`: ranking rules compared, and the confidence that the encoder's card holds. `test`: what
confidences and verdicts are worth with a third of the products taken away, drawn ten times; beside
a softmax with two thresholds (`softmax`), the card's (`card`), one fitted on the dev photos of the
same catalogue (`own photos`), and ones fitted on the gallery itself (`views`: composed from its
pictures; `leave one out`: its photos searched among the others). The tables behind
docs/decisions/0005-ranking.md and 0011-honest-answers.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from accuracy import Asking, Seen, all_described, by_product, index_of, vectors_of
from datasets import LabelledPhoto, Task, distinct_paths, tasks
from reporting import print_table, write_json
from satchel.confidence.fit import (
    NOT_THERE,
    Asked,
    Measured,
    Outcomes,
    area_under_roc,
    ask,
    fit_confidence,
    joined,
    measure,
    outcomes_of,
    reliability_by_count,
)
from satchel.confidence.model import Rankings, presence, shares
from satchel.encode.card import Confidence
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.images import decode
from satchel.parallel import small_products
from satchel.records import PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.ranking import POOL, RankedProduct, rank_products
from satchel.search.rules import SearchRules
from views import seller_view

SHARE = 1 / 3
"""Share of the products that are taken away, so that items of theirs are not in the catalogue."""

DRAWS = 10
ROUNDS = 200
"""Of luck, by which it is told what calibration error chance alone makes."""

FEW = (50, 300)
"""How many own photos are tried, beside all of them."""

VIEWS = 2
"""Composed views of each gallery picture; more where there are few pictures."""

TEMPERATURE, IDENTIFIED_AT, IN_CATALOGUE_AT = 0.02, 0.95, 0.44
"""Of the softmax that is compared with: the best ones, by the same dev tasks."""

Rule = Callable[[np.ndarray], float]
RULES: dict[str, Rule] = {
    "nearest photo": lambda cosines: cosines.max(),
    "mean of the nearest 3": lambda cosines: np.sort(cosines)[-3:].mean(),
    "mean of the nearest 5": lambda cosines: np.sort(cosines)[-5:].mean(),
    "mean of all": lambda cosines: cosines.mean(),
    "softmax-weighted, sharpness 10 (ships)": lambda cosines: softmax(cosines * 10) @ cosines,
    "softmax-weighted, sharpness 20": lambda cosines: softmax(cosines * 20) @ cosines,
    "softmax-weighted, sharpness 40": lambda cosines: softmax(cosines * 40) @ cosines,
    "softmax-weighted, sharpness 100": lambda cosines: softmax(cosines * 100) @ cosines,
}


def softmax(values: np.ndarray) -> np.ndarray:
    """exp(values), scaled to the sum 1; shape (n,)."""
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def shipped_index(task: Task, seen: Seen) -> tuple[GalleryIndex, list[str]]:
    """The task's gallery as it is searched."""
    return index_of(task, vectors_of(seen), seen, SearchRules())


def compare_rules(task: Task, seen: Seen) -> list[list[object]]:
    """Top-1/3/5 of each rule by plain loops over products, where products have several photos."""
    index, codes = shipped_index(task, seen)
    queries = np.stack([seen.asked(query.path).descriptor for query in task.queries])
    cosines = index.prepared(queries) @ index.gallery.vectors.T
    right = np.array([codes.index(query.code) for query in task.queries])
    rows: list[list[object]] = []
    for name, rule in RULES.items():
        scores = np.array(
            [
                [rule(row[index.gallery.products == product]) for product in range(len(codes))]
                for row in cosines
            ]
        )
        rank = (scores > scores[np.arange(len(right)), right][:, None]).sum(1) + 1
        rows.append([name, *(f"{100 * (rank <= k).mean():.1f}" for k in (1, 3, 5))])
    return rows


def by_photos_per_product(chosen: list[Task]) -> list[Task]:
    """The task whose products have many photos, and the same with the first 3 and 10 of them.

    Photos from the twentieth on become queries, where the gallery is cut.
    """
    many = next(task for task in chosen if "train → val" in task.name)
    by_code: dict[str, list[LabelledPhoto]] = {}
    for photo in many.gallery:
        by_code.setdefault(photo.code, []).append(photo)
    rest = tuple(photo for photos in by_code.values() for photo in photos[20:])
    cut = [
        Task(
            f"Grocery: {k} a product of train → rest of train, val",
            tuple(photo for photos in by_code.values() for photo in photos[:k]),
            rest + many.queries,
        )
        for k in (3, 10)
    ]
    return [*cut, many]


@dataclass(frozen=True)
class Queries:
    """Photos whose products are known, and the gallery that they are searched in.

    Attributes:
        photos: n of them.
        right: shape (n,), number of each one's product; `NOT_THERE` where the gallery has it not.
        groups: shape (n,), the product that each truly is of.
        own: names of the gallery's photos that are left out for each; none where none is.
    """

    index: GalleryIndex
    asking: Asking
    photos: Sequence[PhotoEmbedding]
    right: np.ndarray
    groups: np.ndarray
    own: Sequence[bytes] = ()

    def ranked(self, row: int, without: int | None = None) -> list[RankedProduct]:
        """One query's ranking, as `Identifier` ranks."""
        asked, index = self.photos[row], self.index
        if self.own:
            names = index.gallery.photos
            others = (names != np.frombuffer(self.own[row], np.uint8)).any(1)
            index = replace(index, gallery=index.gallery.rows(np.flatnonzero(others)))
        with small_products():
            return rank_products(
                index,
                asked.descriptor[None],
                top=POOL,
                matcher=self.asking(asked),
                without=without,
            )

    def paired(self) -> Outcomes:
        """Each query with and without its product: what is fitted on."""
        asked = [ask(partial(self.ranked, row), int(of)) for row, of in enumerate(self.right)]
        return outcomes_of(self.index, asked)

    def thinned(self, seed: int) -> Queries:
        """The same with a share of all products taken out of the gallery."""
        products = np.unique(self.index.gallery.products)
        rng = np.random.default_rng(seed)
        gone = rng.choice(products, round(len(products) * SHARE), replace=False)
        left = np.flatnonzero(~np.isin(self.index.gallery.products, gone))
        return replace(
            self,
            index=replace(self.index, gallery=self.index.gallery.rows(left)),
            right=np.where(np.isin(self.right, gone), NOT_THERE, self.right),
        )

    def known(self) -> Queries:
        """Those whose product the gallery has."""
        rows = np.flatnonzero(self.right != NOT_THERE)
        return replace(
            self,
            photos=[self.photos[row] for row in rows],
            right=self.right[rows],
            groups=self.groups[rows],
            own=[self.own[row] for row in rows] if self.own else (),
        )

    def once(self) -> Outcomes:
        """Each query as it is: what is measured on."""
        asked = [Asked(int(of), self.ranked(row), ()) for row, of in enumerate(self.right)]
        return Outcomes(
            Rankings.of_many(self.index, [one.there for one in asked]),
            np.array([one.place for one in asked]),
            self.right != NOT_THERE,
            self.groups,
            np.ones(len(asked)),
        )

    def drawn(self) -> list[Outcomes]:
        """The queries with a share of all products taken away, drawn `DRAWS` times."""
        return [self.thinned(seed).once() for seed in range(DRAWS)]

    def drawn_pairs(self) -> list[Outcomes]:
        """Queries of products that each draw leaves, searched in what it leaves."""
        return [self.thinned(seed).known().paired() for seed in range(DRAWS)]


def queries_of(task: Task, seen: Seen) -> Queries:
    """A task's queries, searched in its gallery."""
    index, names = shipped_index(task, seen)
    asked = [seen.asked(query.path) for query in task.queries]
    right = np.array([names.index(query.code) for query in task.queries])
    return Queries(index, Asking(task, seen), asked, right, right)


def left_one_out(task: Task, seen: Seen, most: int = 600) -> Queries:
    """Gallery photos of products with several, each searched among all others.

    The whitening is that of the whole gallery: one photo hardly changes it.
    """
    index, _ = shipped_index(task, seen)
    photos, _ = by_product(task)
    products = index.gallery.products
    counts = np.bincount(products)
    some = np.random.default_rng(0).permutation(len(photos))[:most]
    rows = [row for row in some if counts[products[row]] > 1]
    asked = [seen.asked(photos[row].path) for row in rows]
    own = [index.gallery.photos[row].tobytes() for row in rows]
    return Queries(index, Asking(task, seen), asked, products[rows], products[rows], own)


def composed(task: Task, seen: Seen, encoder: Encoder) -> Queries:
    """Views composed from the gallery's pictures, searched in the gallery."""
    each = max(VIEWS, 400 // len(task.gallery))
    rng = np.random.default_rng(0)
    asked = [
        view
        for photo in task.gallery
        for view in embed(
            encoder, [seller_view(decode(photo.path.read_bytes()), rng) for _ in range(each)]
        )
    ]
    index, names = shipped_index(task, seen)
    right = np.array([names.index(photo.code) for photo in task.gallery for _ in range(each)])
    return Queries(index, Asking(task, seen), asked, right, right)


def equally(parts: list[Outcomes]) -> Outcomes:
    """Put tasks together so that each counts alike, however many queries it has."""
    usual = np.mean([len(part) for part in parts])
    return joined([replace(part, weight=part.weight * usual / len(part)) for part in parts])


def some(outcomes: Outcomes, count: int) -> Outcomes:
    """So many of the queries, each with and without its product."""
    half = len(outcomes) // 2
    rows = np.random.default_rng(0).permutation(half)[:count]
    return outcomes.rows(np.concatenate([rows, rows + half]))


@dataclass(frozen=True, slots=True)
class Tested(Measured):
    """What was measured, and `by_chance`: the calibration error of confidences that are true."""

    by_chance: float


def tested(confidences: Sequence[Confidence], draws: Sequence[Outcomes]) -> Tested:
    """What confidences are worth, one for each draw."""
    sure, measured = [], []
    for confidence, one in zip(confidences, draws, strict=True):
        there, choice = presence(confidence, one.ranked), shares(confidence, one.ranked)
        sure.append(there * choice[:, 0])
        measured.append(measure(confidence, one, there, choice))
    said = np.array([one.identified for one in measured])
    right = np.array([one.right_when_identified or 0.0 for one in measured])
    told = np.concatenate(sure)
    bins, error = reliability_by_count(told, np.concatenate([one.place == 0 for one in draws]))
    values = {
        name: float(np.mean([getattr(one, name) for one in measured]))
        for name in ("right", "auroc", "false_positive_rate", "absent_caught", "covered", "likely")
    }
    return Tested(
        **values,
        queries=len(draws[0]),
        calibration_error=error,
        identified=float(said.mean()),
        right_when_identified=float(right @ said / said.sum()) if said.any() else None,
        ranked=measured[0].ranked,
        bins=bins,
        by_chance=error_by_chance(told, len(draws[0])),
    )


def fitted_on(
    pairs: Sequence[Outcomes], card: Confidence, count: int | None = None
) -> list[Confidence]:
    """One fit for each draw, on photos of products that it leaves, searched in what it leaves.

    As someone calibrates who has such photos: by the very catalogue that answers.

    Args:
        pairs: of photos other than those that are measured on.
        count: so many of them, or as many as there are.
    """
    chosen = pairs if count is None else [some(one, count) for one in pairs]
    return [fit_confidence(one, card, "own photos")[0] for one in chosen]


def error_by_chance(sure: np.ndarray, queries: int) -> float:
    """Calibration error that so few queries show even of confidences that are exactly true.

    Args:
        sure: shape (draws × queries,); a query is as lucky in one draw as in the others.
    """
    rng, errors = np.random.default_rng(0), []
    for _ in range(ROUNDS):
        luck = np.tile(rng.random(queries), len(sure) // queries)
        errors.append(reliability_by_count(sure, luck < sure)[1])
    return float(np.mean(errors))


def softmax_tested(draws: Sequence[Outcomes]) -> Measured:
    """The same of a softmax over the scores with two thresholds, which knows of no absent items."""
    told = joined(draws)
    scores = told.ranked.scores
    best = scores[:, 0]
    sure = np.stack([softmax(row / TEMPERATURE) for row in scores])
    right, said = told.place == 0, (sure[:, 0] >= IDENTIFIED_AT) & (best >= IN_CATALOGUE_AT)
    card = Encoder.load().card.confidence
    blank = measure(card, told, presence(card, told.ranked), sure)
    bins, error = reliability_by_count(sure[:, 0], right)
    return replace(
        blank,
        queries=len(draws[0]),
        calibration_error=error,
        auroc=float(np.mean([area_under_roc(one.ranked.scores[:, 0], one.known) for one in draws])),
        identified=float(said.mean()),
        right_when_identified=float(right[said].mean()) if said.any() else None,
        absent_caught=float((best[~told.known] < IN_CATALOGUE_AT).mean()),
        false_positive_rate=float("nan"),
        covered=float("nan"),
        likely=float("nan"),
        bins=bins,
    )


SHOWN = {
    "calibration error": "calibration_error",
    "by chance": "by_chance",
    "AUROC, in or not": "auroc",
    "absent that pass at 95 % TPR": "false_positive_rate",
    "said identified": "identified",
    "right when identified": "right_when_identified",
    "absent called absent": "absent_caught",
    "likely hold it": "covered",
    "likely codes": "likely",
}


def row_of(task: str, side: str, measured: Measured) -> list[object]:
    """One line of the table."""
    values = [getattr(measured, name, None) for name in SHOWN.values()]
    shown = ["" if value is None or np.isnan(value) else f"{value:.3f}" for value in values]
    return [task, side, *shown]


def main() -> None:
    """Print the tables and write the JSON."""
    split = sys.argv[1] if len(sys.argv) > 1 else "dev"
    encoder = Encoder.load()
    dev = tasks("dev")
    shown = dev if split == "dev" else dev + tasks("test")
    seen = all_described(distinct_paths(shown), encoder)
    asked = {task.name: queries_of(task, seen) for task in shown}
    pairs = [asked[task.name].paired() for task in dev]
    card, told = fit_confidence(equally(pairs), None, "dev tasks")
    if split == "dev":
        rules = {task.name: compare_rules(task, seen) for task in by_photos_per_product(dev)}
        for name, rows in rules.items():
            print_table(f"A product's score from its photos: {name}", ["rule", *"135"], rows)
        print(card.model_dump_json(indent=2))
        write_json(
            "confidence-dev",
            {"rules": rules, "card": card.model_dump(mode="json"), "left_out": asdict(told)},
        )
        return
    rows, figures = [], []
    own_of = dict(zip((task.name for task in tasks("test")), dev, strict=False))
    for task in tasks("test"):
        draws = asked[task.name].drawn()
        sides = {"softmax": softmax_tested(draws), "card": tested([card] * DRAWS, draws)}
        if task.name in own_of:
            own = asked[own_of[task.name].name]
            own_pairs = own.drawn_pairs()
            for count in (few for few in FEW if few < len(own.right) / 2):
                sides[f"{count} own photos"] = tested(fitted_on(own_pairs, card, count), draws)
            sides["all own photos"] = tested(fitted_on(own_pairs, card), draws)
        once = len(task.gallery) == len({photo.code for photo in task.gallery})
        stand_in = composed(task, seen, encoder) if once else left_one_out(task, seen)
        fits = fitted_on(stand_in.drawn_pairs(), card)
        sides["views" if once else "leave one out"] = tested(fits, draws)
        for side, measured in sides.items():
            rows.append(row_of(task.name, side, measured))
            told_of = {
                key: None if isinstance(value, float) and np.isnan(value) else value
                for key, value in asdict(measured).items()
            }
            figures.append({"task": task.name, "side": side, **told_of})
    name = f"{SHARE:.0%} of the products not in the gallery, {DRAWS} draws"
    print_table(name, ["task", "confidence", *SHOWN], rows)
    write_json("confidence-test", {"card": card.model_dump(mode="json"), "measured": figures})


if __name__ == "__main__":
    main()
