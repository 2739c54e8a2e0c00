"""Embedded photos of one item → an answer: ranked products, probabilities, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from satchel.arrays import Ints
from satchel.catalog.filters import Selection
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.store import Catalogue
from satchel.confidence.agreement import different_items
from satchel.confidence.model import (
    MOST_NAMED,
    Posterior,
    given_own_pictures,
    named_counts,
    score_confidence,
)
from satchel.curate.own_pictures import OwnPictures
from satchel.encode.card import Confidence
from satchel.errors import IndexMissing
from satchel.lookalikes.candidates import CandidateBuilder, Group
from satchel.lookalikes.groups import fold
from satchel.records import Identification, PhotoEmbedding, Verdict
from satchel.search.ranking import POOL, RankedProduct
from satchel.search.searcher import Searcher


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers what embedded photos show. Safe to use from several threads.

    Attributes:
        confidence: the model that probabilities come from.
        calibrated: whether it was fitted on the workspace's own photos.
        absent: share of items that are expected not to be in the catalogue; None for the share
            that `confidence` was fitted for.
        look_alikes: groups in these states count as one candidate.
        own_pictures: finds photos that are the catalogue's own pictures; None looks for none.
        visible: names of attributes that are visible on an item; see
            `satchel.lookalikes.visible.is_visible`.
    """

    catalogue: Catalogue
    searcher: Searcher
    confidence: Confidence
    calibrated: bool
    absent: float | None
    look_alikes: tuple[GroupState, ...]
    own_pictures: OwnPictures | None
    visible: tuple[str, ...] = ()

    def of(
        self, photos: Sequence[PhotoEmbedding], *, top: int, selection: Selection | None
    ) -> Identification:
        """Answer for one item; see `satchel.identify.Identifier.identify_embedded`."""
        only = None if selection is None else selection.products
        each = [self._ranked([photo], top, only) for photo in photos]
        ranked = each[0] if len(photos) == 1 else self._ranked(photos, top, only)
        own = [self._own(photo, found) for photo, found in zip(photos, each, strict=True)]
        posterior = score_confidence(self.confidence, ranked, absent=self.absent)
        if same := frozenset.intersection(*own):
            ranked, posterior = _own_first(ranked, posterior, same)
        groups = _within(self._groups_of([found.product for found in ranked]), only)
        folded = fold([found.product for found in ranked], posterior.confidences, groups)
        sums = [sum(posterior.confidences[at] for at in places) for places in folded[:top]]
        likely = int(named_counts(np.array([sums]))[0])
        if len(ranked) == 1 and selection is not None and not same:
            likely = 0  # the filter leaves nothing to compare it with
        if same:
            likely = _own_count(ranked, folded, same, min(top, MOST_NAMED))
        decided = verdict(sums[0], likely, posterior.in_catalogue, self.confidence, own=bool(same))
        candidates = CandidateBuilder(self.catalogue, ranked, posterior, groups, self.visible)
        return Identification(
            decided,
            tuple(candidates.build(folded[:top], likely)),
            tuple(photo.box for photo in photos),
            posterior.in_catalogue,
            likely,
            self.confidence.precision,
            self.calibrated,
            tuple(photo.detections for photo in photos),
            {} if selection is None else selection.where,
            self._codes(own),
            self._different(each, own) if len(photos) > 1 else (),
        )

    def _ranked(
        self, photos: Sequence[PhotoEmbedding], top: int, only: Ints | None
    ) -> list[RankedProduct]:
        return self._existing(self.searcher.rank(photos, top=max(top, POOL), only=only))

    def _own(self, photo: PhotoEmbedding, ranked: Sequence[RankedProduct]) -> frozenset[int]:
        """The ranked products whose own picture a photo is."""
        if self.own_pictures is None:
            return frozenset()
        copied = self.own_pictures.copied(photo, [found.photo for found in ranked])
        return frozenset(found.product for found in ranked if found.photo in copied)

    def _different(
        self, each: Sequence[Sequence[RankedProduct]], own: Sequence[frozenset[int]]
    ) -> tuple[tuple[int, ...], ...]:
        """Photos that seem to show different items; see `satchel.confidence.agreement`."""
        photos = []
        for ranked, same in zip(each, own, strict=True):
            posterior = score_confidence(self.confidence, ranked, absent=self.absent)
            if same:
                posterior = given_own_pictures(posterior, [one.product in same for one in ranked])
            groups = self._groups_of([one.product for one in ranked])
            home = {product: min(group) for group in groups for product in group}
            confidences: dict[int, float] = {}
            for one, confidence in zip(ranked, posterior.confidences, strict=True):
                key = home.get(one.product, one.product)
                confidences[key] = confidences.get(key, 0.0) + confidence
            photos.append(confidences)
        return different_items(photos)

    def _codes(self, own: Sequence[frozenset[int]]) -> tuple[tuple[str, ...], ...]:
        """For each photo, codes of the products whose own picture it is."""
        found = (self.catalogue.products_by_id(sorted(ids)) if ids else [] for ids in own)
        return tuple(tuple(product.code for product in products) for products in found)

    def _existing(self, ranked: list[RankedProduct]) -> list[RankedProduct]:
        """Leave out products that were deleted after the index was built.

        Raises:
            IndexMissing: no other is left.
        """
        known = self.catalogue.existing([found.product for found in ranked])
        if not known:
            raise IndexMissing(
                "what the index holds was deleted from the catalogue: run `satchel index`"
            )
        return [found for found in ranked if found.product in known]

    def _groups_of(self, products: Sequence[int]) -> list[Group]:
        """The groups that count as one candidate and contain one of these products."""
        if not self.look_alikes:
            return []
        return self.catalogue.look_alikes.of_products(products, self.look_alikes)


