"""Outlier detection: photos that do not show their product, or show too little of it.

No photo is known to be right, so a product's photos are checked against each other. `classify`
compares each one with the others of its product and with the other products, combines the cosines
into one score by logistic regression, and repeats this with every photo weighted by how little its
first score speaks against it. Measurements and the origin of the weights:
docs/decisions/0008-garbage.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Floats
from satchel.curate.rules import GarbageRules
from satchel.encode.fit import to_standard

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

ROWS_AT_ONCE: Final = 2_048
"""Photos compared with all centres, or with the photos of their product, in one product of
matrices: with 20,000 products, 160 MB."""

ROUNDS: Final = 2
"""The second round finds 1 to 3 % more of the wrong photos than the first, a third no more."""


class State(StrEnum):
    """State of a photo of a product."""

    KEPT = "kept"
    DOUBTFUL = "doubtful"
    DROPPED = "dropped"


class Reason(StrEnum):
    """Why a photo is doubtful or dropped, compared with the other photos of the catalogue."""

    FAR_FROM_PRODUCT = "far_from_product"
    ISOLATED = "isolated"
    OTHER_PRODUCT = "other_product"
    PARTIAL_VIEW = "partial_view"
    OTHER_COLOURS = "other_colours"
    FEW_PHOTOS = "few_photos"


STATES: Final = tuple(State)
REASONS: Final = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Classification:
    """Scores, states and reasons of photos; every array has a row per photo.

    Attributes:
        states: int8, places in `STATES`.
        reasons: shape (n, len(REASONS)), bool; none for photos that are kept.
        score: float32; log-odds, see `GarbageRules`. -inf where a photo is its product's only one.
        centre: float32, cosine in [-1, 1] to the product's centre without the photo itself.
        level: float32, median of `centre` over the product's trusted photos.
        near: float32, mean cosine to the nearest photos of the product: the local density.
        other: float32, cosine to the nearest centre of another product; -1 where there is none.
        other_product: int64, the id of that product; -1 where there is none.
        enlarged: float32, how much more similar the whole photo is to crops of the product's
            photos than to the whole photos: above 0 it is likely to be a partial view. 0 where
            whole-photo vectors were not given.
        off_colour: float32, how much less similar its colours are to those of the product's
            other photos than is usual there: 0 is usual, 1 the most. 0 where its colours, or
            theirs, are not known.
        peers: int64, other trusted photos of the product.
    """

    states: npt.NDArray[np.int8]
    reasons: Bools
    score: Floats
    centre: Floats
    level: Floats
    near: Floats
    other: Floats
    other_product: Ids
    enlarged: Floats
    off_colour: Floats
    peers: Ids

    def state(self, row: int) -> State:
        """State of one photo."""
        return STATES[int(self.states[row])]

    def reasons_of(self, row: int) -> tuple[Reason, ...]:
        """Reasons of one photo, in the order of `Reason`."""
        return tuple(
            reason for reason, holds in zip(REASONS, self.reasons[row], strict=True) if holds
        )

    def margin(self) -> Floats:
        """Cosine to the product's own centre minus that to the nearest other one."""
        return self.centre - self.other


