"""Fitting and measuring confidences, so that what is called 80 % sure is right 8 times in 10.

Everything here is arithmetic on scores and outcomes; where they come from is for the callers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.confidence.model import (
    FURTHEST,
    Floats,
    Rankings,
    choice_features,
    choice_shares,
    likely_counts,
    presence,
    presence_features,
    shares,
)
from satchel.encode.card import Confidence
from satchel.evaluate.metrics import ConfidenceBin
from satchel.search.index import GalleryIndex
from satchel.search.ranking import RankedProduct

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

ABSENT_SHARE: Final = 0.33
PRECISION: Final = 0.95
COVERAGE: Final = 0.90
SPARED: Final = 0.95
"""Share of the items in the catalogue that "not in the catalogue" may not touch."""

SURE: Final = 0.95
"""One-sided level of the bound that a precision is held against."""

FEWEST_QUERIES: Final = 20
"""Photos of known products that a confidence can be fitted on, at least."""

FEWEST_SAID: Final = 20
"""Answers that "identified" must be based on, at least."""

NOT_THERE: Final = -1
"""Stands for the product of an item that is not in the catalogue."""

NEVER_REACHED: Final = 2.0
"""Above every sum of shares."""

FOLDS: Final = 5
TRUST: Final = 1.0
"""Weight of the weights one starts from: as if they had been seen in about so many items."""

LEAST_TRUST: Final = 1e-3

PRESENCE: Final = 7
"""Weights of the first model, see `presence_features`."""


# -- outcomes ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Rankings of items whose right product is known.

    Attributes:
        ranked: of n items.
        place: shape (n,), int64, of the right product among the ranked, from 0; -1 where it is
            not among them.
        known: shape (n,), whether the right product is in the catalogue.
        group: shape (n,), int64: items of one group (a product) are never parted.
        weight: shape (n,), > 0, how often an item counts.
    """

    ranked: Rankings
    place: Ints
    known: Bools
    group: Ints
    weight: Floats

    def __len__(self) -> int:
        return len(self.place)

    def rows(self, chosen: npt.NDArray[np.int64] | Bools) -> Outcomes:
        """Some of the items."""
        return Outcomes(
            self.ranked.rows(chosen),
            self.place[chosen],
            self.known[chosen],
            self.group[chosen],
            self.weight[chosen],
        )


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Put outcomes of several catalogues together; groups of different parts stay apart."""
    widest = max(part.ranked.scores.shape[1] for part in parts)
    offsets = np.cumsum([0, *(int(part.group.max(initial=0)) + 1 for part in parts)])
    return Outcomes(
        Rankings(
            np.concatenate([_padded(part.ranked.scores, widest, FURTHEST) for part in parts]),
            np.concatenate([part.ranked.photos for part in parts]),
            np.concatenate([_padded(part.ranked.evidence, widest, np.nan) for part in parts]),
        ),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([p.group + offset for p, offset in zip(parts, offsets, strict=False)]),
        np.concatenate([part.weight for part in parts]),
    )


def paired_outcomes(
    there: Rankings,
    places: Ints,
    without: Rankings,
    right: Ints,
    *,
    absent_share: float = ABSENT_SHARE,
) -> Outcomes:
    """Take each query twice: as it is ranked, and as it is ranked with its product passed over.

    So each query stands for an item that is in the catalogue and for one that is not, and the two
    differ in nothing else. One without a right product stands for the second kind alone.

    Args:
        there: of n queries.
        places: shape (n,), of the right product in them, from 0; -1 where it is not among them.
        without: of the same queries, the right product being passed over.
        right: shape (n,), id of the right product; `NOT_THERE` for an item that is not in the
            catalogue.
        absent_share: share of the weight that goes to the second kind.

    Raises:
        ValueError: no query, or shapes disagree.
    """
    counts = {len(there.scores), len(places), len(without.scores), len(right)}
    if len(counts) > 1 or not len(right):
        raise ValueError(f"expected two rankings of some queries, got {sorted(counts)} of them")
    known, count = right != NOT_THERE, len(right)
    group = np.where(known, right, right.max() + 1 + np.arange(count))
    parts = [
        Outcomes(there, places, known, group, np.full(count, 1 - absent_share)).rows(known),
        Outcomes(
            without,
            np.full(count, -1),
            np.zeros(count, np.bool_),
            group,
            np.full(count, absent_share),
        ),
    ]
    return replace(joined(parts), group=np.concatenate([part.group for part in parts]))


@dataclass(frozen=True, slots=True)
class Asked:
    """A query's ranking, and the one that it has where its product is passed over.

    Attributes:
        right: id of its product; `NOT_THERE` for an item that is not in the catalogue.
    """

    right: int
    there: Sequence[RankedProduct]
    without: Sequence[RankedProduct]

    @property
    def place(self) -> int:
        """Of the right product, from 0; -1 where it is not among those ranked."""
        products = [one.product for one in self.there]
        return products.index(self.right) if self.right in products else -1


def ask(rank: Callable[[int | None], Sequence[RankedProduct]], right: int) -> Asked:
    """Rank a query, once more without its product.

    Args:
        rank: gives at least one product, and `POOL` at most; told the id that is passed over.
        right: see `Asked`.
    """
    there = rank(None)
    return Asked(right, there, there if right == NOT_THERE else rank(right))


def outcomes_of(
    index: GalleryIndex, asked: Sequence[Asked], *, absent_share: float = ABSENT_SHARE
) -> Outcomes:
    """What came of queries; see `paired_outcomes`."""
    return paired_outcomes(
        Rankings.of_many(index, [one.there for one in asked]),
        np.array([one.place for one in asked]),
        Rankings.of_many(index, [one.without for one in asked]),
        np.array([one.right for one in asked]),
        absent_share=absent_share,
    )


def _padded(of_products: Floats, width: int, value: float) -> Floats:
    more = [(0, 0), (0, width - of_products.shape[1]), (0, 0)][: of_products.ndim]
    return np.pad(of_products, more, constant_values=value)


# -- fitting -----------------------------------------------------------------------------------


def fit_choices(
    features: Floats,
    possible: Bools,
    chosen: Ints,
    weight: Floats,
    start: Floats,
    *,
    trust: float,
) -> Floats:
    """Fit a conditional logit by Newton's method; the loss is convex.

    Minimises Σ weight × −ln P(chosen) + trust / 2 × |w − start|², P being `choice_shares`: the
    mode of the posterior under a normal prior around `start`, so that few items change little and
    many have their way.

    Args:
        features: shape (n, choices, p).
        possible: shape (n, choices), which choices there are.
        chosen: shape (n,), which of them came true.
        weight: shape (n,).
        start: shape (p,).
        trust: > 0.

    Returns:
        w, shape (p,).
    """
    rows, size = np.arange(len(chosen)), features.shape[2]

    def loss(w: Floats) -> float:
        logits = np.where(possible, features @ w, -np.inf)
        highest = logits.max(1)
        sums = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
        return float(weight @ (sums - logits[rows, chosen]) + trust / 2 * ((w - start) ** 2).sum())

    w, now, before = start.astype(np.float64), loss(start), np.inf
    while before - now > 1e-9 * (1 + abs(now)):
        probability = choice_shares(features, possible, w)
        mean = np.einsum("nc,ncp->np", probability, features)
        gradient = weight @ (mean - features[rows, chosen]) + trust * (w - start)
        spread = (features * (probability * weight[:, None])[:, :, None]).reshape(-1, size)
        curvature = spread.T @ features.reshape(-1, size) - (mean * weight[:, None]).T @ mean
        step = np.linalg.solve(curvature + trust * np.eye(size), gradient)
        while (after := loss(w - step)) > now and np.abs(step).max() > 1e-9:
            step = step / 2
        if after >= now:
            break
        w, now, before = w - step, after, now
    return w


def fit_confidence(
    outcomes: Outcomes,
    start: Confidence | None,
    measured_on: str,
    *,
    absent_share: float = ABSENT_SHARE,
    precision: float = PRECISION,
    coverage: float = COVERAGE,
) -> tuple[Confidence, Measured]:
    """Fit the weights and choose the thresholds; measure both on items that were left out.

    Thresholds and figures come from predictions for each fifth of the products by weights that
    were fitted on the other four fifths; the weights that are returned are of all.

    Args:
        outcomes: with absent items among them.
        start: weights to stay near to where items are few; None for none.
        absent_share: share of the outcomes' weight that is of absent items.

    Returns:
        the confidence, and how it did on what was left out.
    """
    fold = _folds(outcomes.group)
    held_presence = np.empty(len(outcomes))
    held_shares = np.empty(outcomes.ranked.scores.shape)
    shell = _unfitted(start).model_copy(
        update={
            "absent_share": absent_share,
            "precision": precision,
            "coverage": coverage,
            "queries": int(outcomes.known.sum()),
            "measured_on": measured_on,
        }
    )
    for number in np.unique(fold):
        part, rest = outcomes.rows(fold == number), outcomes.rows(fold != number)
        fitted = _weights(rest if len(rest) else part, shell, start is not None)
        held_presence[fold == number] = presence(fitted, part.ranked)
        held_shares[fold == number] = shares(fitted, part.ranked)
    sure, right = held_presence * held_shares[:, 0], outcomes.place == 0
    known = outcomes.known
    final = _weights(outcomes, shell, start is not None).model_copy(
        update={
            "identified_at": threshold_of_precision(
                sure, right, precision, outcomes.weight, outcomes.group
            ),
            "absent_at": round(float(np.quantile(held_presence[known], 1 - SPARED)), 4),
            "likely_at": conformal_sum(held_shares[known], outcomes.place[known], coverage),
        }
    )
    return final, measure(final, outcomes, held_presence, held_shares)


def _unfitted(start: Confidence | None) -> Confidence:
    """The weights to start from, with thresholds that nothing reaches."""
    return Confidence(
        presence=start.presence if start else (0.0,) * PRESENCE,
        sharpness=start.sharpness if start else (1.0, 0.0, 0.0),
        further=start.further if start else (-3.0, 0.0),
        absent_share=ABSENT_SHARE,
        precision=PRECISION,
        coverage=COVERAGE,
        identified_at=1.0,
        absent_at=0.0,
        likely_at=NEVER_REACHED,
        queries=0,
        measured_on="",
    )


def _weights(outcomes: Outcomes, start: Confidence, trusted: bool) -> Confidence:
    """Fit both models; `trusted`: stay near the weights of `start`."""
    trust = TRUST if trusted else LEAST_TRUST
    about = presence_features(outcomes.ranked)
    found = fit_choices(
        np.stack([np.zeros_like(about), about], axis=1),
        np.ones((len(about), 2), np.bool_),
        outcomes.known.astype(np.int64),
        outcomes.weight,
        np.array(start.presence),
        trust=trust,
    )
    known = outcomes.rows(outcomes.known)
    features, possible = choice_features(known.ranked)
    at = np.where(known.place >= 0, known.place, features.shape[1] - 1)
    choice = fit_choices(
        features,
        possible,
        at,
        known.weight,
        np.array([*start.sharpness, *start.further]),
        trust=trust,
    )
    rounded = [round(float(weight), 4) for weight in (*found, *choice)]
    return start.model_copy(
        update={
            "presence": tuple(rounded[:PRESENCE]),
            "sharpness": tuple(max(0.0, weight) for weight in rounded[PRESENCE : PRESENCE + 3]),
            "further": tuple(rounded[PRESENCE + 3 :]),
        }
    )


def _folds(group: Ints) -> Ints:
    """Number of the part that each item is left out with; groups stay together."""
    _, number = np.unique(group, return_inverse=True)
    order = np.random.default_rng(0).permutation(int(number.max()) + 1)
    folds: Ints = order[number] % FOLDS
    return folds


# -- thresholds --------------------------------------------------------------------------------


def wilson_lower_bound(share: float, count: float, *, level: float = SURE) -> float:
    """Lower end of the one-sided interval of a share that was seen in `count` trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927;
    closer to its level than Wald's for shares near 1 (Brown, Cai and DasGupta, 2001).

    Returns:
        in [0, share].
    """
    z = NormalDist().inv_cdf(level)
    middle = share + z * z / (2 * count)
    width = z * math.sqrt((share * (1 - share) + z * z / (4 * count)) / count)
    return max(0.0, (middle - width) / (1 + z * z / count))


def threshold_of_precision(
    confidence: Floats,
    right: Bools,
    precision: float,
    weight: Floats | None = None,
    group: Ints | None = None,
) -> float:
    """Return the least confidence from which answers are right often enough, for certain.

    For certain: the lower bound of their share, not the share, is `precision` or more. Weighted
    answers count as (Σw)² / Σw²; and where photos of one product are right or wrong together, more
    than their confidence says, as fewer: as (Σw)² / ((1 - ρ) Σw² + ρ ΣW²), W being a group's sum
    and ρ its correlation (Kish, "Survey Sampling", 1965, on design effects).

    Args:
        confidence: shape (n,), in [0, 1].
        right: shape (n,).
        weight: shape (n,), default 1 each.
        group: shape (n,), default each its own.

    Returns:
        in [0, 1]; 1 where no confidence is good enough, or fewer than `FEWEST_SAID` answers are.
    """
    weights = np.ones(len(right)) if weight is None else weight
    order = np.argsort(-confidence, kind="stable")
    total = np.cumsum(weights[order])
    spread = np.cumsum(weights[order] ** 2)
    if group is not None:
        alike = correlation_in_groups(right - confidence, weights, group)
        together = np.cumsum(_grown_squares(weights[order], group[order]))
        spread = (1 - alike) * spread + alike * together
    effective = total**2 / spread
    share = np.cumsum(weights[order] * right[order]) / total
    ends = np.flatnonzero(np.r_[np.diff(confidence[order]) != 0, True])  # ties stay together
    good = [
        confidence[order[end]]
        for end in ends
        if effective[end] >= FEWEST_SAID
        and wilson_lower_bound(float(share[end]), float(effective[end])) >= precision
    ]
    return min(1.0, float(np.floor(min(good) * 1e4) / 1e4)) if good else 1.0


def correlation_in_groups(errors: Floats, weight: Floats, group: Ints) -> float:
    """How much errors of one group are alike: mean product of two, by mean square; in [0, 1].

    Args:
        errors: shape (n,), of mean 0 or nearly.
        weight, group: shape (n,).
    """
    _, number = np.unique(group, return_inverse=True)

    def pairs(values: Floats) -> float:
        """Sum of the products of two different members of a group."""
        sums = np.bincount(number, values)
        return float((sums**2).sum() - (values**2).sum())

    square = float(np.average(errors**2, weights=weight)) if len(errors) else 0.0
    most = pairs(weight) * square
    return float(np.clip(pairs(weight * errors) / most, 0, 1)) if most > 0 else 0.0


def _grown_squares(weight: Floats, group: Ints) -> Floats:
    """How much the sum of the groups' squared weights grows with each item, one after the other."""
    by_group = np.argsort(group, kind="stable")
    ordered = weight[by_group]
    sums = np.cumsum(ordered)
    first = np.r_[True, np.diff(group[by_group]) != 0]
    started = np.maximum.accumulate(np.where(first, sums - ordered, 0.0))  # before the group
    before = np.empty(len(weight))
    before[by_group] = sums - ordered - started
    grown: Floats = weight * (weight + 2 * before)
    return grown


