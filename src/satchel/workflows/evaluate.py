"""`satchel evaluate RUN`: rank held-out photos as identification does, and write a report.

What is evaluated is the exported ONNX file, under the workspace's search rules: see
`satchel.evaluate.offline`. A test part measures generalisation only once: selecting models on it
overfits to it. So every evaluation is logged next to the split, and the report counts them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.evaluate.ranks import TOP, by_group, class_ranks
from satchel.evaluate.report import (
    SOFTMAX_TOP,
    DataFacts,
    EvaluationReport,
    Figure,
    Training,
    accuracy_figures,
)
from satchel.progress import SILENT, Progress, Uncounted
from satchel.served import load_locator, space_of
from satchel.train.backbones import Backbone
from satchel.train.classifier import load_classifier, predict
from satchel.train.encoder import NetworkEmbeddings, load_encoder, network_embeddings
from satchel.train.retrieval_figures import by_distance, fitted_whitening, retrieval_figures
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.evaluation_report import (
    confusion_rows,
    evaluation_notes,
    map_facts,
    training_curves,
)
from satchel.workflows.export import untrained_encoder
from satchel.workflows.promote import exported_model
from satchel.workflows.split import workspace_photos
from satchel.workflows.split_ranking import SplitPart, rank_part
from satchel.workspace import Workspace

Further = Callable[[SplitPart], tuple[Figure, ...]]
"""Figures of a model in addition to those of its ranking."""


def evaluate_run(
    workspace: Workspace,
    run: Run,
    *,
    part: str = "test",
    progress: Progress = SILENT,
    embedding: bool = True,
) -> EvaluationReport:
    """Evaluate a run on a part of its split; its network is exported, if it is not yet.

    Args:
        embedding: draw the map of the embedding too.

    Raises:
        UsageError: run, split or photos are not what they were when it was trained; its ONNX file
            does not agree with the network; or the run adapted an encoder, which is validated on
            synthetic photos alone.
    """
    record = run.read()
    if record.adapts:
        raise UsageError(
            f"{run.name} adapted an encoder: its validation is in {run.folder}/outcome.json; "
            "promote it and try your own photos with `satchel identify`"
        )

    def further(queries: SplitPart) -> tuple[Figure, ...]:
        if record.kind == "classifier":
            return _softmax_figures(run, queries)
        backbone, settings = load_encoder(run)
        return _distance_figures(backbone, settings.side_px, queries, progress)

    encoder = Encoder.load(exported_model(workspace, run), threads=1)
    about = {
        "kind": record.kind,
        "backbone": str(record.settings["backbone"]),
        "model file": encoder.card.name,
        "revision": record.revision,
        "machine": f"{record.machine['cores']} cores, GPU: {record.machine['gpu']}",
        "trained for": f"{record.seconds / 60:.1f} min, {record.epochs:g} epochs, "
        f"{record.precision or record.settings['precision']}",
    }
    return _evaluate(
        _part(workspace, record.split, part),
        record.split,
        run.name,
        encoder,
        further,
        about=about,
        progress=progress,
        training=training_curves(run),
        embedding=embedding,
    )


def evaluate_untrained(
    workspace: Workspace,
    split: str,
    backbone: Backbone,
    *,
    side_px: int,
    part: str = "test",
    progress: Progress = SILENT,
) -> EvaluationReport:
    """Evaluate a pretrained backbone as an encoder: the zero-shot baseline of training."""
    return _evaluate(
        _part(workspace, split, part),
        split,
        f"{backbone.name}, untrained",
        untrained_encoder(backbone, side_px),
        lambda queries: _distance_figures(backbone, side_px, queries, progress),
        about={"kind": "encoder", "backbone": backbone.name, "weights": backbone.weights},
        progress=progress,
    )


def _part(workspace: Workspace, split: str, part: str) -> SplitPart:
    loaded = Split.load(workspace.split_path(split))
    return SplitPart(workspace, loaded, workspace_photos(workspace), part)


def _evaluate(
    part: SplitPart,
    split_name: str,
    model: str,
    encoder: Encoder,
    further: Further,
    *,
    about: Mapping[str, str],
    progress: Progress,
    training: Training | None = None,
    embedding: bool = False,
) -> EvaluationReport:
    split, queries = part.split, part.queries
    left_out = len(split.part(part.name)) - len(queries)
    if not queries:
        raise UsageError(
            f"no photo of the part {part.name} of the split {split_name} has another photo of its "
            "product to match; make a split of products with more photos, "
            "`satchel split NAME --fewest 3`"
        )
    progress.begin("evaluate", len(queries))
    fit = space_of(part.workspace, encoder.card).fit
    embedder = Embedder(encoder, load_locator(part.workspace), fit)
    ranked = rank_part(part, embedder, progress=progress, keep_vectors=embedding)
    more = further(part)
    evaluations = _log(part.workspace.split_path(split_name), model, part.name)
    codes = [code for code, _ in queries]
    figures, line = accuracy_figures(ranked.ranks, codes)
    known = {(photo.code, photo.sha256): photo for photo in part.kept}
    kinds = [known[name].category for name in queries]
    return EvaluationReport(
        title=f"{model} on {part.name}",
        data=DataFacts(
            split_name,
            split.hash,
            {
                "products": len(set(codes)),
                "training photos": len(split.train),
                "queries": len(queries),
                **({"photos left out": left_out} if left_out else {}),
            },
        ),
        about={**about, "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")},
        notes=evaluation_notes(evaluations, left_out),
        figures=(*figures, *more),
        top_k=(line,),
        training=training,
        categories=tuple(by_group(ranked.ranks, kinds, clusters=codes)),
        products=tuple(by_group(ranked.ranks, codes)),
        confusions=confusion_rows(split, queries, ranked.first),
        embedding=map_facts(queries, known, ranked),
    )


def _softmax_figures(run: Run, part: SplitPart) -> tuple[Figure, ...]:
    """Top-k of the classifier's softmax head, which is not served."""
    model, products, settings = load_classifier(run)
    queries = part.photos(part.queries, products)
    scores = predict(model, queries, settings.side_px)
    ranks = class_ranks(scores, queries.labels)
    figures, _ = accuracy_figures(ranks, [code for code, _ in part.queries])
    return tuple(
        replace(figure, name=SOFTMAX_TOP.format(k)) for k, figure in zip(TOP, figures, strict=True)
    )


