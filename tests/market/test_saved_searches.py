from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from market.goods import Market
from satchel.catalog.database import writing
from satchel.errors import StorageError, UnknownSearch, UsageError
from satchel.jobs.queue import JobQueue
from satchel.jobs.records import Handler, JobState
from satchel.jobs.worker import Worker
from satchel.market.accounts.letters import Letter
from satchel.market.accounts.tables import AccountRow
from satchel.market.listings.records import Listing
from satchel.market.listings.states import StepName
from satchel.market.privacy.personal import delete_account
from satchel.market.sale.search_mails import MAIL, MATCH, SearchMails
from satchel.market.sale.searches import (
    MAX_SEARCHES,
    SavedSearches,
    address_of,
    title_of,
)
from satchel.market.sale.shelf import Wanted
from support.clock import Clock

URL = "https://shop.example.com"
BUYER, RIVAL, SELLER = 2, 3, 1
TIMED = (
    "satchel.jobs.queue.now",
    "satchel.jobs.leases.now",
    "satchel.market.sale.shelf.now",
    "satchel.market.sale.searches.now",
    "satchel.market.sale.search_mails.now",
)


class Shop:
    """A market whose clock a test moves, and the e-mails it sends."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.market = Market.make(folder)
        self.engine = self.market.goods.queue._engine
        self.clock = clock
        self.searches = SavedSearches(self.engine)
        self.letters: list[Letter] = []
        self.refuses = False
        mails = SearchMails(self.engine, self.market.goods.shelf, URL, self._send)
        self._worker = Worker(
            self.engine, {MATCH: Handler(mails.match), MAIL: Handler(mails.mail)}, poll_s=0.01
        )
        self.queue = JobQueue(self.engine)

    def _send(self, letter: Letter) -> None:
        if self.refuses:
            raise StorageError("the mail server sleeps")
        self.letters.append(letter)

    def offer(self) -> Listing:
        self.clock.pass_(seconds=1)
        return self.market.on_sale()

    def work(self) -> list[Letter]:
        """Run the jobs that are due; return the e-mails that were sent."""
        self.letters.clear()
        self._worker.run(once=True)
        return list(self.letters)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    clock = Clock()
    for name in TIMED:
        monkeypatch.setattr(name, clock)
    return Shop(tmp_path, clock)


def test_a_new_good_is_announced_once_to_those_whose_search_it_fits(shop: Shop) -> None:
    shop.offer()  # before anybody looked for it: not new
    fitting = shop.searches.save(BUYER, Wanted(text="디올 lady", colour=("black",)))
    shop.searches.save(RIVAL, Wanted(to_krw=999_999))
    shop.searches.save(SELLER, Wanted())  # own goods are no news
    listing = shop.offer()
    (letter,) = shop.work()
    assert letter.to == "buyer@example.com"
    assert letter.subject == "Satchel: New on sale: 디올 lady · black"
    assert letter.text.count("/goods/") == 1
    assert f"Dior Lady · A · ₩1,000,000\n{URL}/goods/{listing.public_id}\n" in letter.text
    assert f"{URL}{address_of(fitting.wanted)}\n" in letter.text
    assert letter.unsubscribe == f"{URL}/unsubscribe?token={fitting.token}"
    assert letter.unsubscribe in letter.text
    assert shop.work() == []
    shop.clock.pass_(hours=2)
    assert shop.work() == []


def test_what_comes_within_an_hour_of_an_e_mail_waits_for_the_next(shop: Shop) -> None:
    shop.searches.save(BUYER, Wanted(brand=("dior",)))
    shop.offer()
    assert len(shop.work()) == 1
    later = [shop.offer().public_id for _ in range(3)]
    assert shop.work() == []
    shop.clock.pass_(minutes=59)
    assert shop.work() == []
    shop.clock.pass_(minutes=1)
    (letter,) = shop.work()
    assert [one in letter.text for one in later] == [True] * 3
    assert letter.text.count("/goods/") == 3


def test_a_letter_in_korean_names_some_goods_and_counts_the_rest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satchel.market.sale.search_mails.MOST_NAMED", 1)
    with writing(shop.engine) as connection, connection.begin():
        connection.execute(update(AccountRow).where(AccountRow.id == BUYER).values(locale="ko"))
    shop.searches.save(BUYER, Wanted(), "모든 상품")
    shop.offer()
    last = shop.offer()
    (letter,) = shop.work()
    assert letter.subject == "Satchel: 새로 나온 상품: 모든 상품"
    assert letter.text.count("/goods/") == 1
    assert last.public_id in letter.text
    assert "외 1개가 더 있어요." in letter.text


def test_no_good_is_forgotten_where_the_mail_server_fails(shop: Shop) -> None:
    shop.searches.save(BUYER, Wanted())
    listing, shop.refuses = shop.offer(), True
    assert shop.work() == []
    shop.refuses = False
    shop.clock.pass_(minutes=30)
    assert shop.work() == []  # the hour has begun: no second try of an e-mail within it
    shop.clock.pass_(minutes=31)
    (letter,) = shop.work()
    assert listing.public_id in letter.text


def test_withdrawn_goods_switched_off_searches_and_gone_accounts_get_nothing(shop: Shop) -> None:
    shop.searches.save(BUYER, Wanted())
    listing = shop.offer()
    shop.market.step(listing, StepName.WITHDRAW, "seller")
    assert shop.work() == []
    off = shop.searches.set_mails(BUYER, shop.searches.of(BUYER)[0].id, on=False)
    shop.offer()
    assert shop.work() == []
    shop.searches.set_mails(BUYER, off.id, on=True)  # what came meanwhile is not new
    shop.clock.pass_(hours=2)
    assert shop.work() == []
    shop.offer()
    delete_account(shop.engine, BUYER)
    assert shop.work() == []
    assert shop.searches.of(BUYER) == []
    assert [one.error for one in shop.queue.jobs((JobState.FAILED,))] == []


def test_a_search_that_is_gone_when_its_e_mail_is_due_is_given_up(shop: Shop) -> None:
    saved = shop.searches.save(BUYER, Wanted())
    shop.queue.add(MAIL, {"search": saved.id})
    shop.searches.remove(BUYER, saved.id)
    assert shop.work() == []
    (failed,) = shop.queue.jobs((JobState.FAILED,))
    assert "saved search" in str(failed.error)


def test_searches_are_saved_named_and_deleted_by_their_owner_alone(shop: Shop) -> None:
    wanted = Wanted(text="lady", grade=("S", "A"), from_krw=1_000, to_krw=2_000_000)
    saved = shop.searches.save(BUYER, wanted)
    assert saved.name == title_of(wanted) == "lady · S · A · ≥ ₩1,000 · ≤ ₩2,000,000"
    assert shop.searches.save(BUYER, wanted, "another") == saved  # the same search, once
    assert shop.searches.rename(BUYER, saved.id, " 레이디 ") == replace(saved, name="레이디")
    for act in (
        lambda: shop.searches.rename(RIVAL, saved.id, "mine"),
        lambda: shop.searches.set_mails(RIVAL, saved.id, on=False),
        lambda: shop.searches.remove(RIVAL, saved.id),
        lambda: shop.searches.get(RIVAL, saved.id),
    ):
        with pytest.raises(UnknownSearch):
            act()
    for name in ("", "  ", "a" * 81, "a\nb"):
        with pytest.raises(UsageError, match="1 to 80"):
            shop.searches.rename(BUYER, saved.id, name)
    with pytest.raises(UsageError, match="sold"):
        shop.searches.save(BUYER, Wanted(sold=True))
    for number in range(MAX_SEARCHES - 1):
        shop.searches.save(BUYER, Wanted(text=str(number)))
    with pytest.raises(UsageError, match="at most 50"):
        shop.searches.save(BUYER, Wanted(text="one more"))
    shop.searches.remove(BUYER, saved.id)
    assert saved.id not in {one.id for one in shop.searches.of(BUYER)}


def test_an_address_leads_to_the_same_search() -> None:
    wanted = Wanted(text="디올 & co", brand=("A", "B"), grade=("A+",), codes=("M1",), to_krw=5)
    path = "/goods?q=%EB%94%94%EC%98%AC+%26+co&brand=A&brand=B&grade=A%2B&code=M1&to_krw=5"
    assert address_of(wanted) == path
    assert address_of(Wanted()) == "/goods"


def test_only_the_signed_link_stops_e_mails(shop: Shop) -> None:
    saved, other = shop.searches.save(BUYER, Wanted()), shop.searches.save(RIVAL, Wanted())
    signature = saved.token.partition("-")[2]
    altered = ("0" if signature[0] != "0" else "1") + signature[1:]
    forged = [f"{other.id}-{signature}", f"{saved.id}-{altered}", f"{saved.id}", "", "-", "9" * 90]
    for token in (*forged, f"{saved.id}-", f"²-{signature}", f"{saved.token}가"):
        with pytest.raises(UnknownSearch):
            shop.searches.unsubscribe(token)
    assert all(one.mails for one in (*shop.searches.of(BUYER), *shop.searches.of(RIVAL)))
    assert not shop.searches.unsubscribe(saved.token).mails
    assert not shop.searches.get(BUYER, saved.id).mails
    shop.offer()
    assert [letter.to for letter in shop.work()] == ["rival@example.com"]
