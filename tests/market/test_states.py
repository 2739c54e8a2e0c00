from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.goods import ROLES, Market
from satchel.errors import SatchelError, StateConflict
from satchel.market.desk.records import Reason
from satchel.market.listings.states import (
    EDITABLE,
    PUBLIC,
    STEPS,
    SYSTEM,
    Actor,
    Part,
    State,
    StepName,
    open_steps,
    parts,
)
from satchel.market.roles import Role

LEGAL = """
draft submit submitted seller | draft withdraw withdrawn seller,admin,system
submitted claim in_review expert,admin | submitted withdraw withdrawn seller,admin,system
in_review release submitted expert,admin,system | in_review second_opinion submitted expert,admin
in_review ask_photos photos_asked expert,admin | in_review certify certified expert,admin
in_review reject rejected expert,admin
photos_asked submit submitted seller | photos_asked withdraw withdrawn seller,admin,system
certified offer on_sale seller | certified revoke rejected overseer
certified withdraw withdrawn seller,admin,system
on_sale reserve reserved buyer | on_sale revoke rejected overseer
on_sale withdraw withdrawn seller,admin,system
reserved cancel_reservation on_sale seller,buyer,admin,system | reserved sell sold seller
sold return returned seller,admin
returned offer on_sale seller | returned revoke rejected overseer
returned withdraw withdrawn seller,admin,system
rejected revise draft seller | rejected withdraw withdrawn seller,admin,system
withdrawn revise draft seller
"""


def test_the_steps_are_exactly_these() -> None:
    rows = [row.split() for line in LEGAL.strip().splitlines() for row in line.split("|")]
    expected = {(s, step): (target, set(by.split(","))) for s, step, target, by in rows}
    actual = {
        (source.value, step.name.value): (step.target.value, {part.value for part in step.by})
        for step in STEPS.values()
        for source in step.sources
    }
    assert actual == expected


def test_nobody_is_expert_or_buyer_of_their_own_listing() -> None:
    for role in Role:
        overseer = {Part.OVERSEER} if role is Role.ADMIN else set()
        assert parts(Actor(7, role), seller=7) == {Part.SELLER} | overseer
    assert parts(Actor(8, Role.SELLER), seller=7) == {Part.BUYER}
    assert parts(Actor(8, Role.ADMIN), seller=7) == {
        Part.BUYER,
        Part.EXPERT,
        Part.ADMIN,
        Part.OVERSEER,
    }
    assert parts(SYSTEM, seller=7) == {Part.SYSTEM}


def test_open_steps_are_those_of_the_table() -> None:
    for state, role in product(State, Role):
        other = open_steps(state, Actor(8, role), seller=7)
        assert all(state in STEPS[name].sources for name in other)
        assert StepName.SUBMIT not in other


def test_an_admin_revokes_the_certificate_of_their_own_listing_and_decides_nothing_else() -> None:
    for state in State:
        mine = set(open_steps(state, Actor(7, Role.ADMIN), seller=7))
        sellers = set(open_steps(state, Actor(7, Role.SELLER), seller=7))
        assert mine - sellers == ({StepName.REVOKE} & mine)
        assert (StepName.REVOKE in mine) == (state in STEPS[StepName.REVOKE].sources)


def test_only_drafts_and_answers_can_be_edited_and_nothing_unchecked_is_public() -> None:
    assert {State.DRAFT, State.PHOTOS_ASKED} == EDITABLE
    assert {State.ON_SALE, State.RESERVED, State.SOLD} == PUBLIC


def _attempt(market: Market, listing: str, name: StepName, who: str) -> None:
    """Take a step in the way that there is for it."""
    goods, actor = market.goods, market.actors[who]
    match name:
        case StepName.CLAIM:
            goods.queue.claim(listing, actor)
        case StepName.RELEASE:
            goods.queue.release(listing, actor)
        case StepName.CERTIFY | StepName.SECOND_OPINION:
            goods.decisions.certify(listing, "M1", actor, seconds=1)
        case StepName.REJECT:
            goods.decisions.reject(listing, Reason.COUNTERFEIT, actor, seconds=1)
        case StepName.ASK_PHOTOS:
            goods.decisions.ask(listing, ["inside_tag"], actor, seconds=1)
        case StepName.REVOKE:
            found = goods.decisions.certificate_of(goods.listings.get(listing))
            goods.decisions.revoke(found.public_id if found else "none", actor, "forged")
        case StepName.RESERVE:
            goods.reservations.reserve(listing, actor)
        case StepName.CANCEL_RESERVATION:
            goods.reservations.cancel(listing, actor)
        case StepName.SELL:
            goods.reservations.sell(listing, actor)
        case _:
            goods.listings.step(listing, name, actor)


Move = tuple[bool, int, str]
"""Whether to take a step that is open, which one, and who takes it."""


def _chosen(market: Market, listing: str, move: Move) -> StepName:
    wise, number, who = move
    found = market.goods.listings.get(listing)
    steps = open_steps(found.state, market.actors[who], found.seller) if wise else []
    names = steps or list(StepName)
    return names[number % len(names)]


@settings(max_examples=30)
@given(
    moves=st.lists(
        st.tuples(st.booleans(), st.integers(0, 1_000), st.sampled_from(list(ROLES))),
        min_size=10,
        max_size=40,
    )
)
def test_random_walks_never_leave_the_table(
    tmp_path_factory: pytest.TempPathFactory, moves: list[Move]
) -> None:
    market = Market.make(tmp_path_factory.mktemp("walk"))
    listing = market.submitted().public_id
    for move in moves:
        before = market.goods.listings.get(listing)
        name = _chosen(market, listing, move)
        try:
            _attempt(market, listing, name, move[2])
        except SatchelError:
            assert market.goods.listings.get(listing) == before
            continue
        cancelled = name is StepName.REVOKE and before.state is State.RESERVED  # a step before it
        assert market.goods.listings.get(listing).version == before.version + 1 + cancelled
    _require_legal(market, listing)


def _require_legal(market: Market, listing: str) -> None:
    """Check that the history is one that the table allows, without a gap."""
    state = None
    for event in market.goods.listings.events(listing):
        assert event.source is state
        if event.step is None:
            assert event.target is (state or State.DRAFT)
        else:
            assert event.source in STEPS[event.step].sources
            assert event.target is STEPS[event.step].target
        state = event.target
    assert state is market.goods.listings.get(listing).state


def test_a_step_that_is_not_open_names_the_state(tmp_path: Path) -> None:
    market = Market.make(tmp_path)
    listing = market.submitted()
    with pytest.raises(StateConflict, match="this listing is submitted") as caught:
        market.step(listing, StepName.OFFER, "seller")
    assert caught.value.state == "submitted"
    with pytest.raises(StateConflict, match="for seller of a listing"):
        market.step(market.draft(seed=5), StepName.SUBMIT, "admin")
