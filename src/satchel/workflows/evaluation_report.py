"""Sections of an evaluation report besides its figures: notes, curves, confusions, a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satchel.catalog.training import KeptPhoto
from satchel.evaluate.charts import Line, Point
from satchel.evaluate.embedding_map import embedding_map
from satchel.evaluate.ranks import confusions
from satchel.evaluate.report import (
    ConfusionExample,
    ConfusionRow,
    MapFacts,
    MapPoint,
    Training,
)
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.split_ranking import RankedPart


def evaluation_notes(evaluations: int, left_out: int) -> tuple[str, ...]:
    """How to read the figures."""
    notes = [
        f"This part of the split has been evaluated {evaluations} times; only the first evaluation "
        "is unbiased."
        if evaluations > 1
        else "The first evaluation on this part of the split.",
        "Top-k: ranked by the exported ONNX file as identification ranks, under the workspace's "
        "search rules.",
        "Intervals: 95 %, bootstrap over products, and no narrower than so few products allow.",
    ]
    if left_out:
        notes.append(
            f"Left out of the figures: {left_out:,} photos whose product has no other photo to "
            "match. No answer to them can be right."
        )
    return tuple(notes)


def training_curves(run: Run) -> Training | None:
    """Loss and validation accuracy by epoch; None for a run of one epoch."""
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


def confusion_rows(
    split: Split, queries: Sequence[Named], first: Sequence[str]
) -> tuple[ConfusionRow, ...]:
    """The most frequent confusions, with example photos.

    Args:
        first: code of each query's first candidate.
    """
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


def map_facts(
    queries: Sequence[Named], known: dict[Named, KeptPhoto], found: RankedPart
) -> MapFacts | None:
    """The embedding map of the queries; None without their vectors, or of fewer than three.

    Args:
        known: catalogue photos by name.
    """
    if found.vectors is None or len(queries) < 3:
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
