from __future__ import annotations

from pathlib import Path

import pytest

from market.goods import Market
from satchel.images import decode, encode_jpeg
from satchel.market.desk.seen import seen_before
from satchel.market.listings.states import State
from support.pictures import MAISON


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market.make(tmp_path)


def test_a_photo_that_was_saved_anew_is_found_in_another_listing(market: Market) -> None:
    mine, other = market.draft(seed=1), market.draft(seed=2)
    seller, buyer = market.actors["seller"], market.actors["buyer"]
    photo = sorted(MAISON.glob("**/*.jpg"))[0].read_bytes()
    market.photos.add(mine.public_id, "upload-2", photo, seller)
    stolen = market.goods.listings.create(buyer)
    copy = encode_jpeg(decode(photo), 40)
    theirs = market.photos.add(stolen.public_id, "upload-1", copy, buyer)
    (found,) = seen_before(market.goods.queue._engine, theirs)
    assert found.listing == mine.public_id
    assert (found.state, found.same_seller) == (State.DRAFT, False)
    assert found.photo == theirs.photos[0].sha256
    assert seen_before(market.goods.queue._engine, other) == []


def test_a_seller_who_lists_a_good_twice_is_named(market: Market) -> None:
    first, second = market.draft(seed=1), market.draft(seed=1)
    (found,) = seen_before(market.goods.queue._engine, second)
    assert found.listing == first.public_id
    assert found.same_seller
    assert found.distance == 0
