"""Who may use which route: every route of the application against every kind of visitor.

`access.txt` lists what each route declares, so that a change of it is seen in review. A route that
is new, or declares nothing, fails here.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import Match

from satchel.market.accounts.records import Account
from satchel.market.accounts.secret import derived, new_secret
from satchel.market.roles import Role, Scope
from satchel.web.access import Allow
from satchel.web.api.filters import query_filter
from satchel.web.market.state import MarketState
from satchel.web.visitors import COOKIE, CSRF, CSRF_HEADER, visitor_of
from satchel.workspace import Workspace
from support.market import make_account, market_app

TABLE = Path(__file__).parent / "access.txt"
WITHOUT_A_RULE = {"/openapi.json", "/static"}
"""What FastAPI and Starlette add: the description of the API, and files."""

REFUSALS = {"log-in", "log-in-again", "forbidden", "no-scope", "bad-api-key", "stale-form"}
PARAMETER = re.compile(r"\{\w+(:\w+)?\}")


@dataclass(frozen=True)
class Rule:
    """A route and what it declares."""

    method: str
    path: str
    declared: Allow

    def line(self) -> str:
        one = self.declared
        words = [one.role.value if one.role else "everybody"]
        words += [one.scope.value] if one.scope else []
        words += [
            name
            for name in ("recent", "form", "before_terms", "from_outside")
            if getattr(one, name)
        ]
        return f"{self.method} {self.path} {' '.join(words)}"


def rules_of(app: FastAPI) -> tuple[list[Rule], list[str]]:
    """Return the rule of each route, and the paths of routes that have none."""
    rules, without = [], []
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        found = [one.call for one in dependant.dependencies] if dependant else []
        declared = [one for one in found if isinstance(one, Allow)]
        if len(declared) != 1:
            without.append(str(route.path))
            continue
        rules += [
            Rule(method, str(route.path), declared[0])
            for method in sorted(route.methods or ())
            if method != "HEAD"
        ]
    return rules, without


@pytest.fixture(scope="module")
def app(unopened_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("access") / "w")
    workspace = Workspace.open(folder)
    yield market_app(workspace, requests_per_minute=100_000)
    workspace.catalogue.close()


@pytest.fixture(scope="module")
def url(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[str]:
    with run_server(app) as url:
        yield url


@pytest.fixture(scope="module")
def visitors(app: FastAPI) -> Visitors:
    roles = {
        "seller": Role.SELLER,
        "other seller": Role.SELLER,
        "expert": Role.EXPERT,
        "admin": Role.ADMIN,
    }
    accounts = {
        name: make_account(
            app.state.server.workspace, f"{name.replace(' ', '-')}@example.com", role
        )
        for name, role in roles.items()
    }
    return Visitors(app.state.market, accounts)


def test_openapi_describes_refusals_and_every_error_as_a_problem(app: FastAPI) -> None:
    schema = app.openapi()
    assert not {"HTTPValidationError", "ValidationError"} & set(schema["components"]["schemas"])
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            assert not path.startswith("/api/") or {"401", "403"} <= set(answers), path
            for status, answer in answers.items():
                if int(status) >= 400:
                    ((kind, content),) = answer["content"].items()
                    assert kind == "application/problem+json"
                    assert content["schema"]["$ref"].endswith("/ProblemDetails")


def test_every_route_is_found(app: FastAPI) -> None:
    for route in iter_route_contexts(app.routes):
        path = PARAMETER.sub("1", str(route.path))
        for method in route.methods or ():  # of what is mounted there are none
            scope = {"type": "http", "method": method, "path": path, "root_path": ""}
            found = [one.matches(dict(scope))[0] for one in app.routes]
            assert Match.FULL in found, f"{method} {path}"


def test_what_requests_bring_is_read_without_threads(app: FastAPI) -> None:
    """FastAPI runs a dependency that is not async in a thread, for which it may have to wait."""
    routes = iter_route_contexts(app.routes)
    calls = {one.call for route in routes for one in dependencies(route)}
    assert {visitor_of, query_filter} <= calls
    functions = [call if inspect.isfunction(call) else type(call).__call__ for call in calls]
    assert [one for one in functions if not inspect.iscoroutinefunction(one)] == []


def dependencies(route: Any) -> Iterator[Dependant]:
    """What is called before a route's function, at any depth."""
    left = list(getattr(getattr(route, "dependant", None), "dependencies", ()))
    while left:
        one = left.pop()
        yield one
        left += one.dependencies


