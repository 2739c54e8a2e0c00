"""The table of losses by name, and how they are made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import torch

from satchel.train.losses import options as checks
from satchel.train.losses.arcface import ArcFace, SubcenterArcFace
from satchel.train.losses.base import Loss
from satchel.train.losses.cascaded import Cascaded
from satchel.train.losses.center import Center
from satchel.train.losses.contrastive import Contrastive
from satchel.train.losses.margin import Margin
from satchel.train.losses.multi_similarity import MultiSimilarity
from satchel.train.losses.proxy_anchor import ProxyAnchor
from satchel.train.losses.softmax import CosineSoftmax, Softmax
from satchel.train.losses.supcon import SupCon
from satchel.train.losses.triplet import Triplet

LOSSES: Final[Mapping[str, type[Loss]]] = {
    "softmax": Softmax,
    "cosine_softmax": CosineSoftmax,
    "contrastive": Contrastive,
    "triplet": Triplet,
    "margin": Margin,
    "center": Center,
    "supcon": SupCon,
    "multi_similarity": MultiSimilarity,
    "arcface": ArcFace,
    "subcenter_arcface": SubcenterArcFace,
    "proxy_anchor": ProxyAnchor,
    "cascaded": Cascaded,
}


def known_options(name: str) -> dict[str, Any]:
    """Return the options of a loss with their defaults.

    Raises:
        ValueError: there is no such loss.
    """
    parameters = inspect.signature(LOSSES[checks.choice("loss", name, tuple(LOSSES))]).parameters
    return {p.name: p.default for p in parameters.values() if p.kind is p.KEYWORD_ONLY}


def make_loss(name: str, *, products: int, dimension: int, seed: int = 0, **options: Any) -> Loss:
    """Make a loss.

    Args:
        name: one of `LOSSES`.
        products: number of products; labels are in [0, products).
        dimension: of the embeddings; of each depth's for the cascaded loss.
        seed: of the initial weights and of sampled triplets; torch's global generator is left
            unchanged.
        options: keyword-only arguments of the loss's class; see `known_options`.

    Raises:
        ValueError: there is no such loss or option, or an option's value is out of range.
    """
    known = known_options(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"loss {name} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    checks.integer("products", products, 2)
    checks.integer("dimension", dimension, 1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(checks.integer("seed", seed, 0))
        loss = LOSSES[name](products, dimension, **options)
    loss.seed = seed
    return loss
