"""`satchel evaluate RUN`: what a trained model is worth on photos it never saw, as a report.

A test part says the truth once: whoever chooses by it has trained on it. So every look at one is
written down beside the split, and the report tells how many there were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from satchel.catalog.training import KeptPhoto
from satchel.errors import UsageError
from satchel.evaluate.bootstrap import interval
from satchel.evaluate.charts import Line, Point
from satchel.evaluate.embedding_map import embedding_map
from satchel.evaluate.metrics import (
    Ranks,
    Retrieval,
    by_group,
    class_ranks,
    confusions,
    hits,
    retrieval,
)
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
from satchel.train.backbones import Backbone
from satchel.train.batches import TrainingPhotos
from satchel.train.classifier import load_classifier, predict
from satchel.train.distances import Distance, WithinClassWhitening
from satchel.train.encoder import Seen, load_encoder, see, vectors_of
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace

Floats = npt.NDArray[np.float32]
Advance = Callable[[int], None]

SCORES_BYTES = 256 << 20
"""Memory for cosines of queries with the whole gallery, at a time."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a model.

    Attributes:
        part: of the split, all of it.
        queries: its photos whose product can be found; see `Split.answerable`.
        embedding: whether the map of the vectors is wanted: it takes as long as the figures.
    """

    workspace: Workspace
    split: Split
    kept: Sequence[KeptPhoto]
    part: Sequence[Named]
    queries: Sequence[Named]
    advance: Advance
    embedding: bool

    def photos(self, named: Sequence[Named], products: Sequence[str]) -> TrainingPhotos:
        return part_photos(self.workspace, self.kept, named, products)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a model said of the queries.

    Attributes:
        ranks: shape (n,): of the right product.
        first: codes that came first.
        vectors: shape (n, d), for the map; None where none is wanted.
        further: figures that only this kind of model has.
    """

    ranks: Ranks
    first: list[str]
    vectors: Floats | None
    further: tuple[Figure, ...] = ()


def evaluate_run(
    workspace: Workspace,
    run: Run,
    *,
    part: str = "test",
    advance: Advance = lambda _: None,
    embedding: bool = True,
) -> EvaluationReport:
    """Evaluate a run on a part of its split.

    Args:
        advance: called with the number of photos done since the last call.
        embedding: draw the map of the embedding too.

    Raises:
        UsageError: run, split or photos are not what they were when it was trained; or the run
            adapted an encoder: it chose by compositions, and there is no part that tells more.
    """
    record = run.read()
    if record.adapts:
        raise UsageError(
            f"{run.name} adapted an encoder: what it is worth stands in {run.folder}/outcome.json; "
            "promote it and try your own photos with `satchel identify`"
        )
    if record.kind == "classifier":
        answer: Callable[[_Asked], _Answers] = partial(_by_classifier, run)
    else:
        backbone, settings = load_encoder(run)
        answer = partial(_by_encoder, backbone, settings.side_px)
    about = {
        "kind": record.kind,
        "backbone": str(record.settings["backbone"]),
        "revision": record.revision,
        "machine": f"{record.machine['cores']} cores, GPU: {record.machine['gpu']}",
        "trained for": f"{record.seconds / 60:.1f} min, {record.epochs:g} epochs, "
        f"{record.precision or record.settings['precision']}",
    }
    return _evaluate(
        workspace,
        record.split,
        run.name,
        answer,
        about=about,
        part=part,
        advance=advance,
        training=_training(run),
        embedding=embedding,
    )


def evaluate_untrained(
    workspace: Workspace,
    split: str,
    backbone: Backbone,
    *,
    side_px: int,
    part: str = "test",
    advance: Advance = lambda _: None,
) -> EvaluationReport:
    """Evaluate a backbone as it came, as an encoder: what training has to better (zero-shot)."""
    return _evaluate(
        workspace,
        split,
        f"{backbone.name}, untrained",
        partial(_by_encoder, backbone, side_px),
        about={"kind": "encoder", "backbone": backbone.name, "weights": backbone.weights},
        part=part,
        advance=advance,
    )


