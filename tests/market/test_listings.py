from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier, Thread

import pytest
from PIL import Image
from pydantic import ValidationError
from sqlalchemy import update

from market.goods import Market, jpeg
from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import (
    CatalogueError,
    Forbidden,
    PhotoError,
    SatchelError,
    StateConflict,
    UnknownListing,
    UsageError,
)
from satchel.market.desk.opinions import opinions_on
from satchel.market.desk.records import Certificate, OpinionKind, Reason
from satchel.market.listings.fields import Grade, ListingFields, ProposedProduct
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, State, StepName
from satchel.market.listings.store import MAX_DRAFTS
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role
from satchel.market.sale.shelf import Order, Wanted
from satchel.market.sale.tables import ReservationRow
from satchel.records import Box


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market.make(tmp_path)


def test_an_upload_that_is_sent_twice_is_stored_once(market: Market) -> None:
    seller = market.actors["seller"]
    listing = market.goods.listings.create(seller)
    first = market.photos.add(listing.public_id, "upload-1", jpeg(1), seller)
    again = market.photos.add(listing.public_id, "upload-1", b"cut off", seller)
    same = market.photos.add(listing.public_id, "upload-2", jpeg(1), seller)
    assert first.photos == again.photos == same.photos
    assert len(first.photos) == 1


def test_where_a_photo_was_taken_is_not_stored(market: Market) -> None:
    image = Image.open(BytesIO(jpeg(1)))
    exif = image.getexif()
    exif[0x010F] = "A phone"
    exif.get_ifd(0x8825)[1] = "N"
    sent = BytesIO()
    image.save(sent, "JPEG", exif=exif)
    seller = market.actors["seller"]
    listing = market.goods.listings.create(seller)
    stored = market.photos.add(listing.public_id, "upload-1", sent.getvalue(), seller).photos[0]
    assert not Image.open(BytesIO(market.photos.read(stored.sha256))).getexif()


def test_photos_are_ordered_boxed_and_removed_with_their_file(market: Market) -> None:
    seller = market.actors["seller"]
    listing = market.goods.listings.create(seller)
    for seed in (1, 2, 3):
        listing = market.photos.add(listing.public_id, f"upload-{seed}", jpeg(seed), seller)
    hashes = [photo.sha256 for photo in listing.photos]
    turned = market.photos.order(listing.public_id, hashes[::-1], seller)
    assert [photo.sha256 for photo in turned.photos] == hashes[::-1]
    boxed = market.photos.set_box(listing.public_id, hashes[0], Box(0, 0, 0.5, 1), seller)
    assert boxed.photos[-1].box == Box(0, 0, 0.5, 1)
    left = market.photos.remove(listing.public_id, hashes[1], seller)
    assert [photo.sha256 for photo in left.photos] == [hashes[2], hashes[0]]
    with pytest.raises(CatalogueError):
        market.photos.read(hashes[1])
    with pytest.raises(UsageError, match="once"):
        market.photos.order(listing.public_id, [hashes[0]], seller)


def test_a_file_that_another_listing_shows_stays(market: Market) -> None:
    seller = market.actors["seller"]
    listings = [market.goods.listings.create(seller).public_id for _ in range(2)]
    for listing in listings:
        photo = market.photos.add(listing, "upload-1", jpeg(1), seller).photos[0]
    market.photos.remove(listings[0], photo.sha256, seller)
    assert market.photos.read(photo.sha256)
    assert market.photos.sweep() == []


def test_what_a_certificate_names_stays_though_its_seller_revises_the_listing(
    market: Market,
) -> None:
    seller, listing = market.actors["seller"], market.certified()
    certificate = market.goods.decisions.certificate_of(listing)
    assert certificate is not None
    market.step(listing, StepName.WITHDRAW, "seller")
    market.step(listing, StepName.REVISE, "seller")
    (named,) = certificate.photos
    market.photos.add(listing.public_id, "upload-2", jpeg(2), seller)
    assert len(market.photos.remove(listing.public_id, named, seller).photos) == 1
    assert market.photos.read(named)
    assert market.photos.sweep() == []
    again = market.draft(seed=0)  # the same photo, of a listing that was never certified
    assert again.photos[0].sha256 == named
    market.photos.remove(again.public_id, named, seller)
    assert market.photos.read(named)


