"""What the page of a case shows: candidates, what to check, the seller's history, opinions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from satchel.catalog.store import Catalogue
from satchel.lookalikes.differences import differences
from satchel.market.accounts.records import Account
from satchel.market.desk.opinions import Standing
from satchel.market.desk.queue import is_claimed
from satchel.market.desk.records import NAMED_PHOTOS, Opinion, Reason
from satchel.market.desk.seen import SeenBefore, seen_before
from satchel.market.listings.fields import Grade
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, State, StepName
from satchel.market.roles import Role
from satchel.records import Difference, Product
from satchel.web.links import photo_link, thumbnail_link
from satchel.web.market.candidates import candidates_of
from satchel.web.market.state import MarketState

PLAUSIBLE: Final = 0.02
"""Confidence from which a candidate is worth telling from the others."""

MOST_COMPARED: Final = 4
SEEN_SHOWN: Final = 6
"""Other listings and products, at most."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A product that the good may be.

    Attributes:
        photo: address of its nearest photo; None where it has none.
        confidence: of identification; None where it did not propose it.
    """

    code: str
    title: str
    photo: str | None
    thumbnail: str | None
    confidence: float | None
    sellers: bool


def case_values(
    catalogue: Catalogue, market: MarketState, actor: Actor, listing: Listing
) -> dict[str, Any]:
    """Gather what an expert needs to decide, for the template of a case."""
    goods = market.goods
    standing = goods.queue.standing(listing)
    opinions = goods.queue.opinions(listing, actor)
    events = goods.listings.events(listing.public_id)
    choices = choices_of(catalogue, listing)
    mine = listing.state is State.IN_REVIEW and listing.claimed_by == actor.account
    claims = [event.id for event in events if event.step is StepName.CLAIM]
    codes, differing = to_check(catalogue, choices)
    return {
        "listing": listing,
        "product": _product(catalogue, listing.code),
        "choices": choices,
        "codes": codes,
        "differences": differing,
        "seen": seen_elsewhere(seen_before(market.engine, listing)),
        "history": goods.listings.count_by_state(listing.seller),
        "events": events,
        "opinions": opinions,
        "names": names_of(market, _people(actor, listing, opinions)),
        "standing": standing,
        "mine": mine,
        "claim": claims[-1] if claims else 0,
        "claimed": is_claimed(listing),
        "may_claim": _may_claim(listing, standing.experts, actor, disputed=standing.disputed),
        "certificate": goods.decisions.certificate_of(listing),
        "grades": list(Grade),
        "reasons": list(Reason),
        "photos_to_ask": NAMED_PHOTOS,
        "me": actor.account,
        "experts": _assignable(market, actor, listing, standing),
    }


def choices_of(catalogue: Catalogue, listing: Listing) -> list[Choice]:
    """Return the seller's product, if identification does not propose it, and its candidates."""
    choices = [
        Choice(
            code=one["code"],
            title=" · ".join(filter(None, (one["brand"], one["name"]))),
            photo=one["photo"],
            thumbnail=one["thumbnail"],
            confidence=one["confidence"],
            sellers=one["code"] == listing.code,
        )
        for one in candidates_of(catalogue, listing)
    ]
    if listing.code and not any(one.sellers for one in choices):
        choices.insert(0, _sellers(catalogue, listing.code))
    return choices


def to_check(
    catalogue: Catalogue, choices: Sequence[Choice]
) -> tuple[list[str], tuple[Difference, ...]]:
    """Return the products worth telling apart, and in what they differ."""
    worth = [one for one in choices if one.sellers or (one.confidence or 0) >= PLAUSIBLE]
    products = [
        product
        for product in (_product(catalogue, one.code) for one in worth[:MOST_COMPARED])
        if product is not None
    ]
    if len(products) < 2:
        return [], ()
    return [product.code for product in products], differences(products)


def seen_elsewhere(found: Iterable[SeenBefore]) -> list[list[SeenBefore]]:
    """Group photos that were seen before by the listing or product they were seen with."""
    places: dict[tuple[str | None, str | None], list[SeenBefore]] = {}
    for one in found:
        place = places.setdefault((one.listing, one.code), [])
        if all(other.photo != one.photo for other in place):
            place.append(one)
    return list(places.values())[:SEEN_SHOWN]


def names_of(market: MarketState, accounts: Iterable[int | None]) -> dict[int, str]:
    """Return the names of accounts."""
    return market.accounts.names({one for one in accounts if one is not None})


def _sellers(catalogue: Catalogue, code: str) -> Choice:
    product = _product(catalogue, code)
    shown = [
        one
        for one in (catalogue.photos_of(code) if product else ())
        if one.state in ("kept", "doubtful")
    ]
    return Choice(
        code=code,
        title=" · ".join(filter(None, (product.brand, product.name))) if product else "",
        photo=photo_link(shown[0].sha256) if shown else None,
        thumbnail=thumbnail_link(shown[0].sha256) if shown else None,
        confidence=None,
        sellers=True,
    )


def _product(catalogue: Catalogue, code: str | None) -> Product | None:
    return catalogue.product(code) if code and catalogue.has_product(code) else None


def _people(actor: Actor, listing: Listing, opinions: Sequence[Opinion]) -> set[int | None]:
    """Accounts whose names are shown: who has the case, and to an admin who said what."""
    said = {one.expert for one in opinions} if actor.role is Role.ADMIN else set()
    return {listing.claimed_by, actor.account, *said}


def _assignable(
    market: MarketState, actor: Actor, listing: Listing, standing: Standing
) -> list[Account]:
    """Experts to whom an admin can give the case now, by name; none for others."""
    waits = listing.state in {State.SUBMITTED, State.IN_REVIEW} and not is_claimed(listing)
    if actor.role is not Role.ADMIN or not waits:
        return []
    roles = (Role.ADMIN,) if standing.disputed else (Role.EXPERT, Role.ADMIN)
    found = [account for role in roles for account in market.accounts.page(role=role)[1]]
    barred = {*standing.experts, listing.seller}
    able = [one for one in found if one.id not in barred and one.disabled_at is None]
    return sorted(able, key=lambda one: (one.name.casefold(), one.id))


def _may_claim(listing: Listing, experts: frozenset[int], actor: Actor, *, disputed: bool) -> bool:
    """Whether this expert could take the case now; `Queue.claim` decides."""
    free = listing.state is State.SUBMITTED or (
        listing.state is State.IN_REVIEW and not is_claimed(listing)
    )
    allowed = actor.account not in experts and (not disputed or actor.role is Role.ADMIN)
    return free and allowed and listing.seller != actor.account