def _evaluate(
    workspace: Workspace,
    split_name: str,
    model: str,
    answer: Callable[[_Asked], _Answers],
    *,
    about: Mapping[str, str],
    part: str,
    advance: Advance,
    training: Training | None = None,
    embedding: bool = False,
) -> EvaluationReport:
    split = Split.load(workspace.split_path(split_name))
    photos = workspace_photos(workspace)
    queries = split.answerable(part)
    left_out = len(split.part(part)) - len(queries)
    if not queries:
        raise UsageError(
            f"no photo of the part {part} of the split {split_name} has another photo of its "
            "product to be found by; make a split of products with more photos, "
            "`satchel split NAME --fewest 3`"
        )
    found = answer(_Asked(workspace, split, photos, split.part(part), queries, advance, embedding))
    looks = _write_look(workspace.split_path(split_name), model, part)
    figures, line = accuracy_figures(found.ranks, [code for code, _ in queries])
    known = {(photo.code, photo.sha256): photo for photo in photos}
    return EvaluationReport(
        title=f"{model} on {part}",
        data=DataFacts(
            split_name,
            split.hash,
            {
                "products": len({code for code, _ in queries}),
                "training photos": len(split.train),
                "queries": len(queries),
                **({"photos left out": left_out} if left_out else {}),
            },
        ),
        about={**about, "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")},
        notes=(
            f"This part of the split has been looked at {looks} times; the first look is the one "
            "that counts."
            if looks > 1
            else "The first look at this part of the split.",
            "Intervals: 95 %, bootstrap over products, and no narrower than so few products allow.",
            *_said_left_out(left_out),
        ),
        figures=(*figures, *found.further),
        top_k=(line,),
        training=training,
        categories=tuple(by_group(found.ranks, [known[name].category for name in queries])),
        products=tuple(by_group(found.ranks, [code for code, _ in queries])),
        confusions=_confusions(split, queries, found.first),
        embedding=_map(queries, known, found),
    )


def _said_left_out(photos: int) -> tuple[str, ...]:
    if not photos:
        return ()
    return (
        f"Left out of the figures: {photos:,} photos whose product has no other photo to be found "
        "by. No answer to them can be right.",
    )


def _by_classifier(run: Run, asked: _Asked) -> _Answers:
    model, products, settings = load_classifier(run)
    queries = asked.photos(asked.queries, products)
    scores = predict(model, queries, settings.side_px, advance=asked.advance)
    return _Answers(
        class_ranks(scores, queries.labels),
        [products[at] for at in scores.argmax(1)],
        vectors_of(model.backbone, queries, settings.side_px) if asked.embedding else None,
    )


def _by_encoder(backbone: Backbone, side_px: int, asked: _Asked) -> _Answers:
    """Search queries among the training photos, or, of unseen products, among the part itself."""
    unseen = asked.split.protocol == "open"
    gallery = asked.part if unseen else asked.split.train
    products = tuple(sorted({code for code, _ in gallery}))
    queries, searched = asked.photos(asked.queries, products), asked.photos(gallery, products)
    trained_on = asked.photos(asked.split.train, asked.split.products())

    def seen(photos: TrainingPhotos) -> Seen:
        # Not counted, and told: who waits may want to stop here too.
        return see(backbone, photos, side_px, advance=lambda _: asked.advance(0))

    learnt = seen(trained_on)
    own: npt.NDArray[np.int64] | None = None
    if unseen:
        known = see(backbone, searched, side_px, advance=asked.advance)
        row = {photo: at for at, photo in enumerate(gallery)}
        own = np.array([row[photo] for photo in asked.queries], np.int64)
        asking = Seen(known.unit[own], known.plain[own])
    else:
        known = learnt
        asking = see(backbone, queries, side_px, advance=asked.advance)
    scores = product_scores(asking.unit, known.unit, searched.labels, len(products), own=own)
    found = by_distance(
        asking,
        queries.labels,
        known,
        searched.labels,
        own=own,
        whitening=_whitening(learnt.unit, trained_on.labels),
    )
    return _Answers(
        class_ranks(scores, queries.labels),
        [products[at] for at in scores.argmax(1)],
        asking.unit if asked.embedding else None,
        retrieval_figures(found, [code for code, _ in asked.queries]),
    )