def test_files_that_no_row_names_are_swept(market: Market) -> None:
    lost = market.photos.store.put(b"left by a kill")
    assert market.photos.sweep() == [lost]
    with pytest.raises(CatalogueError):
        market.photos.read(lost)


@pytest.mark.parametrize("upload", ["short", "../../etc/passwd", "a" * 65, "with space"])
def test_names_of_uploads_are_checked(market: Market, upload: str) -> None:
    seller = market.actors["seller"]
    listing = market.goods.listings.create(seller)
    with pytest.raises(UsageError, match="upload's name"):
        market.photos.add(listing.public_id, upload, jpeg(1), seller)


def test_what_is_no_photo_changes_nothing(market: Market) -> None:
    seller = market.actors["seller"]
    listing = market.goods.listings.create(seller)
    with pytest.raises(PhotoError):
        market.photos.add(listing.public_id, "upload-1", b"no photo", seller)
    assert market.goods.listings.get(listing.public_id) == listing


def test_another_seller_changes_nothing(market: Market) -> None:
    draft = market.draft()
    for who in ("buyer", "expert", "admin"):
        other = market.actors[who]
        with pytest.raises(Forbidden):
            market.goods.listings.change(draft.public_id, ListingFields(text="mine"), other)
        with pytest.raises(Forbidden):
            market.photos.add(draft.public_id, "upload-9", jpeg(9), other)
        with pytest.raises(Forbidden):
            market.photos.remove(draft.public_id, draft.photos[0].sha256, other)
    assert market.goods.listings.get(draft.public_id) == draft


def test_a_code_and_a_proposal_exclude_each_other(market: Market) -> None:
    seller, draft = market.actors["seller"], market.draft()
    proposal = ListingFields(proposed=ProposedProduct(name="A bag that nobody lists"))
    proposed = market.goods.listings.change(draft.public_id, proposal, seller)
    assert (proposed.code, proposed.grade) == (None, Grade.A)
    coded = market.goods.listings.change(draft.public_id, ListingFields(code="M2"), seller)
    assert (coded.code, coded.proposed) == ("M2", None)
    with pytest.raises(CatalogueError, match="M99"):
        market.goods.listings.change(draft.public_id, ListingFields(code="M99"), seller)


