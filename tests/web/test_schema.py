"""The whole API by its own description: generated requests, and answers as they are declared.

Schemathesis draws requests, valid ones and others, from `/openapi.json`. No answer may be a fault
of the server, and each has a status, a media type and a body that the description names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from satchel.market.accounts.secret import derived
from satchel.market.roles import Role
from satchel.web.visitors import COOKIE, CSRF, CSRF_HEADER
from satchel.workspace import Workspace
from support.market import make_account, market_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 6


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


@pytest.mark.flow
@pytest.mark.parametrize("role", [Role.SELLER, Role.EXPERT])
def test_every_answer_is_as_it_is_described(app: FastAPI, url: str, role: Role) -> None:
    account = make_account(app.state.server.workspace, f"{role.value}@example.com", role)
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.config.update(base_url=url)
    wrong: list[str] = []
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
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            secret = app.state.market.sessions.begin(account.id, way="test")  # some requests end it
            headers = {CSRF_HEADER: derived(secret, CSRF), "cookie": f"{COOKIE}={secret}"}
            case.call_and_validate(checks=CHECKS, headers=headers, timeout=60)

        try:
            check()
        except Exception as error:  # every operation that fails is named at once
            wrong.append(f"{operation.label}: {error}"[:600])
    assert wrong == [], "\n\n".join(wrong)