# -- distances -------------------------------------------------------------------------------------


def by_distance(
    queries: Seen,
    query_labels: npt.NDArray[Any],
    gallery: Seen,
    gallery_labels: npt.NDArray[Any],
    *,
    own: npt.NDArray[np.int64] | None = None,
    whitening: WithinClassWhitening | None = None,
) -> dict[Distance, Retrieval]:
    """Search by each distance: which photo is nearest depends on it.

    Cosine is what Satchel searches by. Euclidean takes the vectors as the network gives them, for
    at length 1 it ranks as cosine does. Mahalanobis takes them at length 1, whitened.

    Args:
        queries, gallery: of n and g photos.
        query_labels, gallery_labels: shapes (n,) and (g,).
        own: shape (n,): see `satchel.evaluate.metrics.retrieval`.
        whitening: fitted to photos that are no queries; None: without Mahalanobis.
    """
    found: dict[Distance, Retrieval] = {
        "cosine": retrieval(queries.unit, query_labels, gallery.unit, gallery_labels, own=own),
        "euclidean": retrieval(
            queries.plain, query_labels, gallery.plain, gallery_labels, own=own, metric="euclidean"
        ),
    }
    if whitening is not None:
        found["mahalanobis"] = retrieval(
            whitening.apply(queries.unit).astype(np.float32),
            query_labels,
            whitening.apply(gallery.unit).astype(np.float32),
            gallery_labels,
            own=own,
            metric="euclidean",
        )
    return found


def _whitening(vectors: Floats, labels: npt.NDArray[np.int64]) -> WithinClassWhitening | None:
    try:
        return WithinClassWhitening.fit(vectors, labels)
    except ValueError:  # every product has one photo: nothing tells how photos of one differ
        return None


def retrieval_figures(
    found: Mapping[Distance, Retrieval], codes: Sequence[str]
) -> tuple[Figure, ...]:
    """Figures of a search by photo, with intervals over products.

    Those of the cosine have the plain names; those of other distances name them.

    Args:
        codes: for each query what it shows.
    """
    cosine = found["cosine"]
    figures = [
        _mean("Recall@1, by photo", hits(cosine.first_rank, 1), cosine, codes),
        _mean("Recall@5, by photo", hits(cosine.first_rank, 5), cosine, codes),
        _mean("MAP@R", cosine.average_precision, cosine, codes),
        _mean("R-precision", cosine.precision_at_r, cosine, codes),
    ]
    for distance, other in found.items():
        if distance != "cosine":
            name = distance.capitalize()
            figures += [
                _mean(f"Recall@1, {name}", hits(other.first_rank, 1), other, codes),
                _mean(f"MAP@R, {name}", other.average_precision, other, codes),
            ]
    return tuple(figures)


def _mean(name: str, values: npt.NDArray[Any], found: Retrieval, codes: Sequence[str]) -> Figure:
    """The mean over those queries that can be answered at all."""
    able = found.relevant > 0
    if not able.any():
        return Figure(name, 0.0, queries=0)
    return Figure.of(name, interval(values[able], np.array(codes)[able]))


def product_scores(
    queries: Floats,
    gallery: Floats,
    labels: npt.NDArray[np.int64],
    products: int,
    *,
    own: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Score of every product for every query, as `satchel.search.ranking` has it at first.

    Without the closer look that identification takes at the first candidates: rivals and parts.

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


def _write_look(split: Path, model: str, part: str) -> int:
    """Write down that a part was looked at; return how often it now has been, by any model."""
    path = split.with_suffix(".looks.jsonl")
    told = {"part": part, "run": model, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    return sum(_told_of(line, part) for line in path.read_bytes().splitlines())


def _told_of(line: bytes, part: str) -> bool:
    """Whether a line says that this part was looked at; a damaged one counts, to be safe."""
    try:
        return bool(json.loads(line)["part"] == part)
    except (ValueError, TypeError, LookupError):
        return True


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
