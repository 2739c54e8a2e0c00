"""Rankings made by hand or drawn, as tests need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satchel.confidence.features import NO_SCORE, Rankings
from satchel.confidence.outcomes import Outcomes, paired_outcomes
from satchel.search.ranking import POOL


def ranking_of_one(
    scores: Sequence[float],
    photos: int,
    evidence: Sequence[tuple[float | None, float | None]] = (),
) -> Rankings:
    """The ranking of one item: scores of its products, best first, and evidence if known."""
    known = np.array(evidence or [(None, None)] * len(scores), np.float64)
    return Rankings(np.array([scores], np.float64), np.array([photos]), known[None])


def drawn_scores(
    seed: int, queries: int, products: int = 30, noise: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose right product is ahead by a little, and by how much is chance."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, products, queries)
    scores = rng.normal(0.5, noise, (queries, products))
    scores[np.arange(queries), right] += rng.exponential(0.1, queries)
    return scores, right


def outcomes_from_scores(
    scores: np.ndarray,
    right: np.ndarray,
    photos: np.ndarray | None = None,
    *,
    absent_share: float = 0.33,
) -> Outcomes:
    """Rank each query with and without its right product, from a table of all scores."""
    table = np.asarray(scores, np.float64)
    counts = np.ones(table.shape[1], np.int64) if photos is None else photos
    of_right = np.arange(table.shape[1]) == right[:, None]
    there, order = _sorted(table, counts)
    without, _ = _sorted(np.where(of_right, NO_SCORE, table), counts)
    found = order == right[:, None]
    places = np.where(found.any(1), found.argmax(1), -1)
    return paired_outcomes(there, places, without, right, absent_share=absent_share)


def _sorted(table: np.ndarray, photos: np.ndarray) -> tuple[Rankings, np.ndarray]:
    """The first `POOL` products of each row, best first, and their columns."""
    order = np.argsort(-table, axis=1, kind="stable")[:, :POOL]
    scores = np.take_along_axis(table, order, 1)
    evidence = np.full((*scores.shape, 2), np.nan)
    return Rankings(scores, photos[order[:, 0]], evidence), order


# -- outcomes ----------------------------------------------------------------------------------
