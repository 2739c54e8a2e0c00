"""Ranked products → candidates of an answer; a group of look-alikes is one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from satchel.catalog.store import Catalogue
from satchel.confidence.model import Posterior
from satchel.lookalikes.differences import differences
from satchel.records import Candidate, LookAlike, LookAlikes, Product
from satchel.search.ranking import RankedProduct

Group = tuple[int, ...]
"""Database ids of look-alikes."""


@dataclass(frozen=True, slots=True)
class CandidateBuilder:
    """Builds the candidates of one answer.

    Attributes:
        ranked: the products, likeliest first.
        posterior: their probabilities.
        groups: look-alikes that count as one candidate.
        visible: names of attributes that are visible on an item; see
            `satchel.lookalikes.visible.is_visible`.
    """

    catalogue: Catalogue
    ranked: Sequence[RankedProduct]
    posterior: Posterior
    groups: Sequence[Group]
    visible: Sequence[str] = ()

    def build(self, folded: Sequence[tuple[int, ...]], likely: int) -> list[Candidate]:
        """Build the candidates.

        Args:
            folded: of each candidate, places in `ranked`; see `satchel.lookalikes.groups.fold`.
            likely: how many of the first the answer names.
        """
        home = {product: group for group in self.groups for product in group}
        wanted: dict[int, None] = {}
        for places in folded:
            first = self.ranked[places[0]].product
            wanted |= dict.fromkeys(home.get(first, (first,)))
        known = dict(zip(wanted, self.catalogue.products_by_id(list(wanted)), strict=True))
        candidates = []
        for at, places in enumerate(folded):
            best = self.ranked[places[0]]
            candidates.append(
                Candidate(
                    at + 1,
                    known[best.product],
                    best.score,
                    sum(self.posterior.confidences[place] for place in places),
                    best.photo,
                    likely=at < likely,
                    look_alikes=self._look_alikes(home.get(best.product, ()), places, known),
                )
            )
        return candidates

    def _look_alikes(
        self, group: Group, places: Sequence[int], known: Mapping[int, Product]
    ) -> LookAlikes | None:
        """A group's members, those that were ranked first."""
        if not group:
            return None
        found = {self.ranked[place].product: place for place in places}
        members = [
            LookAlike(known[product], self.posterior.confidences[place], self.ranked[place].photo)
            for product, place in found.items()
        ]
        members += [
            LookAlike(known[product], 0.0, None) for product in group if product not in found
        ]
        found_differences = differences([member.product for member in members], self.visible)
        return LookAlikes(tuple(members), found_differences)