@pytest.mark.parametrize(
    "fields",
    [
        {"price_krw": -1},
        {"price_krw": 1_500},
        {"price_krw": 10**12},
        {"grade": "Z"},
        {"size": "x" * 201},
        {"text": "a\x00b"},
        {"state": "certified"},
        {"seller_id": 2},
    ],
)
def test_fields_are_checked(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ListingFields.model_validate(fields)


def test_pasted_text_is_kept_as_people_write_it() -> None:
    family = "👨\u200d👩\u200d👧"
    fields = ListingFields(text=f"가방\r\n{family}\t새것")
    assert fields.text == f"가방\n{family} 새것"


def test_a_change_to_an_old_version_is_refused(market: Market) -> None:
    draft, seller = market.draft(), market.actors["seller"]
    market.goods.listings.change(draft.public_id, ListingFields(size="30"), seller)
    with pytest.raises(StateConflict, match="was changed since"):
        market.goods.listings.change(
            draft.public_id, ListingFields(size="35"), seller, version=draft.version
        )


def test_a_seller_has_few_drafts(market: Market) -> None:
    listings, seller = market.goods.listings, market.actors["seller"]
    drafts = [listings.create(seller).public_id for _ in range(MAX_DRAFTS)]
    with pytest.raises(UsageError, match="at most 50 drafts"):
        listings.create(seller)
    listings.step(drafts[0], StepName.WITHDRAW, seller)
    listings.create(seller)


def test_a_draft_that_nothing_was_done_with_is_taken_again(market: Market) -> None:
    listings, seller = market.goods.listings, market.actors["seller"]
    first, start = listings.create(seller), Barrier(4)
    assert listings.create(seller).public_id != first.public_id  # as programs do

    def press() -> None:
        start.wait()
        found.append(listings.create(market.actors["buyer"], reuse=True).public_id)

    found: list[str] = []
    presses = [Thread(target=press) for _ in range(4)]
    for one in presses:
        one.start()
    for one in presses:
        one.join()
    assert len(found) == 4
    (same,) = set(found)
    listings.change(same, ListingFields(size="30"), market.actors["buyer"])
    assert listings.create(market.actors["buyer"], reuse=True).public_id != same


def test_an_incomplete_draft_says_what_is_missing(market: Market) -> None:
    listing = market.goods.listings.create(market.actors["seller"])
    with pytest.raises(UsageError, match=r"a photo, a style code, .*, a condition grade"):
        market.step(listing, StepName.SUBMIT, "seller")


def test_the_queue_gives_each_listing_to_one_expert(market: Market) -> None:
    first, second = market.submitted(), market.submitted()
    queue, expert, other = market.goods.queue, market.actors["expert"], market.actors["second"]
    assert [one.listing.public_id for one in queue.waiting()[1]] == [
        first.public_id,
        second.public_id,
    ]
    claimed = queue.claim_next(expert)
    assert claimed is not None
    assert claimed.public_id == first.public_id
    with pytest.raises(StateConflict, match="another expert has"):
        queue.claim(first.public_id, other)
    following = queue.claim_next(other)
    assert following is not None
    assert following.public_id == second.public_id
    assert queue.claim_next(market.actors["admin"]) is None


def test_a_lease_that_ended_is_open_to_others(market: Market) -> None:
    listing = market.submitted()
    market.goods.queue.claim(listing.public_id, market.actors["expert"])
    with writing(market.goods.queue._engine) as connection, connection.begin():
        connection.execute(update(ListingRow).values(claimed_until=now() - timedelta(seconds=1)))
    after = market.goods.queue.claim(listing.public_id, market.actors["second"])
    assert after.claimed_by == market.actors["second"].account
    with pytest.raises(StateConflict, match="claimed"):
        market.goods.decisions.certify(listing.public_id, "M1", market.actors["expert"], seconds=1)
    with writing(market.goods.queue._engine) as connection, connection.begin():
        connection.execute(update(ListingRow).values(claimed_until=now() - timedelta(seconds=1)))
    assert market.goods.queue.release_expired() == 1
    assert market.goods.listings.get(listing.public_id).state is State.SUBMITTED


def test_asked_photos_come_back_to_the_same_place_in_the_queue(market: Market) -> None:
    first, second = market.submitted(), market.submitted()
    expert, seller = market.actors["expert"], market.actors["seller"]
    market.goods.queue.claim(first.public_id, expert)
    market.goods.decisions.ask(first.public_id, ["inside_tag"], expert, seconds=4)
    market.photos.add(first.public_id, "upload-9", jpeg(9), seller, asked="inside_tag")
    market.step(first, StepName.SUBMIT, "seller")
    waiting = market.goods.queue.waiting()[1]
    assert [one.listing.public_id for one in waiting] == [first.public_id, second.public_id]
    assert waiting[0].listing.photos[-1].asked == "inside_tag"


def _asked(market: Market) -> Listing:
    listing, expert = market.submitted(), market.actors["expert"]
    market.goods.queue.claim(listing.public_id, expert)
    return market.goods.decisions.ask(
        listing.public_id, ["inside_tag", "끈 안쪽"], expert, seconds=4
    )


def test_asked_photos_are_answered_with_a_photo_or_in_words(market: Market) -> None:
    seller, refused = market.actors["seller"], "inside tag, 끈 안쪽; add one, or say"
    listing = _asked(market)
    with pytest.raises(UsageError, match=refused):
        market.step(listing, StepName.SUBMIT, "seller")
    same = ListingFields(text=listing.text, defects="", price_krw=2_000_000)
    market.goods.listings.change(listing.public_id, same, seller)  # as the form sends it
    with pytest.raises(UsageError, match=refused):
        market.step(listing, StepName.SUBMIT, "seller")
    added = market.photos.add(listing.public_id, "upload-9", jpeg(9), seller)
    market.photos.remove(listing.public_id, added.photos[-1].sha256, seller)
    with pytest.raises(UsageError, match=refused):
        market.step(listing, StepName.SUBMIT, "seller")
    market.goods.listings.change(listing.public_id, ListingFields(text="태그가 없음"), seller)
    assert market.step(listing, StepName.SUBMIT, "seller").state is State.SUBMITTED
    shown = _asked(market)
    market.photos.add(shown.public_id, "upload-9", jpeg(9), seller)
    assert market.step(shown, StepName.SUBMIT, "seller").state is State.SUBMITTED


def test_a_corrected_code_is_certified_as_the_expert_says(market: Market) -> None:
    listing, expert = market.submitted(), market.actors["expert"]
    market.goods.queue.claim(listing.public_id, expert)
    certified = market.goods.decisions.certify(
        listing.public_id, "M2", expert, seconds=12, grade=Grade.B
    )
    assert (certified.state, certified.code, certified.grade) == (State.CERTIFIED, "M2", Grade.B)
    certificate = market.goods.decisions.certificate_of(certified)
    assert certificate is not None
    assert certificate.holds
    assert certificate.experts == (expert.account,)
    assert certificate.product["colour"] == "red"
    details = market.goods.listings.events(listing.public_id)[-1].details
    assert details["corrected"]


def test_above_a_price_two_experts_must_agree(tmp_path: Path) -> None:
    market = Market.make(tmp_path, second_from_krw=5_000_000)
    listing = market.submitted(price_krw=5_000_000)
    queue, decisions = market.goods.queue, market.goods.decisions
    expert, second = market.actors["expert"], market.actors["second"]
    queue.claim(listing.public_id, expert)
    after = decisions.certify(listing.public_id, "M1", expert, seconds=3)
    assert after.state is State.SUBMITTED
    with pytest.raises(Forbidden, match="second expert"):
        queue.claim(listing.public_id, expert)
    queue.claim(listing.public_id, second)
    done = decisions.certify(listing.public_id, "M1", second, seconds=3)
    certificate = decisions.certificate_of(done)
    assert certificate is not None
    assert certificate.experts == (expert.account, second.account)


def test_where_experts_disagree_an_admin_decides(tmp_path: Path) -> None:
    market = Market.make(tmp_path, second_from_krw=5_000_000)
    listing = market.submitted(price_krw=5_000_000)
    queue, decisions = market.goods.queue, market.goods.decisions
    queue.claim(listing.public_id, market.actors["expert"])
    decisions.certify(listing.public_id, "M1", market.actors["expert"], seconds=3)
    queue.claim(listing.public_id, market.actors["second"])
    after = decisions.reject(
        listing.public_id, Reason.COUNTERFEIT, market.actors["second"], seconds=3
    )
    assert after.state is State.SUBMITTED
    with pytest.raises(Forbidden, match="disagree"):
        queue.claim(listing.public_id, Actor(99, Role.EXPERT))
    queue.claim(listing.public_id, market.actors["admin"])
    done = decisions.certify(listing.public_id, "M1", market.actors["admin"], seconds=3)
    certificate = decisions.certificate_of(done)
    assert certificate is not None
    assert certificate.experts == (
        market.actors["expert"].account,
        market.actors["admin"].account,
    )


def test_a_revised_listing_starts_with_no_opinions(market: Market) -> None:
    listing, expert = market.submitted(), market.actors["expert"]
    market.goods.queue.claim(listing.public_id, expert)
    rejected = market.goods.decisions.reject(
        listing.public_id, Reason.NOT_ENOUGH_SHOWN, expert, seconds=2
    )
    market.step(rejected, StepName.REVISE, "seller")
    market.step(listing, StepName.SUBMIT, "seller")
    assert market.goods.queue.waiting()[1][0].standing.opinions == ()
    assert market.goods.queue.claim(listing.public_id, expert).state is State.IN_REVIEW


def test_a_revoked_certificate_takes_the_good_off_sale(market: Market) -> None:
    listing = market.on_sale()
    certificate = market.goods.decisions.certificate_of(listing)
    assert certificate is not None
    with pytest.raises(Forbidden):
        market.goods.decisions.revoke(certificate.public_id, market.actors["expert"], "forged")
    market.goods.decisions.revoke(certificate.public_id, market.actors["admin"], "forged")
    assert market.goods.listings.get(listing.public_id).state is State.REJECTED
    assert not market.goods.decisions.certificate(certificate.public_id).holds
    assert market.goods.shelf.find(Wanted()).total == 0


def _certificate(market: Market, listing: Listing) -> Certificate:
    found = market.goods.decisions.certificate_of(listing)
    assert found is not None
    return found


def test_a_certificate_ends_when_its_seller_revises_the_listing(market: Market) -> None:
    listing, expert = market.certified(), market.actors["expert"]
    first = _certificate(market, listing).public_id
    market.step(listing, StepName.WITHDRAW, "seller")
    assert market.goods.decisions.certificate(first).holds
    revised = market.step(listing, StepName.REVISE, "seller")
    ended = market.goods.decisions.certificate(first)
    assert not ended.holds
    assert ended.revoked_at is None
    assert ended.superseded_at is not None
    assert market.goods.decisions.certificate_of(revised) is None
    market.step(listing, StepName.SUBMIT, "seller")
    market.goods.queue.claim(listing.public_id, expert)
    again = market.goods.decisions.certify(listing.public_id, "M1", expert, seconds=1)
    assert _certificate(market, again).public_id != first
    market.step(listing, StepName.OFFER, "seller")
    after = market.goods.decisions.revoke(first, market.actors["admin"], "forged")
    assert after.state is State.ON_SALE  # under the other one
    assert market.goods.decisions.certificate(first).revoked_at is not None
    assert _certificate(market, after).holds


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (State.CERTIFIED, State.REJECTED),
        (State.ON_SALE, State.REJECTED),
        (State.WITHDRAWN, State.WITHDRAWN),
        (State.RESERVED, State.REJECTED),
        (State.SOLD, State.SOLD),
        (State.RETURNED, State.REJECTED),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_certificate_is_revoked_in_every_state(
    market: Market, state: State, then: State, *, own: bool
) -> None:
    """By an admin, of their own listing too."""
    admin = Actor(market.actors["seller"].account, Role.ADMIN) if own else market.actors["admin"]
    listing = market.certified() if state is State.CERTIFIED else market.on_sale()
    if state is State.WITHDRAWN:
        market.step(listing, StepName.WITHDRAW, "seller")
    elif state not in {State.CERTIFIED, State.ON_SALE}:
        market.goods.reservations.reserve(listing.public_id, market.actors["buyer"])
    if state in {State.SOLD, State.RETURNED}:
        market.goods.reservations.sell(listing.public_id, market.actors["seller"])
    if state is State.RETURNED:
        market.step(listing, StepName.RETURN, "seller")
    number = _certificate(market, listing).public_id
    after = market.goods.decisions.revoke(number, admin, "forged")
    assert after.state is then
    assert not market.goods.decisions.certificate(number).holds
    assert market.goods.reservations.of_listing(after) is None
    if then is State.SOLD:
        market.step(listing, StepName.RETURN, "seller")
        with pytest.raises(StateConflict, match="no longer holds"):
            market.step(listing, StepName.OFFER, "seller")
    with pytest.raises(StateConflict, match="revoked before"):
        market.goods.decisions.revoke(number, admin, "forged")


def test_what_was_decided_cannot_be_changed(market: Market) -> None:
    market.certified()
    engine = market.goods.queue._engine
    for table in ("opinions", "listing_events"):
        for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):
            with writing(engine) as connection, pytest.raises(Exception, match="append-only"):  # noqa: PT012
                connection.begin()
                connection.exec_driver_sql(statement)


