"""Rankings of single items, as tests need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satchel.confidence.model import Rankings


def ranking_of_one(
    scores: Sequence[float],
    photos: int,
    evidence: Sequence[tuple[float | None, float | None]] = (),
) -> Rankings:
    """The ranking of one item: scores of its products, best first, and evidence if known."""
    known = np.array(evidence or [(None, None)] * len(scores), np.float64)
    return Rankings(np.array([scores], np.float64), np.array([photos]), known[None])