def _within(groups: Sequence[Group], only: Ints | None) -> list[Group]:
    """The parts of groups that pass a filter: nobody who filters is shown another product."""
    if only is None:
        return list(groups)
    allowed = set(only.tolist())
    parts = [tuple(product for product in group if product in allowed) for group in groups]
    return [part for part in parts if len(part) > 1]


def _own_first(
    ranked: Sequence[RankedProduct], posterior: Posterior, own: frozenset[int]
) -> tuple[list[RankedProduct], Posterior]:
    """Rank the products first whose own pictures the photos are, and revise the probabilities."""
    revised = given_own_pictures(posterior, [found.product in own for found in ranked])
    order = sorted(range(len(ranked)), key=lambda place: -revised.confidences[place])
    confidences = tuple(revised.confidences[place] for place in order)
    return [ranked[place] for place in order], replace(revised, confidences=confidences)


def _own_count(
    ranked: Sequence[RankedProduct],
    folded: Sequence[tuple[int, ...]],
    own: frozenset[int],
    most: int,
) -> int:
    """How many candidates the photos are pictures of; 0 where these are too many to be named."""
    count = sum(any(ranked[place].product in own for place in places) for places in folded)
    return count if count <= most else 0


def verdict(
    first: float, likely: int, in_catalogue: float, thresholds: Confidence, *, own: bool = False
) -> Verdict:
    """What an answer says; it follows from its confidences.

    Args:
        first: confidence of the first candidate.
        likely: how many of the first candidates the answer names.
        in_catalogue: probability that the item is in the catalogue.
        own: whether the photos are the catalogue's own pictures, of which confidence is certain
            without a threshold.
    """
    if likely == 1:
        sure = own or first >= thresholds.identified_at
        return Verdict.IDENTIFIED if sure else Verdict.PROBABLE
    if likely:
        return Verdict.ONE_OF
    if in_catalogue < thresholds.absent_at:
        return Verdict.NOT_IN_CATALOGUE
    return Verdict.UNCERTAIN