def test_the_shelf_follows_every_step(market: Market) -> None:
    listing = market.on_sale()
    shelf, reservations = market.goods.shelf, market.goods.reservations
    for text in ("디올", "dior LADY", "m1", "가죽", "black bag", "가방", "방"):
        assert shelf.find(Wanted(text=text)).total == 1, text
    assert shelf.find(Wanted(text="red")).total == 0
    assert shelf.find(Wanted(brand=("크리스찬 디올",), to_krw=1_000_000)).total == 1
    facets = {facet.attribute: facet.values for facet in shelf.facets(Wanted())}
    assert [(one.value, one.products) for one in facets["brand"]] == [("Dior", 1)]
    reservations.reserve(listing.public_id, market.actors["buyer"])
    assert shelf.find(Wanted()).total == 0
    reservations.cancel(listing.public_id, market.actors["buyer"])
    assert shelf.find(Wanted(), order=Order.CHEAPEST).total == 1
    reservations.reserve(listing.public_id, market.actors["buyer"])
    reservations.sell(listing.public_id, market.actors["seller"])
    assert shelf.find(Wanted(sold=True)).total == 1
    assert shelf.price_hint("M1") is None
    hint = shelf.price_hint("M1", fewest=1)
    assert hint is not None
    assert hint.median_krw == 1_000_000