@dataclass(frozen=True, slots=True)
class _Photos:
    """The photos ordered by product: those of `ids[p]` are rows `starts[p]` to `starts[p + 1]`."""

    vectors: Vectors
    whole: Vectors | None
    colours: Vectors | None
    ids: Ids
    starts: Ids

    @property
    def owner(self) -> Ids:
        """Place in `ids` of each row's product; shape (n,)."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.starts))

    def groups(self) -> Iterator[slice]:
        """The rows of each product."""
        for first, end in zip(self.starts[:-1], self.starts[1:], strict=True):
            yield slice(int(first), int(end))


def classify(
    vectors: Vectors,
    products: Ids,
    *,
    whole: Vectors | None = None,
    colours: Vectors | None = None,
    rules: GarbageRules | None = None,
    scale: float = 1.0,
) -> Classification:
    """Classify every photo of every product as kept, doubtful or dropped.

    Args:
        vectors: shape (n, d), float32, of length 1: the photos' vectors, as `encode.embed` gives.
        products: shape (n,), int64, the product of each, in any order.
        whole: shape (n, d), float32, of length 1: the vectors of the whole photos, from the
            encoder's first pass. Partial views are hardly found without them.
        colours: shape (n, c), float32: histograms of their colours (`encode.colour`), of length
            1, or 0 where a photo's are not known.
        rules: weights and thresholds.
        scale: how many times the built-in encoder's distances those of the vectors are: all
            cosines of the figures are standard ones (`satchel.encode.fit`).

    Returns:
        a Classification in the photos' order. Memory beyond it and a copy of the vectors does not
        grow with n.
    """
    chosen = rules or GarbageRules()
    order = np.argsort(products, kind="stable")
    ids, starts = np.unique(products[order], return_index=True)
    photos = _Photos(
        np.ascontiguousarray(vectors[order]),
        None if whole is None else np.ascontiguousarray(whole[order]),
        None if colours is None else np.ascontiguousarray(colours[order]),
        ids,
        np.r_[starts, len(order)],
    )
    trust = np.ones(len(order), np.float32)
    for _ in range(ROUNDS):
        figures = _figures(photos, trust, chosen, scale)
        # Twice the log-odds: doubtful photos count little, but no photo is excluded for good.
        trust = (1 / (1 + np.exp(np.clip(2 * figures.score, -30, 30)))).astype(np.float32)
    classified = _decide(figures, chosen)
    back = np.argsort(order, kind="stable")
    return Classification(
        **{name: getattr(classified, name)[back] for name in Classification.__slots__}
    )


def _figures(photos: _Photos, trust: Floats, rules: GarbageRules, scale: float) -> Classification:
    """Compute all figures and the score with the photos weighted by `trust`; set no states."""
    n = len(trust)
    centre, level, near, enlarged, off = (np.zeros(n, np.float32) for _ in range(5))
    peers = np.zeros(n, np.int64)
    centres = np.zeros((len(photos.ids), photos.vectors.shape[1]), np.float32)
    for place, rows in enumerate(photos.groups()):
        own, given = photos.vectors[rows], _some_trust(trust[rows])
        centres[place] = _unit((given @ own)[None])[0]
        centre[rows] = to_standard(_without_itself(own, given), scale)
        level[rows] = _weighted_median(centre[rows], given)
        whole = own if photos.whole is None else photos.whole[rows]
        nearest, closer = _among_peers(own, whole, given, rules.neighbours)
        near[rows], enlarged[rows] = to_standard(nearest, scale), closer / scale
        if photos.colours is not None:
            off[rows] = _off_colour(photos.colours[rows], given)
        trusted = trust[rows] > 0.5
        peers[rows] = trusted.sum() - trusted
    other, place_of_other = _nearest_other(photos.vectors, photos.owner, centres)
    classified = Classification(
        states=np.zeros(n, np.int8),
        reasons=np.zeros((n, len(REASONS)), bool),
        score=np.zeros(n, np.float32),
        centre=centre,
        level=level,
        near=near,
        other=np.where(place_of_other < 0, other, to_standard(other, scale)),
        other_product=np.where(place_of_other < 0, -1, photos.ids[place_of_other]),
        enlarged=enlarged,
        off_colour=off,
        peers=peers,
    )
    score = np.sum(list(_terms(classified, rules).values()), axis=0) + rules.constant
    size = np.diff(photos.starts)
    classified.score[:] = np.where(np.repeat(size, size) > 1, score, -np.inf)
    return classified


def _some_trust(trust: Floats) -> Floats:
    """The trust in a product's photos; equal where the sum is less than one photo."""
    return trust if trust.sum() >= 1 else np.ones_like(trust)


def _unit(rows: Vectors) -> Vectors:
    """Scale rows to length 1; rows of length 0 stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = rows / np.maximum(length, 1e-9)
    return unit


def _without_itself(own: Vectors, trust: Floats) -> Floats:
    """Cosine of each photo to the centre of the product's others; 0 where there is no other."""
    others = trust @ own - trust[:, None] * own
    cosine: Floats = (_unit(others) * own).sum(1)
    return cosine


def _off_colour(colours: Vectors, trust: Floats) -> Floats:
    """How much less similar each photo's colours are to the product's other photos than usual.

    Args:
        colours: shape (k, c), float32, of length 1, or 0 where they are not known.
        trust: shape (k,), in [0, 1].

    Returns:
        shape (k,): the median of the cosines less each photo's own; 0 where nothing is known.
    """
    known = colours.any(1)
    likeness = _without_itself(colours, trust)
    usual = _weighted_median(likeness, trust * known)
    off: Floats = np.where(known, usual - likeness, 0).astype(np.float32)
    return off


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    up_to = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(up_to, up_to[-1] / 2)])


