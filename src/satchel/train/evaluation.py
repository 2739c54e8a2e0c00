"""`satchel evaluate RUN`: what a trained model is worth on photos it never saw, as a report.

A test part says the truth once: whoever chooses by it has trained on it. So every look at one is
written down beside the split, and the report tells how many there were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from satchel.catalog.training import KeptPhoto
from satchel.errors import UsageError
from satchel.evaluate.charts import Line, Point
from satchel.evaluate.embedding_map import embedding_map
from satchel.evaluate.metrics import Ranks, by_group, class_ranks, confusions, retrieval
from satchel.evaluate.report import (
    ConfusionExample,
    ConfusionRow,
    DataFacts,
    EvaluationReport,
    Figure,
    MapFacts,
    MapPoint,
    Training,
    accuracy_figures,
)
from satchel.search.ranking import SHARPNESS
from satchel.train.classify import load_classifier, predict
from satchel.train.data import Named, Split
from satchel.train.loading import TrainingPhotos
from satchel.train.metric import load_encoder, vectors_of
from satchel.train.runs import Run
from satchel.train.task import part_photos, workspace_photos
from satchel.workspace import Workspace

Floats = npt.NDArray[np.float32]
Advance = Callable[[int], None]

SCORES_BYTES = 256 << 20
"""Memory for cosines of queries with the whole gallery, at a time."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a model."""

    workspace: Workspace
    run: Run
    split: Split
    kept: Sequence[KeptPhoto]
    queries: Sequence[Named]
    advance: Advance

    def photos(self, named: Sequence[Named], products: Sequence[str]) -> TrainingPhotos:
        return part_photos(self.workspace, self.kept, named, products)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a model said of the queries.

    Attributes:
        ranks: shape (n,): of the right product.
        first: codes that came first.
        vectors: shape (n, d), for the map.
        further: figures that only this kind of model has.
    """

    ranks: Ranks
    first: list[str]
    vectors: Floats
    further: tuple[Figure, ...] = ()


def evaluate_run(
    workspace: Workspace, run: Run, *, part: str = "test", advance: Advance = lambda _: None
) -> EvaluationReport:
    """Evaluate a run on a part of its split.

    Args:
        advance: called with the number of photos done since the last call.

    Raises:
        UsageError: run, split or photos are not what they were when it was trained; or the run
            adapted an encoder: it chose by compositions, and there is no part that tells more.
    """
    record = run.read()
    if record.kind == "adapt":
        raise UsageError(
            f"{run.name} adapted an encoder: what it is worth stands in {run.folder}/outcome.json; "
            "promote it and try your own photos with `satchel identify`"
        )
    split = Split.load(workspace.split_path(record.split))
    photos = workspace_photos(workspace)
    queries = split.part(part)
    answer = _by_classifier if record.kind == "classifier" else _by_encoder
    found = answer(_Asked(workspace, run, split, photos, queries, advance))
    looks = _write_look(workspace.split_path(record.split), run, part)
    figures, line = accuracy_figures(found.ranks, [code for code, _ in queries])
    known = {(photo.code, photo.sha256): photo for photo in photos}
    return EvaluationReport(
        title=f"{run.name} on {part}",
        data=DataFacts(
            record.split,
            split.hash,
            {
                "products": len(split.products(part)),
                "training photos": len(split.train),
                "queries": len(queries),
            },
        ),
        about={
            "kind": record.kind,
            "backbone": str(record.settings["backbone"]),
            "revision": record.revision,
            "machine": f"{record.machine['cores']} cores, GPU: {record.machine['gpu']}",
            "trained for": f"{record.seconds / 60:.1f} min, {record.epochs:g} epochs",
            "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
        notes=(
            f"This part of the split has been looked at {looks} times; the first look is the one "
            "that counts."
            if looks > 1
            else "The first look at this part of the split.",
            "Intervals: 95 %, bootstrap over products.",
        ),
        figures=(*figures, *found.further),
        top_k=(line,),
        training=_training(run),
        categories=tuple(by_group(found.ranks, [known[name].category for name in queries])),
        products=tuple(by_group(found.ranks, [code for code, _ in queries])),
        confusions=_confusions(split, queries, found.first),
        embedding=_map(queries, known, found),
    )


def _by_classifier(asked: _Asked) -> _Answers:
    model, products, settings = load_classifier(asked.run)
    queries = asked.photos(asked.queries, products)
    scores = predict(model, queries, settings.side_px, advance=asked.advance)
    return _Answers(
        class_ranks(scores, queries.labels),
        [products[at] for at in scores.argmax(1)],
        vectors_of(model.backbone, queries, settings.side_px),
    )


def _by_encoder(asked: _Asked) -> _Answers:
    """Queries are searched among the training photos, or, of unseen products, among themselves."""
    backbone, settings = load_encoder(asked.run)
    unseen = asked.split.protocol == "open"
    gallery = asked.queries if unseen else asked.split.train
    products = tuple(sorted({code for code, _ in gallery}))
    queries, searched = asked.photos(asked.queries, products), asked.photos(gallery, products)
    vectors = vectors_of(backbone, queries, settings.side_px, advance=asked.advance)
    known = vectors if unseen else vectors_of(backbone, searched, settings.side_px)
    own = np.arange(len(vectors)) if unseen else None
    found = retrieval(vectors, queries.labels, known, searched.labels, own=own)
    scores = product_scores(vectors, known, searched.labels, len(products), own=own)
    return _Answers(
        class_ranks(scores, queries.labels),
        [products[at] for at in scores.argmax(1)],
        vectors,
        (
            Figure("Recall@1, by photo", found.recall_at[1]),
            Figure("Recall@5, by photo", found.recall_at[5]),
            Figure("MAP@R", found.map_at_r),
            Figure("R-precision", found.r_precision),
        ),
    )


def product_scores(
    queries: Floats,
    gallery: Floats,
    labels: npt.NDArray[np.int64],
    products: int,
    *,
    own: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Score of every product for every query, as `satchel.search.ranking` scores.

    Args:
        queries: shape (n, d), of length 1.
        gallery: shape (g, d), of length 1.
        labels: shape (g,): products of the gallery, in [0, products).
        own: for each query the gallery row that is itself, left out.

    Returns:
        shape (n, products), float32; -1 where a product has no photo but the query.
    """
    order = np.argsort(labels, kind="stable")
    sorted_labels = labels[order]
    present, starts = np.unique(sorted_labels, return_index=True)
    scores = np.full((len(queries), products), -1, np.float32)
    step = max(1, SCORES_BYTES // (8 * max(1, len(gallery))))
    for first in range(0, len(queries), step):
        rows = slice(first, first + step)
        cosines = queries[rows] @ gallery.T
        weights = np.exp(SHARPNESS * cosines)
        if own is not None:
            weights[np.arange(len(weights)), own[rows]] = 0
        total = np.add.reduceat(weights[:, order], starts, axis=1)
        summed = np.add.reduceat((weights * cosines)[:, order], starts, axis=1)
        scores[rows, present] = np.where(total > 0, summed / np.maximum(total, 1e-12), -1)
    return scores


def _write_look(split: Path, run: Run, part: str) -> int:
    """Write down that a part was looked at; return how often it now has been, by any model."""
    path = split.with_suffix(".looks.jsonl")
    told = {"part": part, "run": run.name, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(json.loads(line)["part"] == part for line in lines)


def _training(run: Run) -> Training | None:
    curves = run.curves()
    if len(curves) < 2:
        return None

    def line(name: str, key: str) -> Line:
        return Line(name, tuple(Point(row["epoch"], row[key]) for row in curves))

    shown = {
        "top1": "top-1, val",
        "top5": "top-5, val",
        "recall1": "recall@1, val",
        "recall5": "recall@5, val",
    }
    return Training(
        loss=tuple(
            line(name, key)
            for key, name in {"loss": "training", "val_loss": "val"}.items()
            if key in curves[-1]
        ),
        accuracy=tuple(line(name, key) for key, name in shown.items() if key in curves[-1]),
    )


def _confusions(
    split: Split, queries: Sequence[Named], first: Sequence[str]
) -> tuple[ConfusionRow, ...]:
    example = dict(reversed((*split.train, *queries)))
    return tuple(
        ConfusionRow(
            pair.code,
            pair.taken_for,
            pair.count,
            pair.of,
            tuple(
                ConfusionExample(
                    queries[row][1], example.get(pair.taken_for), example.get(pair.code)
                )
                for row in pair.examples
            ),
        )
        for pair in confusions([code for code, _ in queries], list(first))
    )


def _map(
    queries: Sequence[Named], known: dict[Named, KeptPhoto], found: _Answers
) -> MapFacts | None:
    if len(queries) < 3:
        return None
    codes = [code for code, _ in queries]
    laid = embedding_map(found.vectors, np.array(codes))
    points = [
        MapPoint(
            float(x),
            float(y),
            codes[row],
            queries[row][1],
            known[queries[row]].category or "",
            found.first[row] if found.first[row] != codes[row] else None,
        )
        for row, (x, y) in zip(laid.rows.tolist(), laid.xy.tolist(), strict=True)
    ]
    return MapFacts(laid.method, len(queries), tuple(points))