def test_only_those_concerned_end_a_reservation(market: Market) -> None:
    listing = market.on_sale()
    reservations = market.goods.reservations
    with pytest.raises(StateConflict, match="for buyer"):
        reservations.reserve(listing.public_id, market.actors["seller"])
    reservations.reserve(listing.public_id, market.actors["buyer"])
    with pytest.raises(Forbidden):
        reservations.cancel(listing.public_id, market.actors["rival"])
    with pytest.raises(StateConflict):
        reservations.sell(listing.public_id, market.actors["buyer"])
    assert reservations.cancel(listing.public_id, market.actors["seller"]).state is State.ON_SALE


def test_a_reservation_expires(market: Market) -> None:
    listing = market.on_sale()
    market.goods.reservations.reserve(listing.public_id, market.actors["buyer"])
    assert market.goods.reservations.expire() == 0
    with writing(market.goods.queue._engine) as connection, connection.begin():
        connection.execute(update(ReservationRow).values(expires_at=now() - timedelta(seconds=1)))
    assert market.goods.reservations.expire() == 1
    assert market.goods.listings.get(listing.public_id).state is State.ON_SALE
    assert market.goods.reservations.of_listing(listing) is None


@pytest.mark.flow
def test_of_two_buyers_at_once_one_wins(market: Market) -> None:
    listing = market.on_sale().public_id
    reservations = market.goods.reservations
    for _ in range(200):
        assert _at_once(lambda who: reservations.reserve(listing, market.actors[who])) == 1
        reservations.cancel(listing, market.actors["admin"])


