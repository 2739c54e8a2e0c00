"""What was identified before the catalogue was edited is shown as the catalogue is now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from fastapi import FastAPI

from satchel.market.listings.states import Actor
from satchel.market.roles import Role
from satchel.web.market.candidates import candidates_of
from satchel.workspace import Workspace
from support.goods import API, ok
from support.market import logged_in, make_account, market_app
from web.conftest import CODES, drawn

BAG, DISC, SQUARE, STAR = CODES


def test_candidates_follow_renames_merges_and_deletions(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> None:
    seller = Actor(make_account(own_workspace, "seller@example.com").id, Role.SELLER)
    app = market_app(own_workspace)
    market, catalogue = app.state.market, own_workspace.catalogue
    public_id = market.goods.listings.create(seller).public_id
    market.photos.add(public_id, "front-01", drawn(STAR, view=1), seller)

    def shown() -> list[str]:
        listing = market.goods.listings.get(public_id)
        return [one["code"] for one in candidates_of(catalogue, listing)]

    with run_server(app) as url, logged_in(url, "seller@example.com") as client:
        ok(client.post(f"{API}/listings/{public_id}/identify"))
        before = shown()
        assert before[0] == STAR
        assert sorted(before) == sorted(CODES)

        renamed = catalogue.edits.rename(STAR, "Q/7")
        assert shown() == ["Q/7", *before[1:]]
        page = client.get(f"/listings/{public_id}").text
        assert 'name="code" value="Q/7"' in page
        assert f'name="code" value="{STAR}"' not in page
        assert 'hx-get="/products/Q%2F7"' in page

        merged = catalogue.edits.merge(before[1], "Q/7")
        assert shown() == ["Q/7", *before[2:]]  # once, and as likely as its likeliest
        catalogue.edits.delete_product(before[2])
        assert shown() == ["Q/7", *before[3:]]
        catalogue.edits.undo(merged.id)
        catalogue.edits.undo(renamed.id)
        assert shown() == [STAR, before[1], *before[3:]]
