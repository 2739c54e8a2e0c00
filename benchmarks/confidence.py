"""Ranking rule, temperature and verdict thresholds, chosen on the dev tasks.

    python benchmarks/confidence.py

The tables behind docs/decisions/0005-ranking.md, and the values in the encoder's card. Verdicts
are counted twice: with every product in the gallery, and with a third of them taken away, so that
the right answer to their queries is `not_in_catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from accuracy import Seen, all_described, index_of, vectors_of
from datasets import LabelledPhoto, Task, distinct_paths, tasks
from reporting import print_table, write_json
from satchel.encode.encoder import Encoder
from satchel.search.ranking import POOL, rank_products, softmax
from satchel.search.rules import SearchRules

TEMPERATURES = (0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08)
PRECISION = 0.80
"""What "identified" has to hold, averaged over the dev tasks that have ten or more such answers,
every product being known."""

KEPT = 0.95
"""Share of the items in the catalogue that "not in the catalogue" may not touch."""

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


def compare_rules(task: Task, seen: Seen) -> list[list[object]]:
    """Top-1/3/5 of each rule by plain loops over products, where products have several photos."""
    index, codes = index_of(task, vectors_of(seen), seen, SearchRules())
    queries = np.stack([seen[query.path].described for query in task.queries])
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


@dataclass(frozen=True)
class Answers:
    """What the ranking said of a task's queries.

    Attributes:
        scores: shape (n, POOL), float32, of the best products, descending, padded with -inf.
        right: shape (n,), int, place of the right product among them; -1 where it is not.
        known: shape (n,), bool, whether the right product is in the gallery.
    """

    task: str
    scores: np.ndarray
    right: np.ndarray
    known: np.ndarray

    def confidence(self, temperature: float) -> np.ndarray:
        """Confidence of every candidate; shape (n, POOL)."""
        return np.stack([softmax(row / temperature) for row in self.scores])


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


def answers(task: Task, seen: Seen, *, absent_share: float, seed: int = 0) -> Answers:
    """Rank each query against the task's products, less a share of them, drawn by chance."""
    codes = sorted({photo.code for photo in task.gallery})
    rng = np.random.default_rng(seed)
    absent = set(rng.choice(codes, round(len(codes) * absent_share), replace=False))
    gallery = tuple(photo for photo in task.gallery if photo.code not in absent)
    kept = Task(task.name, gallery, task.queries)
    index, names = index_of(kept, vectors_of(seen), seen, SearchRules())
    scores = np.full((len(task.queries), POOL), -np.inf, np.float32)
    right = np.full(len(task.queries), -1)
    for at, query in enumerate(task.queries):
        ranked = rank_products(index, seen[query.path].described[None], top=POOL, temperature=1.0)
        for place, product in enumerate(ranked):
            scores[at, place] = product.score
            if names[product.product] == query.code:
                right[at] = place
    known = np.array([query.code not in absent for query in task.queries])
    return Answers(task.name, scores, right, known)


def likelihood_loss(found: Answers, temperature: float) -> float:
    """Mean negative log-likelihood of the right product, over queries that have one."""
    rows = np.flatnonzero(found.right >= 0)
    picked = found.confidence(temperature)[rows, found.right[rows]]
    return float(-np.log(np.maximum(picked, 1e-9)).mean())


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3), bins of equal width."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    parts = [
        abs(confidence[place == b].mean() - correct[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(parts))


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative (Mann-Whitney U), ties by half."""
    above = scores[positive][:, None] - scores[~positive][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def verdict_table(
    chosen: list[Answers], temperature: float, identified_at: float, in_catalogue_at: float
) -> tuple[list[list[object]], list[dict[str, object]]]:
    """How each verdict fares on each task."""
    rows: list[list[object]] = []
    figures: list[dict[str, object]] = []
    for found in chosen:
        confidence = found.confidence(temperature)[:, 0]
        correct, known = found.right == 0, found.known
        shown = found.scores[:, 0] >= in_catalogue_at
        identified = shown & (confidence >= identified_at)
        figure = {
            "task": found.task,
            "said identified": float(identified.mean()),
            "right when identified": (
                float(correct[identified].mean()) if identified.any() else None
            ),
            "known called absent": float((~shown & known).sum() / known.sum()),
            "absent called absent": float((~shown[~known]).mean()) if not known.all() else None,
            "AUROC of the score": (
                area_under_roc(found.scores[:, 0], known) if not known.all() else None
            ),
            "calibration error, known": calibration_error(confidence[known], correct[known]),
        }
        figures.append(figure)
        rows.append([f"{v:.3f}" if isinstance(v, float) else v or "" for v in figure.values()])
    return rows, figures


def main() -> None:
    """Print the tables and write the JSON."""
    chosen = tasks("dev")
    seen = all_described(distinct_paths(chosen), Encoder.load())
    rules = {task.name: compare_rules(task, seen) for task in by_photos_per_product(chosen)}
    for name, rows in rules.items():
        print_table(f"A product's score from its photos: {name}", ["rule", *"135"], rows)

    found = [answers(task, seen, absent_share=0) for task in chosen]
    losses = {t: [likelihood_loss(one, t) for one in found] for t in TEMPERATURES}
    print_table(
        "Negative log-likelihood of the right product",
        ["temperature", *(one.task for one in found), "mean"],
        [[t, *(f"{v:.3f}" for v in loss), f"{np.mean(loss):.3f}"] for t, loss in losses.items()],
    )
    temperature = min(losses, key=lambda t: float(np.mean(losses[t])))
    identified_at = next(
        at
        for at in np.arange(0.05, 1.0, 0.01)
        if np.nanmean([precision(one, temperature, at) for one in found]) >= PRECISION
    )
    in_catalogue_at = min(float(np.quantile(one.scores[one.known, 0], 1 - KEPT)) for one in found)
    print(
        f"temperature {temperature}, identified_at {identified_at:.2f}, "
        f"in_catalogue_at {in_catalogue_at:.3f}"
    )
    verdicts = {}
    for share in (0.0, 1 / 3):
        asked = [answers(task, seen, absent_share=share) for task in chosen]
        rows, figures = verdict_table(asked, temperature, identified_at, in_catalogue_at)
        name = f"{share:.0%} of the products not in the gallery"
        print_table(f"Verdicts, {name}", list(figures[0]), rows)
        verdicts[name] = figures
    write_json(
        "confidence-dev",
        {
            "rules": rules,
            "losses": {str(t): loss for t, loss in losses.items()},
            "temperature": temperature,
            "identified_at": float(identified_at),
            "in_catalogue_at": in_catalogue_at,
            "verdicts": verdicts,
        },
    )


def precision(found: Answers, temperature: float, identified_at: float) -> float:
    """Share of right answers among those at or above a confidence; NaN where they are few."""
    said = found.confidence(temperature)[:, 0] >= identified_at
    return float((found.right[said] == 0).mean()) if said.sum() >= 10 else np.nan


if __name__ == "__main__":
    main()
