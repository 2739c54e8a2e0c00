from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from market.goods import Market
from satchel.catalog.database import writing
from satchel.catalog.tables import ProductRow
from satchel.market.listings.states import StepName
from satchel.market.sale.colours import COLOURS, names_of_colour
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


@pytest.mark.parametrize("names", COLOURS)
def test_a_colour_is_found_by_each_of_its_names(names: frozenset[str]) -> None:
    assert all(names_of_colour(name) == names for name in names)
    assert all(names_of_colour(name.upper()) == names for name in names)


def test_words_name_one_colour_at_most_and_others_none() -> None:
    words = [name for names in COLOURS for name in names]
    assert len(words) == len(set(words))
    assert names_of_colour("lady") == names_of_colour("") == frozenset()


@pytest.mark.parametrize("colour", ["Black", "블랙", "Matt black"])
def test_goods_are_found_by_the_names_of_their_colour(tmp_path: Path, colour: str) -> None:
    market = Market.make(tmp_path)
    engine = market.goods.queue._engine
    with writing(engine) as connection, connection.begin():
        black = update(ProductRow).where(ProductRow.code == "M1").values(colour=colour)
        connection.execute(black)
    offered = on_sale(market)
    for text in ("black", "블랙", "검정", "검은색 lady", "Lady BLACK"):
        found = market.goods.shelf.find(Wanted(text=text))
        assert [one.public_id for one in found.listings] == [offered], text
    for text in ("red", "빨간", "검정 speedy"):
        assert market.goods.shelf.find(Wanted(text=text)).total == 0, text