def conformal_sum(conditional: Floats, place: Ints, coverage: float) -> float:
    """Return the sum of shares from which the first products hold the right one often enough.

    Split conformal prediction: of n items, the ⌈(n + 1) × coverage⌉-th smallest of the sums that
    just reach the right product. An item exchangeable with these is covered with that probability
    at least, whatever the shares are worth (Vovk, Gammerman and Shafer, "Algorithmic learning in
    a random world", 2005; Angelopoulos and Bates, "A gentle introduction to conformal
    prediction", 2023, theorem 1).

    Args:
        conditional: shape (n, k), shares of the products, descending.
        place: shape (n,), of the right product; -1 where it is not among them.

    Returns:
        in [0, 1]; 2, which no sum reaches, where the ranked products are not enough or the items
        too few.
    """
    if not len(place):
        return NEVER_REACHED
    sums = np.cumsum(conditional, axis=1)[np.arange(len(place)), np.maximum(place, 0)]
    sums[place < 0] = NEVER_REACHED
    rank = int(np.ceil((len(place) + 1) * coverage - 1e-9))
    return float(np.sort(sums)[rank - 1]) if rank <= len(place) else NEVER_REACHED


# -- figures -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """How confidences did on items whose right product is known; shares in [0, 1].

    Attributes:
        queries: items, those taken out of the catalogue not counted.
        right: share whose first candidate is right, of those in the catalogue.
        calibration_error: of the first candidate's confidence, absent items included.
        auroc: of "in the catalogue".
        false_positive_rate: share of absent items that pass where 95 % of the others do.
        identified: share of all items that are called identified.
        right_when_identified: None where there are none.
        absent_caught: share of absent items that are called absent.
        covered: share of items in the catalogue whose code is among the likely ones.
        likely: how many those are, the median; `ranked` + 1 where all that were ranked may not do.
        ranked: products that were ranked for each item.
        bins: for a reliability diagram.
    """

    queries: int
    right: float
    calibration_error: float
    auroc: float
    false_positive_rate: float
    identified: float
    right_when_identified: float | None
    absent_caught: float
    covered: float
    likely: float
    ranked: int
    bins: tuple[ConfidenceBin, ...]


def measure(
    confidence: Confidence, outcomes: Outcomes, found: Floats, conditional: Floats
) -> Measured:
    """Hold predictions against outcomes.

    Args:
        confidence: whose thresholds count.
        found: shape (n,), chance of being in the catalogue.
        conditional: shape (n, k), shares of the products.
    """
    known, weight = outcomes.known, outcomes.weight
    sure, right = found * conditional[:, 0], outcomes.place == 0
    said = (sure >= confidence.identified_at) & (found >= confidence.absent_at)
    absent = found < confidence.absent_at
    likely = likely_counts(confidence, conditional)
    covered = (outcomes.place >= 0) & (outcomes.place < likely) | (likely > conditional.shape[1])
    bins, error = reliability_by_count(sure, right, weight)

    def share(of: Bools, among: Bools) -> float:
        return float(weight[of & among].sum() / weight[among].sum()) if among.any() else 0.0

    return Measured(
        int(known.sum()),
        share(right, known),
        error,
        area_under_roc(found, known),
        false_positive_rate(found, known),
        share(said, np.ones_like(known)),
        share(right, said) if said.any() else None,
        share(absent, ~known),
        share(covered, known),
        float(np.median(likely[known])),
        conditional.shape[1],
        bins,
    )


def reliability_by_count(
    confidence: Floats, right: Bools, weight: Floats | None = None, *, bins: int = 10
) -> tuple[tuple[ConfidenceBin, ...], float]:
    """Hold confidences against what came of them, in bins of equally many items.

    Bins of equal width, as in `metrics.reliability`, leave most items in one bin where confidences
    are alike; of equal mass they are estimated equally well (Nguyen and O'Connor, "Posterior
    calibration and exploratory analysis", EMNLP 2015).

    Args:
        confidence: shape (n,), in [0, 1], n ≥ 1.
        right: shape (n,).
        weight: shape (n,), default 1 each.

    Returns:
        The bins, ascending, and the expected calibration error: the weighted mean of
        |confidence − accuracy| over the bins.
    """
    weights = np.ones(len(right)) if weight is None else weight
    order = np.argsort(confidence, kind="stable")
    found, error = [], 0.0
    for part in np.array_split(order, min(bins, len(order))):
        share = weights[part] / weights[part].sum()
        mean, accuracy = float(share @ confidence[part]), float(share @ right[part])
        found.append(ConfidenceBin(mean, accuracy, len(part)))
        error += abs(mean - accuracy) * float(weights[part].sum() / weights.sum())
    return tuple(found), error


def area_under_roc(scores: Floats, positive: Bools) -> float:
    """Probability that a positive scores above a negative, ties by half (Mann-Whitney's U).

    Returns:
        in [0, 1]; 0.5 where one of the two is missing.
    """
    count = int(positive.sum())
    if count in (0, len(positive)):
        return 0.5
    _, number, times = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    rank = (last - (times - 1) / 2)[number]
    below = rank[positive].sum() - count * (count + 1) / 2
    return float(below / (count * (len(positive) - count)))


def false_positive_rate(scores: Floats, positive: Bools, *, kept: float = 0.95) -> float:
    """Share of negatives at or above the score that `kept` of the positives reach.

    Returns:
        in [0, 1]; 1 where positives or negatives are missing.
    """
    if positive.all() or not positive.any():
        return 1.0
    ordered = np.sort(scores[positive])
    least = ordered[int(np.floor((1 - kept) * len(ordered) + 1e-9))]
    return float((scores[~positive] >= least).mean())
