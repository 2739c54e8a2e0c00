"""Codes of listings follow the catalogue's edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.goods import Market
from satchel.catalog.edits import CatalogueEdits
from satchel.market.listings.fields import ListingFields
from satchel.market.sale.shelf import Wanted


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market.make(tmp_path)


@pytest.fixture
def edits(market: Market) -> CatalogueEdits:
    return CatalogueEdits(market.goods.listings._engine)


def code(market: Market, public_id: str) -> str | None:
    return market.goods.listings.get(public_id).code


def found(market: Market, text: str) -> list[str]:
    return [one.public_id for one in market.goods.shelf.find(Wanted(text=text)).listings]


def test_a_draft_and_a_good_on_sale_follow_a_rename_and_its_undoing(
    market: Market, edits: CatalogueEdits
) -> None:
    sold, draft = market.on_sale(), market.draft(seed=3)
    renamed = edits.rename("M1", "K-77")
    assert {code(market, one.public_id) for one in (sold, draft)} == {"K-77"}
    assert found(market, "k-77") == [sold.public_id]
    assert found(market, "M1") == []
    assert market.goods.shelf.find(Wanted(codes=("K-77",))).total == 1
    certificate = market.goods.decisions.certificate_of(sold)
    assert certificate is not None
    assert certificate.code == "M1"  # as it was certified
    edits.undo(renamed.id)
    assert {code(market, one.public_id) for one in (sold, draft)} == {"M1"}
    assert found(market, "M1 가죽") == [sold.public_id]
    assert found(market, "k-77") == []


def test_listings_of_a_merged_product_go_over_and_come_back(
    market: Market, edits: CatalogueEdits
) -> None:
    seller = market.actors["seller"]
    first, other = market.draft(), market.draft(seed=3)
    market.goods.listings.change(other.public_id, ListingFields(code="M2"), seller)
    merged = edits.merge("M1", "M2")
    assert {code(market, one.public_id) for one in (first, other)} == {"M2"}
    edits.undo(merged.id)
    assert [code(market, one.public_id) for one in (first, other)] == ["M1", "M2"]


def test_what_a_seller_chose_since_stays_when_an_edit_is_undone(
    market: Market, edits: CatalogueEdits
) -> None:
    draft = market.draft()
    renamed = edits.rename("M1", "K-77")
    market.goods.listings.change(
        draft.public_id, ListingFields(code="M2"), market.actors["seller"], version=draft.version
    )
    edits.undo(renamed.id)
    assert code(market, draft.public_id) == "M2"
