"""Confidences: fitted on the dev tasks for the encoder's card, measured on the test tasks.

    python -m benchmarks.confidence [dev|test] [clip-b16|lite0]

`dev`: ranking rules compared (with the built-in encoder), and the confidence of the encoder's card.
`test`: figures of confidences and verdicts with a third of the products taken away, drawn ten
times: of a softmax with two thresholds (`softmax`), of the card's (`card`), and of one fitted on
the dev photos of the same catalogue (`own photos`). The tables behind
docs/decisions/0005-ranking.md and 0011-honest-answers.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks.accuracy import RULES as SEARCH_RULES
from benchmarks.accuracy import Photos, embedded, gallery_of, shipped
from benchmarks.datasets import LabelledPhoto, Task, distinct_paths, tasks
from benchmarks.reporting import print_table, write_json
from satchel.confidence.figures import Measured, area_under_roc, calibration_error, measure
from satchel.confidence.fit import fit_confidence
from satchel.confidence.model import conditional_probabilities, presence
from satchel.confidence.outcomes import NOT_THERE, Outcomes, joined, outcomes_of
from satchel.encode.card import Confidence
from satchel.encode.encoder import Encoder
from satchel.encode.registry import BUILTINS
from satchel.evaluate.offline import Query, rank_pairs, rank_queries
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules
from satchel.search.searcher import Searcher

SHARE = 1 / 3
"""Share of the products that are taken away, so that items of theirs are not in the catalogue."""

DRAWS = 10
ROUNDS = 200
"""Simulations from which the expected ECE of a perfectly calibrated model is estimated."""

FEW = (50, 300)
"""How many own photos are tried, besides all of them."""

TEMPERATURE, IDENTIFIED_AT, IN_CATALOGUE_AT = 0.02, 0.95, 0.44
"""Thresholds of the softmax baseline: the best ones on the same dev tasks."""

Rule = Callable[[np.ndarray], Any]
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
    powers: np.ndarray = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


def compare_rules(task: Task, photos: Photos) -> list[list[object]]:
    """Top-1/3/5 of each rule by plain loops over products, where products have several photos."""
    gallery, codes = gallery_of(task, photos)
    index = gallery.searcher(SearchRules()).index
    queries = np.stack([photos.query(query.path).descriptor for query in task.queries])
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

    Photos from the twentieth become queries, where the gallery is cut.
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
        photos: n of them, as queries.
        right: shape (n,), number of each one's product; `NOT_THERE` where the gallery has it not.
        groups: shape (n,), the product that each truly is of.
    """

    searcher: Searcher
    photos: Sequence[PhotoEmbedding]
    right: np.ndarray
    groups: np.ndarray

    def paired(self) -> Outcomes:
        """Each query with and without its product, for fitting."""
        return outcomes_of(rank_pairs(self.searcher, map(Query, self.photos), self.right.tolist()))

    def once(self) -> Outcomes:
        """Each query as it is, for measuring."""
        found = rank_queries(self.searcher, map(Query, self.photos))
        return Outcomes(
            found.rankings,
            found.ranks(self.right) - 1,
            self.right != NOT_THERE,
            self.groups,
            np.ones(len(found)),
        )

    def thinned(self, seed: int) -> Queries:
        """The same with a share of all products taken out of the gallery."""
        index = self.searcher.index
        products = np.unique(index.gallery.products)
        rng = np.random.default_rng(seed)
        gone = rng.choice(products, round(len(products) * SHARE), replace=False)
        left = np.flatnonzero(~np.isin(index.gallery.products, gone))
        fewer = replace(index, gallery=index.gallery.rows(left))
        return replace(
            self,
            searcher=replace(self.searcher, index=fewer),
            right=np.where(np.isin(self.right, gone), NOT_THERE, self.right),
        )

    def known(self) -> Queries:
        """Those whose product the gallery has."""
        rows = np.flatnonzero(self.right != NOT_THERE)
        photos = [self.photos[row] for row in rows.tolist()]
        return Queries(self.searcher, photos, self.right[rows], self.groups[rows])

    def drawn(self) -> list[Outcomes]:
        """The queries with a share of all products taken away, drawn `DRAWS` times."""
        return [self.thinned(seed).once() for seed in range(DRAWS)]

    def drawn_pairs(self) -> list[Outcomes]:
        """Queries of products that each draw leaves, searched in what it leaves."""
        return [self.thinned(seed).known().paired() for seed in range(DRAWS)]