def _among_peers(
    own: Vectors, whole: Vectors, trust: Floats, neighbours: int
) -> tuple[Floats, Floats]:
    """Compare the photos of one product with each other.

    Args:
        own: shape (k, d), float32.
        whole: shape (k, d), float32.
        trust: shape (k,), in [0, 1]. Photos trusted by more than a half are peers; all are, where
            there are none but the photo itself.
        neighbours: how many peers count, the nearest.

    Returns:
        mean cosine to the nearest peers, shape (k,); and how much nearer the whole photo is to
        its peers' vectors, in which the object is enlarged, than to their whole photos', shape
        (k,). Both 0 for a single photo.
    """
    near, enlarged = np.zeros(len(own), np.float32), np.zeros(len(own), np.float32)
    trusted = trust > 0.5
    for first in range(0, len(own), ROWS_AT_ONCE):
        rows = np.arange(first, min(first + ROWS_AT_ONCE, len(own)))
        peer = np.broadcast_to(trusted, (len(rows), len(own))).copy()
        peer[np.arange(len(rows)), rows] = False
        alone = ~peer.any(1)
        peer[alone] = np.arange(len(own)) != rows[alone, None]
        near[rows] = _nearest_mean(own[rows] @ own.T, peer, neighbours)
        close = _nearest_mean(whole[rows] @ own.T, peer, neighbours)
        enlarged[rows] = close - _nearest_mean(whole[rows] @ whole.T, peer, neighbours)
    return near, enlarged


def _nearest_mean(cosines: Floats, peer: Bools, neighbours: int) -> Floats:
    """Mean of the `neighbours` greatest cosines to peers, or of as many as there are; 0 of none."""
    k = min(neighbours, cosines.shape[1])
    masked = np.where(peer, cosines, -np.inf)
    best = -np.partition(-masked, k - 1, axis=1)[:, :k]
    exists = np.isfinite(best)
    total = np.where(exists, best, 0).sum(1)
    mean: Floats = (total / np.maximum(exists.sum(1), 1)).astype(np.float32)
    return mean


def _nearest_other(vectors: Vectors, owner: Ids, centres: Vectors) -> tuple[Floats, Ids]:
    """Return the cosine to the nearest centre of another product and its place; -1, -1 if none."""
    cosine, place = np.full(len(owner), -1, np.float32), np.full(len(owner), -1, np.int64)
    if len(centres) < 2:
        return cosine, place
    for first in range(0, len(owner), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        cosines = vectors[rows] @ centres.T
        cosines[np.arange(len(cosines)), owner[rows]] = -np.inf
        place[rows] = cosines.argmax(1)
        cosine[rows] = cosines.max(1)
    return cosine, place


def _terms(classified: Classification, rules: GarbageRules) -> dict[Reason, Floats]:
    """Contribution of each figure to the score, in log-odds, by its reason."""
    terms = {
        Reason.FAR_FROM_PRODUCT: rules.centre * classified.centre + rules.level * classified.level,
        Reason.ISOLATED: rules.near * classified.near,
        Reason.OTHER_PRODUCT: rules.other * classified.other,
        Reason.PARTIAL_VIEW: rules.enlarged * classified.enlarged,
        Reason.OTHER_COLOURS: rules.off_colour * classified.off_colour,
    }
    return {reason: term.astype(np.float32) for reason, term in terms.items()}


def _decide(classified: Classification, rules: GarbageRules) -> Classification:
    """Fill in states and reasons."""
    few = classified.peers < rules.trusted_peers
    doubtful = classified.score >= rules.doubtful_at
    dropped = (classified.score >= rules.dropped_at) & ~few
    classified.states[:] = np.where(dropped, 2, np.where(doubtful, 1, 0))
    terms = _terms(classified, rules)
    usual = [np.median(term) if len(term) else 0 for term in terms.values()]
    added = np.stack(list(terms.values()), axis=1) - np.array(usual)
    # The largest figure is always a reason, so that no state is without one.
    speaks = (added >= rules.reason_at) | (added == added.max(1, keepdims=True))
    holds = dict(zip(terms, speaks.T, strict=True))
    # Being nearer to another product is always a reason: it names what the photo may show.
    holds[Reason.OTHER_PRODUCT] |= classified.margin() < 0
    holds[Reason.FEW_PHOTOS] = few & (classified.score >= rules.dropped_at)
    for column, reason in enumerate(REASONS):
        classified.reasons[:, column] = holds[reason] & doubtful
    return classified