@pytest.mark.flow
def test_of_two_experts_at_once_one_wins(market: Market) -> None:
    listing = market.submitted().public_id
    queue = market.goods.queue
    people = {"buyer": "expert", "rival": "second"}
    for _ in range(200):
        assert _at_once(lambda who: queue.claim(listing, market.actors[people[who]])) == 1
        queue.release(listing, market.actors["admin"])


def _at_once(act: Callable[[str], object]) -> int:
    """Let two people act at the same moment; return how many succeeded."""
    barrier, won = Barrier(2), []

    def run(who: str) -> None:
        barrier.wait()
        try:
            act(who)
            won.append(who)
        except SatchelError:
            pass

    threads = [Thread(target=run, args=(who,)) for who in ("buyer", "rival")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won)


def test_unknown_listings_and_certificates(market: Market) -> None:
    with pytest.raises(UnknownListing):
        market.goods.listings.get("none")
    with pytest.raises(UnknownListing):
        market.goods.decisions.certificate("none")


def test_what_experts_said_is_kept_with_what_the_machine_had_said(market: Market) -> None:
    draft, seller, expert = market.draft(), market.actors["seller"], market.actors["expert"]
    answer = {"space": "abc", "candidates": [{"code": "M2"}]}
    market.goods.listings.remember_answer(draft.public_id, answer, seller, photos=draft.photos)
    market.step(draft, StepName.SUBMIT, "seller")
    market.goods.queue.claim(draft.public_id, expert)
    market.goods.decisions.certify(draft.public_id, "M1", expert, seconds=7.5, text="확인")
    listing = market.goods.listings.get(draft.public_id)
    (opinion,) = opinions_on(market.goods.queue._engine, listing)
    assert (opinion.kind, opinion.code, opinion.seconds) == (OpinionKind.CERTIFY, "M1", 7.5)
    assert opinion.machine == answer
