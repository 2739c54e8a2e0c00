"""Random walks of direct requests: whoever sends what, in any order, no listing skips a state."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satchel.market.desk.records import Reason
from satchel.market.goods import Goods
from satchel.market.listings.states import STEPS, Actor, Part, State, StepName, parts
from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.goods import drafted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

ROLES = {
    "seller": Role.SELLER,
    "buyer": Role.SELLER,
    "expert": Role.EXPERT,
    "admin": Role.ADMIN,
}
SECONDS = {"seconds": 1}
REQUESTS: dict[str, dict[str, Any]] = {
    **{f"listings/{{id}}/steps/{name.value}": {} for name in StepName},
    "desk/{id}/claim": {},
    "desk/{id}/release": {},
    "desk/{id}/ask": {"photos": ["inside_tag"], **SECONDS},
    "desk/{id}/certify": {"code": CODES[0], **SECONDS},
    "desk/{id}/reject": {"reason": Reason.COUNTERFEIT.value, **SECONDS},
    "goods/{id}/reserve": {},
    "goods/{id}/cancel": {},
    "goods/{id}/sell": {},
    "certificates/{certificate}/revoke": {"why": "forged"},
}
"""Path below the API → body of the request; every way there is to change a state, and some more."""

FORWARD = (
    ("seller", "listings/{id}/steps/submit"),
    ("expert", "desk/{id}/claim"),
    ("expert", "desk/{id}/certify"),
    ("seller", "listings/{id}/steps/offer"),
    ("buyer", "goods/{id}/reserve"),
    ("seller", "goods/{id}/sell"),
)
"""What leads from a draft to the end, so that walks come to every state."""

REFUSED = {400, 403, 404, 409, 422}


class Market:
    """A running market and its people."""

    def __init__(self, workspace: Workspace, url: str, stack: ExitStack) -> None:
        self.goods = Goods.of(workspace.catalogue.engine, workspace.catalogue.brands)
        self.people = {
            name: stack.enter_context(logged_in(url, f"{name}@example.com")) for name in ROLES
        }
        self.actors = {
            name: Actor(client.get("/api/v1/account").json()["id"], ROLES[name])
            for name, client in self.people.items()
        }

    @contextmanager
    def draft(self) -> Iterator[str]:
        """A draft, which afterwards counts no more as a draft or a reservation that is open."""
        listing = drafted(self.people["seller"], CODES[0], seed=9)
        try:
            yield listing
        finally:
            self.send("seller", "goods/{id}/cancel", listing)
            self.send("seller", "listings/{id}/steps/withdraw", listing)

    def send(self, who: str, request: str, listing: str) -> httpx.Response:
        found = self.goods.decisions.certificate_of(self.goods.listings.get(listing))
        number = found.public_id if found else "none"
        path = request.format(id=listing, certificate=number)
        return self.people[who].post(f"/api/v1/{path}", json=REQUESTS[request])


@pytest.fixture(scope="module")
def market(
    unopened_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Market]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("walks") / "w")
    workspace = Workspace.open(folder)
    for name, role in ROLES.items():
        make_account(workspace, f"{name}@example.com", role)
    app = market_app(workspace, requests_per_minute=100_000)
    with ExitStack() as stack:
        url = stack.enter_context(run_server(app))
        yield Market(workspace, url, stack)
    workspace.catalogue.close()


def allowed(actor: Actor, seller: int) -> set[tuple[State, State]]:
    """The changes that the table lets somebody make."""
    own: frozenset[Part] = parts(actor, seller)
    return {
        (source, step.target) for step in STEPS.values() if own & step.by for source in step.sources
    }


@pytest.mark.flow
@settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    begun=st.integers(0, len(FORWARD)),
    moves=st.lists(
        st.tuples(st.sampled_from(list(ROLES)), st.sampled_from(list(REQUESTS))),
        min_size=5,
        max_size=15,
    ),
)
def test_no_state_is_skipped_by_direct_requests(
    market: Market, begun: int, moves: list[tuple[str, str]]
) -> None:
    with market.draft() as listing:
        walk(market, listing, begun, moves)


def walk(market: Market, listing: str, begun: int, moves: list[tuple[str, str]]) -> None:
    for number, (who, request) in enumerate([*FORWARD[:begun], *moves]):
        before = market.goods.listings.get(listing)
        answer = market.send(who, request, listing)
        after = market.goods.listings.get(listing)
        if answer.is_success:
            assert number >= begun or after.state is not before.state
            if after.state is not before.state:
                change = before.state, after.state
                assert change in allowed(market.actors[who], before.seller), (who, request)
        else:
            assert number >= begun, answer.text
            assert answer.status_code in REFUSED, answer.text
            assert after == before
    state: State | None = None
    for event in market.goods.listings.events(listing):
        assert event.source is state
        if event.step is not None:
            assert state in STEPS[event.step].sources
            assert event.target is STEPS[event.step].target
        state = event.target
