"""Retrieval figures of plain embeddings by each distance: cosine, Euclidean, Mahalanobis.

They describe the embedding space alone: photos are searched one by one, without whitening by the
gallery, colours or re-ranking. What is served is evaluated by `satchel.evaluate.offline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from satchel.arrays import Floats, Ints
from satchel.evaluate.ranks import hits
from satchel.evaluate.report import Figure
from satchel.evaluate.retrieval import Retrieval, retrieval
from satchel.intervals import interval
from satchel.train.distances import Distance, WithinClassWhitening
from satchel.train.encoder import NetworkEmbeddings


def by_distance(
    queries: NetworkEmbeddings,
    query_labels: npt.NDArray[Any],
    gallery: NetworkEmbeddings,
    gallery_labels: npt.NDArray[Any],
    *,
    own: Ints | None = None,
    whitening: WithinClassWhitening | None = None,
) -> dict[Distance, Retrieval]:
    """Search by each distance, which decides which photo is nearest.

    Cosine and Mahalanobis compare vectors of length 1, Mahalanobis after whitening. Euclidean
    compares them as the network gives them: at length 1 it ranks as cosine does.

    Args:
        queries, gallery: of n and g photos.
        query_labels, gallery_labels: shapes (n,) and (g,).
        own: shape (n,): see `satchel.evaluate.retrieval.retrieval`.
        whitening: fitted to photos that are no queries; None leaves Mahalanobis out.
    """
    figures: dict[Distance, Retrieval] = {
        "cosine": retrieval(queries.unit, query_labels, gallery.unit, gallery_labels, own=own),
        "euclidean": retrieval(
            queries.plain, query_labels, gallery.plain, gallery_labels, own=own, metric="euclidean"
        ),
    }
    if whitening is not None:
        figures["mahalanobis"] = retrieval(
            whitening.apply(queries.unit).astype(np.float32),
            query_labels,
            whitening.apply(gallery.unit).astype(np.float32),
            gallery_labels,
            own=own,
            metric="euclidean",
        )
    return figures


def fitted_whitening(vectors: Floats, labels: Ints) -> WithinClassWhitening | None:
    """Whitening of residuals within products; None where every product has one photo."""
    try:
        return WithinClassWhitening.fit(vectors, labels)
    except ValueError:
        return None


def retrieval_figures(
    found: Mapping[Distance, Retrieval], codes: Sequence[str]
) -> tuple[Figure, ...]:
    """Figures of a search by photo, with intervals over products.

    Those of the cosine have the plain names; those of other distances name them.

    Args:
        codes: product of each query.
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
    """The mean over the queries that have a right photo in the gallery."""
    answerable = found.relevant > 0
    if not answerable.any():
        return Figure(name, 0.0, queries=0)
    return Figure.of(name, interval(values[answerable], np.array(codes)[answerable]))