def queries_of(task: Task, photos: Photos, rules: SearchRules) -> Queries:
    """A task's queries, searched in its gallery by the rules that ship with the encoder."""
    gallery, codes = gallery_of(task, photos)
    queries = [photos.query(query.path) for query in task.queries]
    right = np.array([codes.index(query.code) for query in task.queries])
    return Queries(gallery.searcher(rules), queries, right, right)


def equally(parts: list[Outcomes]) -> Outcomes:
    """Join tasks with equal weight, however many queries each has."""
    usual = np.mean([len(part) for part in parts])
    return joined([replace(part, weight=part.weight * usual / len(part)) for part in parts])


def some(outcomes: Outcomes, count: int) -> Outcomes:
    """So many of the queries, each with and without its product."""
    half = len(outcomes) // 2
    rows = np.random.default_rng(0).permutation(half)[:count]
    return outcomes.rows(np.concatenate([rows, rows + half]))


@dataclass(frozen=True, slots=True)
class Tested(Measured):
    """Figures, and `perfect_error`: the ECE of a perfectly calibrated model at this sample size."""

    perfect_error: float


def tested(confidences: Sequence[Confidence], draws: Sequence[Outcomes]) -> Tested:
    """Figures of confidences, one for each draw."""
    first, measured = [], []
    for confidence, one in zip(confidences, draws, strict=True):
        there = presence(confidence, one.ranked)
        conditional = conditional_probabilities(confidence, one.ranked)
        first.append(there * conditional[:, 0])
        measured.append(measure(confidence, one, there, conditional))
    shares: dict[str, Any] = {}
    for verdict in ("identified", "named"):
        said = np.array([getattr(one, verdict) for one in measured])
        right = np.array([getattr(one, f"right_when_{verdict}") or 0.0 for one in measured])
        shares[verdict] = float(said.mean())
        shares[f"right_when_{verdict}"] = float(right @ said / said.sum()) if said.any() else None
    every = np.concatenate(first)
    bins, error = calibration_error(every, np.concatenate([one.place == 0 for one in draws]))
    values: dict[str, Any] = {
        name: float(np.mean([getattr(one, name) for one in measured]))
        for name in ("right", "auroc", "false_positive_rate", "absent_caught")
    }
    return Tested(
        **values,
        queries=len(draws[0]),
        calibration_error=error,
        **shares,
        bins=bins,
        intervals={},  # draws share queries, so theirs would be too narrow
        perfect_error=perfect_error(every, len(draws[0])),
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


def perfect_error(confidence: np.ndarray, queries: int) -> float:
    """Expected ECE of a perfectly calibrated model at this sample size.

    Args:
        confidence: shape (draws × queries,); outcomes of a query are drawn together in all draws.
    """
    rng, errors = np.random.default_rng(0), []
    for _ in range(ROUNDS):
        uniform = np.tile(rng.random(queries), len(confidence) // queries)
        errors.append(calibration_error(confidence, uniform < confidence)[1])
    return float(np.mean(errors))


def softmax_tested(draws: Sequence[Outcomes]) -> Measured:
    """Figures of a softmax over the scores with two thresholds, which knows of no absent items."""
    every = joined(draws)
    scores = every.ranked.scores
    best = scores[:, 0]
    conditional = np.stack([softmax(row / TEMPERATURE) for row in scores])
    first, right = conditional[:, 0], every.place == 0
    said = (first >= IDENTIFIED_AT) & (best >= IN_CATALOGUE_AT)
    card = Encoder.load().card.confidence
    blank = measure(card, every, presence(card, every.ranked), conditional)
    bins, error = calibration_error(first, right)
    return replace(
        blank,
        queries=len(draws[0]),
        calibration_error=error,
        auroc=float(np.mean([area_under_roc(one.ranked.scores[:, 0], one.known) for one in draws])),
        identified=float(said.mean()),
        right_when_identified=float(right[said].mean()) if said.any() else None,
        named=float(said.mean()),
        right_when_named=float(right[said].mean()) if said.any() else None,
        absent_caught=float((best[~every.known] < IN_CATALOGUE_AT).mean()),
        false_positive_rate=float("nan"),
        bins=bins,
    )


SHOWN = {
    "calibration error": "calibration_error",
    "of perfect calibration": "perfect_error",
    "AUROC, in or not": "auroc",
    "absent that pass at 95 % TPR": "false_positive_rate",
    "identified": "identified",
    "right when identified": "right_when_identified",
    "names one to five": "named",
    "right when named": "right_when_named",
    "absent called absent": "absent_caught",
}


def row_of(task: str, side: str, measured: Measured) -> list[object]:
    """One line of the table."""
    values = [getattr(measured, name, None) for name in SHOWN.values()]
    shown = ["" if value is None or np.isnan(value) else f"{value:.3f}" for value in values]
    return [task, side, *shown]


def main() -> None:
    """Print the tables and write the JSON."""
    split, name = (*sys.argv[1:], *("dev", "clip-b16")[len(sys.argv) - 1 :])
    suffix = "" if name == "clip-b16" else f"-{name}"
    dev = tasks("dev")
    shown = dev if split == "dev" else dev + tasks("test")
    photos = embedded(distinct_paths(shown), shipped(BUILTINS[name]))
    queries = {task.name: queries_of(task, photos, SEARCH_RULES[name]) for task in shown}
    pairs = [queries[task.name].paired() for task in dev]
    card, held_out = fit_confidence(equally(pairs), None, "dev tasks")
    if split == "dev":
        compared = by_photos_per_product(dev) if name == "clip-b16" else []
        rules = {task.name: compare_rules(task, photos) for task in compared}
        for task_name, rows in rules.items():
            print_table(f"A product's score from its photos: {task_name}", ["rule", *"135"], rows)
        print(card.model_dump_json(indent=2))
        write_json(
            f"confidence-dev{suffix}",
            {"rules": rules, "card": card.model_dump(mode="json"), "left_out": asdict(held_out)},
        )
        return
    rows, figures = [], []
    own_of = dict(zip((task.name for task in tasks("test")), dev, strict=False))
    for task in tasks("test"):
        draws = queries[task.name].drawn()
        sides = {"softmax": softmax_tested(draws), "card": tested([card] * DRAWS, draws)}
        if task.name in own_of:
            own = queries[own_of[task.name].name]
            own_pairs = own.drawn_pairs()
            for count in (few for few in FEW if few < len(own.right) / 2):
                sides[f"{count} own photos"] = tested(fitted_on(own_pairs, card, count), draws)
            sides["all own photos"] = tested(fitted_on(own_pairs, card), draws)
        for side, measured in sides.items():
            rows.append(row_of(task.name, side, measured))
            values = {
                key: None if isinstance(value, float) and np.isnan(value) else value
                for key, value in asdict(measured).items()
            }
            figures.append({"task": task.name, "side": side, **values})
    title = f"{SHARE:.0%} of the products not in the gallery, {DRAWS} draws ({name})"
    print_table(title, ["task", "confidence", *SHOWN], rows)
    write_json(
        f"confidence-test{suffix}", {"card": card.model_dump(mode="json"), "measured": figures}
    )


if __name__ == "__main__":
    main()
