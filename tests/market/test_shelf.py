from __future__ import annotations

from pathlib import Path

from market.goods import Market
from satchel.market.listings.states import StepName
from satchel.market.sale.shelf import Wanted


def on_sale(market: Market) -> str:
    """Put a good on sale of which the machine has said something; return its id."""
    draft, expert = market.draft(), market.actors["expert"]
    market.goods.listings.remember_answer(
        draft.public_id, {"candidates": []}, market.actors["seller"], photos=draft.photos
    )
    market.step(draft, StepName.SUBMIT, "seller")
    market.goods.queue.claim(draft.public_id, expert)
    certified = market.goods.decisions.certify(draft.public_id, "M1", expert, seconds=9)
    return market.step(certified, StepName.OFFER, "seller").public_id


def test_the_newest_goods_are_the_first_that_are_found(tmp_path: Path) -> None:
    market = Market.make(tmp_path)
    offered = [on_sale(market) for _ in range(5)]
    shelf, dior = market.goods.shelf, Wanted(brand=("Dior",))
    found = shelf.find(dior)
    assert found.total == 5
    assert {one.public_id for one in found.listings} == set(offered)
    for most in (1, 3, 5, 9):
        assert tuple(shelf.newest(dior, most)) == found.listings[:most]
    assert shelf.newest(Wanted(codes=("M2",)), 9) == []


def test_what_the_machine_said_is_not_read_for_everybody(tmp_path: Path) -> None:
    market = Market.make(tmp_path)
    offered = on_sale(market)
    (shown,) = market.goods.shelf.find(Wanted()).listings
    known = market.goods.listings.get(offered)
    assert known.machine == {"candidates": []}
    assert shown.machine is None
    assert shown.photos == known.photos