def _distance_figures(
    backbone: Backbone, side_px: int, part: SplitPart, progress: Progress
) -> tuple[Figure, ...]:
    """Retrieval figures of the network's embeddings by each distance."""

    def embedded(named: Sequence[Named]) -> NetworkEmbeddings:
        photos = part.photos(named)
        return network_embeddings(backbone, photos, side_px, progress=Uncounted(progress))

    labels = part.photos(part.queries).labels
    trained_on = part.photos(part.split.train, part.split.products())
    train = embedded(part.split.train)
    own, searched = part.own, part.photos(part.gallery).labels
    if own is None:
        gallery, queries = train, embedded(part.queries)
    else:
        gallery = embedded(part.gallery)
        queries = NetworkEmbeddings(gallery.unit[own], gallery.plain[own])
    whitening = fitted_whitening(train.unit, trained_on.labels)
    measured = by_distance(queries, labels, gallery, searched, own=own, whitening=whitening)
    return retrieval_figures(measured, [code for code, _ in part.queries])


def _log(split: Path, model: str, part: str) -> int:
    """Log an evaluation on a part; return how many there are now, of any model."""
    path = split.with_suffix(".evaluations.jsonl")
    entry = {"part": part, "run": model, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    return sum(_is_of(line, part) for line in path.read_bytes().splitlines())


def _is_of(line: bytes, part: str) -> bool:
    """Whether a log entry is of this part; a damaged one counts, to be safe."""
    try:
        return bool(json.loads(line)["part"] == part)
    except (ValueError, TypeError, LookupError):
        return True
