"""Calibration: fit confidences so that 8 in 10 answers with 80 % confidence are right."""

from __future__ import annotations

from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles, Ints
from satchel.confidence.features import choice_features, presence_features
from satchel.confidence.figures import Measured, measure
from satchel.confidence.model import choice_probabilities, conditional_probabilities, presence
from satchel.confidence.outcomes import ABSENT_SHARE, Outcomes
from satchel.confidence.thresholds import threshold_of_precision
from satchel.encode.card import Confidence

PRECISION: Final = 0.90
KEPT: Final = 0.95
"""Share of the items in the catalogue that must not be called "not in the catalogue"."""

FEWEST_QUERIES: Final = 20
"""Photos of known products that a confidence can be fitted on, at least."""

FOLDS: Final = 5
PRIOR_WEIGHT: Final = 1.0
"""Prior precision of the starting weights: a pseudo-count of about so many items."""

LEAST_PRIOR_WEIGHT: Final = 1e-3
"""The same without starting weights: a ridge that keeps the fit finite."""

PRESENCE: Final = 7
"""Weights of the first model, see `presence_features`."""


def fit_choices(
    features: Doubles,
    possible: Bools,
    chosen: Ints,
    weight: Doubles,
    start: Doubles,
    *,
    prior: float,
) -> Doubles:
    """Fit a conditional logit by Newton's method; the loss is convex.

    Minimises Σ weight × −ln P(chosen) + prior / 2 × |w − start|², with P from
    `choice_probabilities`: the mode of the posterior under a normal prior around `start`, which few
    items hardly move and many outweigh.

    Args:
        features: shape (n, choices, p).
        possible: shape (n, choices), which choices there are.
        chosen: shape (n,), the observed choice.
        weight: shape (n,).
        start: shape (p,).
        prior: precision of the prior, > 0.

    Returns:
        w, shape (p,).
    """
    rows, size = np.arange(len(chosen)), features.shape[2]

    def loss(w: Doubles) -> float:
        logits = np.where(possible, features @ w, -np.inf)
        highest = logits.max(1)
        sums = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
        return float(weight @ (sums - logits[rows, chosen]) + prior / 2 * ((w - start) ** 2).sum())

    w, now, before = start.astype(np.float64), loss(start), np.inf
    while before - now > 1e-9 * (1 + abs(now)):
        probability = choice_probabilities(features, possible, w)
        mean = np.einsum("nc,ncp->np", probability, features)
        gradient = weight @ (mean - features[rows, chosen]) + prior * (w - start)
        spread = (features * (probability * weight[:, None])[:, :, None]).reshape(-1, size)
        curvature = spread.T @ features.reshape(-1, size) - (mean * weight[:, None]).T @ mean
        step = np.linalg.solve(curvature + prior * np.eye(size), gradient)
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
) -> tuple[Confidence, Measured]:
    """Fit the weights and choose the thresholds; measure both by cross-validation.

    Thresholds and figures come from predictions for each fifth of the products by weights that
    were fitted on the other four fifths; the weights that are returned are fitted on all.

    Args:
        outcomes: with absent items among them.
        start: mean of the prior on the weights; None for none.
        absent_share: share of the outcomes' weight that absent items have.

    Returns:
        the confidence, and its figures on held-out items.
    """
    fold = _folds(outcomes.group)
    held_presence = np.empty(len(outcomes))
    held_conditional = np.empty(outcomes.ranked.scores.shape)
    shell = _unfitted(start).model_copy(
        update={
            "absent_share": absent_share,
            "precision": precision,
            "queries": int(outcomes.known.sum()),
            "measured_on": measured_on,
        }
    )
    for number in np.unique(fold):
        part, rest = outcomes.rows(fold == number), outcomes.rows(fold != number)
        fitted = _weights(rest if len(rest) else part, shell, start is not None)
        held_presence[fold == number] = presence(fitted, part.ranked)
        held_conditional[fold == number] = conditional_probabilities(fitted, part.ranked)
    confidence, right = held_presence * held_conditional[:, 0], outcomes.place == 0
    known = outcomes.known
    final = _weights(outcomes, shell, start is not None).model_copy(
        update={
            "identified_at": threshold_of_precision(
                confidence, right, precision, outcomes.weight, outcomes.group
            ),
            "absent_at": round(float(np.quantile(held_presence[known], 1 - KEPT)), 4),
        }
    )
    return final, measure(final, outcomes, held_presence, held_conditional)


def _unfitted(start: Confidence | None) -> Confidence:
    """The weights to start from, with thresholds that nothing reaches."""
    return Confidence(
        presence=start.presence if start else (0.0,) * PRESENCE,
        sharpness=start.sharpness if start else (1.0, 0.0, 0.0),
        further=start.further if start else (-3.0, 0.0),
        absent_share=ABSENT_SHARE,
        precision=PRECISION,
        identified_at=1.0,
        absent_at=0.0,
        queries=0,
        measured_on="",
    )


def _weights(outcomes: Outcomes, start: Confidence, has_prior: bool) -> Confidence:
    """Fit both models; `has_prior`: stay near the weights of `start`."""
    prior = PRIOR_WEIGHT if has_prior else LEAST_PRIOR_WEIGHT
    about = presence_features(outcomes.ranked)
    presence = fit_choices(
        np.stack([np.zeros_like(about), about], axis=1),
        np.ones((len(about), 2), np.bool_),
        outcomes.known.astype(np.int64),
        outcomes.weight,
        np.array(start.presence),
        prior=prior,
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
        prior=prior,
    )
    rounded = [round(float(weight), 4) for weight in (*presence, *choice)]
    return start.model_copy(
        update={
            "presence": tuple(rounded[:PRESENCE]),
            "sharpness": tuple(max(0.0, weight) for weight in rounded[PRESENCE : PRESENCE + 3]),
            "further": tuple(rounded[PRESENCE + 3 :]),
        }
    )


def _folds(group: Ints) -> Ints:
    """Number of the fold that holds each item out; groups stay together."""
    _, number = np.unique(group, return_inverse=True)
    order = np.random.default_rng(0).permutation(int(number.max()) + 1)
    folds: Ints = order[number] % FOLDS
    return folds