def test_every_route_says_who_may_use_it(app: FastAPI) -> None:
    rules, without = rules_of(app)
    assert set(without) <= WITHOUT_A_RULE
    listed = set(TABLE.read_text(encoding="utf-8").splitlines())
    declared = {rule.line() for rule in rules}
    assert declared - listed == set(), f"add to {TABLE.name}"
    assert listed - declared == set(), f"take out of {TABLE.name}"


def test_what_changes_something_is_for_nobody_unknown(app: FastAPI) -> None:
    """But the ways in, and what leaves no trace of its own: identification and its feedback."""
    rules, _ = rules_of(app)
    open_ = {
        rule.path
        for rule in rules
        if rule.method != "GET" and rule.declared.role is None and not rule.declared.form
    }
    ways_in = {"/api/v1/session", "/api/v1/accounts", "/unsubscribe"}
    ways_in |= {"/api/v1/session/passkey", "/api/v1/session/passkey/options"}
    ways_in |= {
        f"/api/v1/account/{step}" for step in ("confirm", "email/confirm", "forgotten", "reset")
    }
    stateless = {"/identify", "/example", "/feedback", "/feedback/other"}
    stateless |= {"/api/v1/identify", "/api/v1/feedback"}
    stateless |= {"/goods/similar", "/api/v1/goods/similar", "/share", "/share/identify"}
    assert open_ <= ways_in | stateless


@dataclass
class Visitors:
    """Gives visitors what they send to be known."""

    market: MarketState
    accounts: dict[str, Account]
    keys: dict[frozenset[Scope], str] = field(default_factory=dict)

    def headers(self, name: str, rule: Rule) -> dict[str, str]:
        if name == "anonymous":
            secret = new_secret()
        elif name.startswith("key"):
            missing = {rule.declared.scope} if name == "key without scope" else set()
            return {"authorization": f"Bearer {self.key(frozenset(Scope) - missing)}"}
        else:  # one of its own for each request: some end it
            secret = self.market.sessions.begin(self.accounts[name].id, way="test")
        return {"cookie": f"{COOKIE}={secret}", CSRF_HEADER: derived(secret, CSRF)}

    def key(self, scopes: frozenset[Scope]) -> str:
        """A key of the admin, whose role allows everything."""
        if scopes not in self.keys:
            self.keys[scopes], _ = self.market.keys.create(self.accounts["admin"], "test", scopes)
        return self.keys[scopes]


def expected(rule: Rule, name: str, account: Account | None) -> bool:
    """Whether this visitor may use this route, by its declaration."""
    if rule.declared.role is None:
        return True
    if account is None or not account.role.includes(rule.declared.role):
        return False
    if name == "key with scope":
        return rule.declared.scope is not None
    return name != "key without scope"


@pytest.mark.flow
@pytest.mark.parametrize(
    "name",
    [
        "anonymous",
        "seller",
        "other seller",
        "expert",
        "admin",
        "key with scope",
        "key without scope",
    ],
)
def test_each_visitor_may_do_what_routes_declare(
    app: FastAPI, url: str, visitors: Visitors, name: str
) -> None:
    account = visitors.accounts.get("admin" if name.startswith("key") else name)
    rules, _ = rules_of(app)
    wrong = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for rule in rules:
            headers = visitors.headers(name, rule)
            path = PARAMETER.sub("1", rule.path)
            answer = client.request(rule.method, path, headers=headers, **body_of(rule))
            client.cookies.clear()
            if is_refused(answer) == expected(rule, name, account):
                wrong.append(f"{rule.line()}: {answer.status_code}")
    assert wrong == []


def body_of(rule: Rule) -> dict[str, Any]:
    """A body that says nothing: whoever may use the route is told what is missing."""
    if rule.method == "GET":
        return {}
    return {"json": {}} if rule.path.startswith("/api/") else {"data": {"nothing": "1"}}


def is_refused(answer: httpx.Response) -> bool:
    if answer.status_code not in (401, 403):
        return False
    return answer.json()["type"].rpartition(":")[2] in REFUSALS


def test_without_accounts_nobody_is_refused(app_with: Callable[..., FastAPI], serve_app) -> None:
    app = app_with()
    client = serve_app(app)
    rules, without = rules_of(app)
    assert set(without) <= WITHOUT_A_RULE
    assert not any(rule.path.startswith(("/login", "/api/v1/account")) for rule in rules)
    for rule in rules:
        answer = client.request(rule.method, PARAMETER.sub("1", rule.path), **body_of(rule))
        assert not is_refused(answer), rule.line()
