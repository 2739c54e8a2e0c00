"""First pages are light: what a phone transfers before it shows something, photos not counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI

from satchel.workspace import Workspace
from support.market import market_app

MOST_BYTES = 150_000
LOADED = re.compile(r'<(?:link|script)\b[^>]*?\b(?:href|src)="(/[^"]+)"')


@pytest.mark.parametrize("path", ["/", "/goods", "/login"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_first_page_is_light(
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
    path: str,
    language: str,
) -> None:
    headers = {"accept": "text/html", "accept-encoding": "br, gzip", "accept-language": language}
    with (
        run_server(market_app(own_workspace)) as url,
        httpx.Client(base_url=url, headers=headers, timeout=60) as browser,
    ):
        page = browser.get(path)
        assert page.status_code == 200
        loaded = [browser.get(address) for address in LOADED.findall(page.text)]
    assert len(loaded) >= 5
    assert {answer.status_code for answer in loaded} == {200}
    sizes = {str(one.url.path): one.num_bytes_downloaded for one in (page, *loaded)}
    assert sum(sizes.values()) <= MOST_BYTES, sizes
