"""States of a listing, and the steps between them: who may take which, from where to where.

    draft → submitted → in review → certified → on sale → reserved → sold → returned

A step is taken by `satchel.market.listings.store`, inside the transaction that writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from satchel.market.roles import Role


class State(StrEnum):
    """Where a listing is."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    PHOTOS_ASKED = "photos_asked"
    CERTIFIED = "certified"
    REJECTED = "rejected"
    ON_SALE = "on_sale"
    RESERVED = "reserved"
    SOLD = "sold"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"


class Part(StrEnum):
    """What somebody is to one listing.

    Experts and admins are none to a listing of their own; but an admin oversees every listing.
    """

    SELLER = "seller"
    EXPERT = "expert"
    ADMIN = "admin"
    OVERSEER = "overseer"
    BUYER = "buyer"
    SYSTEM = "system"


class StepName(StrEnum):
    """What can be done with a listing."""

    SUBMIT = "submit"
    REVISE = "revise"
    CLAIM = "claim"
    RELEASE = "release"
    SECOND_OPINION = "second_opinion"
    ASK_PHOTOS = "ask_photos"
    CERTIFY = "certify"
    REJECT = "reject"
    REVOKE = "revoke"
    OFFER = "offer"
    RESERVE = "reserve"
    CANCEL_RESERVATION = "cancel_reservation"
    SELL = "sell"
    RETURN = "return"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: from one of some states to one, by one of some parts."""

    name: StepName
    sources: frozenset[State]
    target: State
    by: frozenset[Part]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step.

    Attributes:
        account: None for the system.
    """

    account: int | None
    role: Role | None = None


SYSTEM: Final = Actor(None)
"""What happens by itself: a lease or a reservation that ends, a draft whose time is over."""


def _step(name: StepName, sources: Iterable[State], target: State, by: Iterable[Part]) -> Step:
    return Step(name, frozenset(sources), target, frozenset(by))


S, P = State, Part
STEPS: Final[Mapping[StepName, Step]] = MappingProxyType(
    {
        step.name: step
        for step in (
            _step(StepName.SUBMIT, (S.DRAFT, S.PHOTOS_ASKED), S.SUBMITTED, (P.SELLER,)),
            _step(StepName.REVISE, (S.REJECTED, S.WITHDRAWN), S.DRAFT, (P.SELLER,)),
            _step(StepName.CLAIM, (S.SUBMITTED,), S.IN_REVIEW, (P.EXPERT, P.ADMIN)),
            _step(StepName.RELEASE, (S.IN_REVIEW,), S.SUBMITTED, (P.EXPERT, P.ADMIN, P.SYSTEM)),
            _step(StepName.SECOND_OPINION, (S.IN_REVIEW,), S.SUBMITTED, (P.EXPERT, P.ADMIN)),
            _step(StepName.ASK_PHOTOS, (S.IN_REVIEW,), S.PHOTOS_ASKED, (P.EXPERT, P.ADMIN)),
            _step(StepName.CERTIFY, (S.IN_REVIEW,), S.CERTIFIED, (P.EXPERT, P.ADMIN)),
            _step(StepName.REJECT, (S.IN_REVIEW,), S.REJECTED, (P.EXPERT, P.ADMIN)),
            _step(
                StepName.REVOKE, (S.CERTIFIED, S.ON_SALE, S.RETURNED), S.REJECTED, (P.OVERSEER,)
            ),
            _step(StepName.OFFER, (S.CERTIFIED, S.RETURNED), S.ON_SALE, (P.SELLER,)),
            _step(StepName.RESERVE, (S.ON_SALE,), S.RESERVED, (P.BUYER,)),
            _step(
                StepName.CANCEL_RESERVATION,
                (S.RESERVED,),
                S.ON_SALE,
                (P.SELLER, P.BUYER, P.ADMIN, P.SYSTEM),
            ),
            _step(StepName.SELL, (S.RESERVED,), S.SOLD, (P.SELLER,)),
            _step(StepName.RETURN, (S.SOLD,), S.RETURNED, (P.SELLER, P.ADMIN)),
            _step(
                StepName.WITHDRAW,
                (S.DRAFT, S.SUBMITTED, S.PHOTOS_ASKED, S.REJECTED, S.CERTIFIED, S.ON_SALE,
                 S.RETURNED),
                S.WITHDRAWN,
                (P.SELLER, P.ADMIN, P.SYSTEM),
            ),
        )
    }
)  # fmt: skip
"""Every step there is."""

EDITABLE: Final = frozenset((State.DRAFT, State.PHOTOS_ASKED))
"""States in which a seller may change photos and what is said of the good."""

PUBLIC: Final = frozenset((State.ON_SALE, State.RESERVED, State.SOLD))
"""States in which everybody may see a listing."""


def parts(actor: Actor, seller: int) -> frozenset[Part]:
    """Return what `actor` is to a listing of the account `seller`."""
    if actor.account is None:
        return frozenset((Part.SYSTEM,))
    found = {Part.OVERSEER} if actor.role is Role.ADMIN else set()
    if actor.account == seller:
        return frozenset(found | {Part.SELLER})
    found.add(Part.BUYER)
    if actor.role in {Role.EXPERT, Role.ADMIN}:
        found.add(Part.EXPERT)
    if actor.role is Role.ADMIN:
        found.add(Part.ADMIN)
    return frozenset(found)


def open_steps(state: State, actor: Actor, seller: int) -> list[StepName]:
    """Return the steps that `actor` may take now, in the order of the table."""
    own = parts(actor, seller)
    return [step.name for step in STEPS.values() if state in step.sources and own & step.by]
