"""What adapting is chosen by: held-out compositions, searched as identification searches.

Whitening, colours and rivals included: an encoder that is better by plain cosine may be worse with
them. Parts are left out: adapting does not change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from satchel.adapt.compose.foreground import Cutouts
from satchel.adapt.compose.synthesis import Composer
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.crops import CropShape
from satchel.encode.embed import PhotoEncoder, as_query, embed
from satchel.encode.output import EncoderOutput
from satchel.images import RGB
from satchel.parallel import batched, small_products
from satchel.records import PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules
from satchel.train.backbones import Backbone
from satchel.train.export import Exportable

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BATCH: Final = 16
CHECK_SEED: Final = 2**40
"""Of held-out compositions: no training step has it."""

FEWEST_QUERIES: Final = 20
"""Photos of unseen products, at least, for a figure of them to be told."""


class LiveEncoder:
    """A network that is in training, as `satchel.encode.embed.embed` takes an encoder."""

    def __init__(self, backbone: Backbone, side_px: int) -> None:
        self._model = Exportable(backbone).eval()
        self._device = next(backbone.parameters()).device
        self.crop_shape = CropShape(side_px)
        self.n_passes = 3

    def encode(self, crops: npt.NDArray[np.uint8]) -> EncoderOutput:
        """As `satchel.encode.encoder.Encoder.encode`."""
        with torch.inference_mode():
            vectors, saliency = self._model(torch.from_numpy(crops).to(self._device))
        return EncoderOutput(vectors.float().cpu().numpy(), saliency.float().cpu().numpy())


def vectors_of(encoder: LiveEncoder, photos: Sequence[RGB]) -> Floats:
    """Vectors of photos by three looks, shape (n, d), float32, of length 1."""
    return np.stack([seen.vector for seen in _seen(encoder, photos)]).astype(np.float32)


def _seen(
    encoder: PhotoEncoder, photos: Sequence[RGB], *, gallery: bool = False
) -> list[PhotoEmbedding]:
    return [
        seen for batch in batched(photos, BATCH) for seen in embed(encoder, batch, gallery=gallery)
    ]


def searched(
    queries: Sequence[PhotoEmbedding],
    gallery: Sequence[PhotoEmbedding],
    labels: Ints,
    products: int,
    rules: SearchRules,
) -> Floats:
    """Score of every product for every query, shape (q, products), as identification ranks them.

    Args:
        labels: shape (g,): products of the gallery.

    Returns:
        float32; -1 for a product that the gallery has no picture of.
    """
    order = np.argsort(labels, kind="stable")
    seen = [gallery[row] for row in order]
    index = GalleryIndex.of(
        GalleryVectors(
            np.stack([photo.vector for photo in seen]),
            labels[order],
            np.zeros((len(seen), 32), np.uint8),
            revision=0,
            colours=np.stack([photo.colours for photo in seen]),
        ),
        "in training",
        np.stack([photo.whole - photo.vector for photo in seen]),
        rules,
    )
    scores = np.full((len(queries), products), -1, np.float32)
    with small_products():
        for own, query in zip(scores, queries, strict=True):
            ranked = rank_products(index, query.descriptor[None], top=products)
            own[[one.product for one in ranked]] = [one.score for one in ranked]
    return scores


@dataclass(frozen=True, slots=True)
class Answers:
    """Scores of every product: of the queries, shape (q, products), and of the own ones or None."""

    scores: Floats
    own: Floats | None


@dataclass(frozen=True, slots=True)
class Checks:
    """Queries whose products are known, and the gallery that they are searched in.

    Attributes:
        pictures: of the gallery; `labels`, shape (n,): their products.
        products: how many there are.
        queries: composed photos; `right`, shape (q,): their products.
        unseen: shape (q,), bool: the query's product was held out of training.
        own: rows of gallery pictures that are further photos of held-out products: queries of the
            catalogue's own, searched without them; few catalogues have any.
        rules: by which vectors are compared.
    """

    pictures: Sequence[RGB]
    labels: Ints
    products: int
    queries: Sequence[RGB]
    right: Ints
    unseen: npt.NDArray[np.bool_]
    own: Ints
    rules: SearchRules = field(default_factory=SearchRules)

    def ask(self, encoder: PhotoEncoder) -> Answers:
        """Search the queries, and the catalogue's own ones if they are enough."""
        gallery = _seen(encoder, self.pictures, gallery=True)
        queries = _seen(encoder, self.queries)
        labels, products, rules = self.labels, self.products, self.rules
        scores = searched(queries, gallery, labels, products, rules)
        if len(self.own) < FEWEST_QUERIES:
            return Answers(scores, None)
        others = np.setdiff1d(np.arange(len(gallery)), self.own)
        own = [as_query(gallery[row], encoder.n_passes) for row in self.own]
        rest = [gallery[row] for row in others]
        return Answers(scores, searched(own, rest, labels[others], products, rules))

    def figures(self, answers: Answers) -> dict[str, float]:
        """Top-1 and top-5 of all queries and of unseen products' ones, and `score` to choose by.

        `own1` and `own5`, of the catalogue's own further photos, where they are enough.
        """
        ranks = _ranks(answers.scores, self.right)
        found = {"top1": _share(ranks, 1), "top5": _share(ranks, 5)}
        if self.unseen.any():
            found |= {
                "unseen1": _share(ranks[self.unseen], 1),
                "unseen5": _share(ranks[self.unseen], 5),
            }
        if answers.own is not None:
            ranks = _ranks(answers.own, self.labels[self.own])
            found |= {"own1": _share(ranks, 1), "own5": _share(ranks, 5)}
        return found | {"score": (found["top1"] + found["top5"]) / 2}


def make_checks(
    cutouts: Cutouts,
    labels: Ints,
    composer: Composer,
    *,
    held_out: Ints,
    count: int,
    seed: int,
) -> Checks:
    """Compose held-out queries: half of them of products that are not trained on, if any are.

    Args:
        labels: shape (n,): product of each cut-out.
        composer: at a side of which crops still fill an encoder's input.
        held_out: products that are not trained on.
        count: queries.
    """
    rng = np.random.default_rng([seed, CHECK_SEED])
    unseen_rows = np.flatnonzero(np.isin(labels, held_out))
    known_rows = np.flatnonzero(~np.isin(labels, held_out))
    halves = [rows for rows in (unseen_rows, known_rows) if len(rows)]
    rows = np.concatenate(
        [np.resize(rng.permutation(half), count // len(halves)) for half in halves]
    )
    queries = [
        composer.compose(int(row), np.random.default_rng([seed, CHECK_SEED, at]), kind="whole")
        for at, row in enumerate(rows)
    ]
    _, first = np.unique(labels, return_index=True)
    further = np.setdiff1d(unseen_rows, first)
    return Checks(
        [cutouts.picture(row) for row in range(len(cutouts))],
        labels,
        int(labels.max()) + 1,
        queries,
        labels[rows],
        np.isin(labels[rows], held_out),
        further,
    )


def _ranks(scores: Floats, right: Ints) -> Ints:
    """Rank of the right product of each query, 1 the best; ties count against it."""
    own = scores[np.arange(len(right)), right][:, None]
    ranks: Ints = (scores >= own).sum(1).astype(np.int64)
    return ranks


def _share(ranks: Ints, k: int) -> float:
    return float((ranks <= k).mean())
