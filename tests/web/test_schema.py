"""The whole API by its own description: generated requests, and answers as they are declared.

Schemathesis draws requests, valid ones and others, from `/openapi.json`. No answer may be a fault
of the server, and each has a status, a media type and a body that the description names. Half of
the requests name what there is: drawn names would mostly be answered with 404.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import booleans
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from satchel.errors import AccountError
from satchel.market.accounts.secret import derived
from satchel.market.roles import Role
from satchel.web.visitors import COOKIE, CSRF, CSRF_HEADER
from satchel.workspace import Workspace
from support.goods import API, drafted, ok, submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 6
FEWEST_MET = 8
"""Operations that do something with what there is, at least."""


@pytest.fixture(scope="module")
def app(unopened_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("schema") / "w")
    workspace = Workspace.open(folder)
    yield market_app(workspace, requests_per_minute=1_000_000)
    workspace.catalogue.close()


@pytest.fixture(scope="module")
def url(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[str]:
    with run_server(app) as url:
        yield url


def names_of(url: str, role: Role) -> dict[str, dict[str, str]]:
    """What paths below a prefix name: things of the market that somebody with this role has."""
    with logged_in(url, "owner@example.com") as owner, logged_in(url, "judge@example.com") as judge:

        def claimed(seed: int) -> str:
            listing = submitted(owner, CODES[0], seed=seed)
            ok(judge.post(f"{API}/desk/{listing}/claim"))
            return listing

        good = claimed(9 + len(role.value))
        ok(judge.post(f"{API}/desk/{good}/certify", json={"code": CODES[0], "seconds": 9}))
        ok(owner.post(f"{API}/listings/{good}/steps/offer"))
        shown = ok(owner.get(f"{API}/listings/{good}"))
        events = ok(owner.get(f"{API}/listings/{good}/events"))
        (number,) = {one["details"].get("certificate") for one in events} - {None}
        waiting = submitted(owner, CODES[1], seed=60 + len(role.value))
    with logged_in(url, f"{role.value}@example.com") as own:
        draft = drafted(own, CODES[2], seed=80 + len(role.value))
        photo = ok(own.get(f"{API}/listings/{draft}"))["photos"][0]["sha256"]
    sha = shown["photos"][0]["sha256"]
    return {
        f"{API}/listings/": {"listing": draft, "sha": photo},
        f"{API}/desk/": {"listing": waiting},
        f"{API}/goods/": {"good": good, "sha": sha},
        f"{API}/certificates/": {"number": str(number), "sha": sha},
        f"{API}/products/": {"code": CODES[0]},
    }


def ids_below(known: dict[str, dict[str, str]], path: str) -> dict[str, str]:
    """What the parameters of a path are to name."""
    return next((ids for start, ids in known.items() if path.startswith(start)), {})


@pytest.mark.flow
@pytest.mark.parametrize("role", [Role.SELLER, Role.EXPERT])
def test_every_answer_is_as_it_is_described(app: FastAPI, url: str, role: Role) -> None:
    account = make_account(app.state.server.workspace, f"{role.value}@example.com", role)
    for name, part in (("owner", Role.SELLER), ("judge", Role.EXPERT)):
        with suppress(AccountError):  # the other role's test has made it
            make_account(app.state.server.workspace, f"{name}@example.com", part)
    known = names_of(url, role)
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.config.update(base_url=url)
    wrong: list[str] = []
    met: set[str] = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), named=booleans())
        def check(case: Any, named: bool) -> None:
            there = ids_below(known, case.operation.path) if named else {}
            for name in there.keys() & (case.path_parameters or {}).keys():
                case.path_parameters[name] = there[name]
            secret = app.state.market.sessions.begin(account.id, way="test")  # some requests end it
            headers = {CSRF_HEADER: derived(secret, CSRF), "cookie": f"{COOKIE}={secret}"}
            answer = case.call_and_validate(checks=CHECKS, headers=headers, timeout=60)
            if there and answer.status_code < 300:
                met.add(case.operation.label)

        try:
            check()
        except Exception as error:  # every operation that fails is named at once
            wrong.append(f"{operation.label}: {error}"[:600])
    assert wrong == [], "\n\n".join(wrong)
    assert len(met) >= FEWEST_MET, met
