"""Lists ask the database as often for many rows as for few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event

from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.goods import API, ok, submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

LISTS = {
    "/desk": "expert",
    f"{API}/desk/queue": "expert",
    "/sell": "seller",
    f"{API}/listings": "seller",
    "/goods": "nobody",
    f"{API}/goods": "nobody",
    "/admin/accounts": "admin",
    "/account": "seller",
}


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.flow
def test_lists_ask_as_often_for_many_rows_as_for_few(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> None:
    roles = {
        "seller": Role.SELLER,
        "expert": Role.EXPERT,
        "second": Role.EXPERT,
        "admin": Role.ADMIN,
    }
    for name, role in roles.items():
        make_account(own_workspace, f"{name}@example.com", role)
    app = market_app(own_workspace, second_expert_from_krw=5_000_000, requests_per_minute=10_000)
    engine = app.state.market.engine
    with run_server(app) as url, ExitStack() as stack:
        people = {
            name: stack.enter_context(logged_in(url, f"{name}@example.com")) for name in roles
        } | {"nobody": stack.enter_context(httpx.Client(base_url=url, timeout=60))}

        def more(seed: int) -> None:
            """A good on sale, one that an expert has, and one that waits for a second opinion."""
            seller, expert = people["seller"], people[("expert", "second")[seed % 2]]
            for at, price in enumerate((1_000_000, 1_000_000, 9_000_000)):
                listing = submitted(seller, CODES[at], price_krw=price, seed=10 * seed + at)
                ok(expert.post(f"{API}/desk/{listing}/claim"))
                if at != 1:
                    body = {"code": CODES[at], "seconds": 9}
                    ok(expert.post(f"{API}/desk/{listing}/certify", json=body))
                if at == 0:
                    ok(seller.post(f"{API}/listings/{listing}/steps/offer"))
            ok(seller.post(f"{API}/searches?q=word{seed}", json={}), 201)

        def queries() -> dict[str, int]:
            counts = {}
            for path, who in LISTS.items():
                people[who].get(path, headers={"accept": "text/html"})  # what is kept is kept
                with counted(engine) as found:
                    answer = people[who].get(path, headers={"accept": "text/html"})
                assert answer.status_code == 200, answer.text
                counts[path] = len(found)
            return counts

        more(1)
        few = queries()
        more(2)
        more(3)
        assert queries() == few
