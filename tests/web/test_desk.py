"""The expert's pages over a real server, without JavaScript: every step is a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, select

from satchel.catalog.database import writing
from satchel.catalog.tables import PhotoFiguresRow, ProductPhotoRow, ProductRow
from satchel.market.desk.opinions import opinions_on
from satchel.market.roles import Role
from satchel.web.market.desk_case import Choice, to_check
from satchel.workspace import Workspace
from support.goods import API, ok, photo, submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

ROLES = {
    "seller": Role.SELLER,
    "expert": Role.EXPERT,
    "second": Role.EXPERT,
    "admin": Role.ADMIN,
}
DEAR = 5_000_000


class Desk:
    """A market, and people who use its pages."""

    def __init__(self, app: FastAPI, clients: dict[str, httpx.Client]) -> None:
        self.market: Any = app.state.market
        self.clients = clients

    def see(self, who: str, path: str) -> str:
        answer = self.clients[who].get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, who: str, path: str, *, status: int = 303, **data: object) -> httpx.Response:
        headers = {"accept": "text/html"}
        answer = self.clients[who].post(path, data=data, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    def state(self, listing: str) -> str:
        return str(self.market.goods.listings.get(listing).state)

    def opinions(self, listing: str) -> list[Any]:
        return opinions_on(self.market.engine, self.market.goods.listings.get(listing))


@pytest.fixture
def desk(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[Desk]:
    app = market_app(own_workspace, second_expert_from_krw=DEAR)
    for name, role in ROLES.items():
        make_account(own_workspace, f"{name}@example.com", role)
    with run_server(app) as url, ExitStack() as stack:
        clients = {
            name: stack.enter_context(logged_in(url, f"{name}@example.com")) for name in ROLES
        }
        clients["nobody"] = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        yield Desk(app, clients)


def test_cases_follow_each_other_until_the_queue_is_empty(desk: Desk) -> None:
    assert "Nothing waits" in desk.see("expert", "/desk")
    first = submitted(desk.clients["seller"], CODES[0], seed=9)
    second = submitted(desk.clients["seller"], CODES[0], seed=40)
    page = desk.see("expert", "/desk")
    assert page.index(first) < page.index(second)
    assert "2 items wait" in page
    assert desk.send("expert", "/desk/next").headers["location"] == f"/desk/{first}"
    page = desk.see("expert", f"/desk/{first}")
    assert "&lt;b&gt;가죽&lt;/b&gt;" in page
    assert "You have it" in desk.see("expert", "/desk")
    assert "Expert has it" in desk.see("second", "/desk")
    assert first not in desk.see("second", "/desk?mine=true")
    on = desk.send("expert", f"/desk/{first}/certify", code=CODES[1], grade="B", seconds="11.5")
    assert on.headers["location"] == f"/desk/{second}?after={first}"
    assert f'Certified: <span class="model">{CODES[1]}' in desk.see(
        "expert", on.headers["location"]
    )
    (opinion,) = desk.opinions(first)
    assert (opinion.code, opinion.seller_code, opinion.seconds) == (CODES[1], CODES[0], 11.5)
    done = desk.send("expert", f"/desk/{second}/reject", reason="altered", text="잠금장치 교체")
    assert done.headers["location"] == f"/desk?after={second}"
    assert desk.state(second) == "rejected"
    assert 0 <= desk.opinions(second)[0].seconds < 60  # since it was claimed


def test_the_queue_is_filtered_and_a_filter_stays(desk: Desk) -> None:
    cheap = submitted(desk.clients["seller"], CODES[0], price_krw=400_000)
    dear = submitted(desk.clients["seller"], CODES[1], price_krw=900_000)
    page = desk.see("expert", "/desk?brand=Maison&from_krw=500,000&to_krw=")
    assert dear in page
    assert cheap not in page
    assert "<option selected>Maison</option>" in page
    assert dear not in desk.see("expert", f"/desk?from_krw={2**63}")  # beyond any column
    assert dear in desk.see("expert", f"/desk?to_krw={2**63}")
    on = desk.send("expert", "/desk/next?from_krw=500,000")
    assert on.headers["location"] == f"/desk/{dear}?from_krw=500%2C000"
    desk.send("expert", f"/desk/{dear}/release")
    assert desk.state(dear) == "submitted"
    assert "Nobody has this case" in desk.see("expert", f"/desk/{dear}")
    desk.send("expert", f"/desk/{dear}/claim")
    desk.send("expert", f"/desk/{dear}/renew", status=204)
    desk.send("second", f"/desk/{dear}/renew", status=409)
    desk.send("second", f"/desk/{cheap}/renew", status=409)  # keeping is not taking


def test_the_queue_is_filtered_by_state_and_by_second_opinions(desk: Desk) -> None:
    seller, expert = desk.clients["seller"], desk.clients["expert"]
    new, taken, opined = (
        submitted(seller, CODES[at], price_krw=price, seed=10 * at + 9)
        for at, price in enumerate((400_000, 500_000, DEAR))
    )
    for one in (opined, taken):
        ok(expert.post(f"{API}/desk/{one}/claim"))
    ok(expert.post(f"{API}/desk/{opined}/certify", json={"code": CODES[2], "seconds": 5}))
    for query, wanted in (
        ("", {new, taken, opined}),
        ("state=submitted", {new, opined}),
        ("state=in_review", {taken}),
        ("second=true", {opined}),
        ("state=in_review&second=true", set()),
    ):
        page = desk.see("second", f"/desk?{query}")
        assert {one for one in (new, taken, opined) if one in page} == wanted
        found = ok(desk.clients["second"].get(f"{API}/desk/queue?{query}"))
        assert {one["listing"]["id"] for one in found["waiting"]} == wanted
        assert found["total"] == len(wanted)
    on = desk.send("second", "/desk/next?second=true&state=submitted")
    assert on.headers["location"] == f"/desk/{opined}?state=submitted&second=True"
    assert desk.clients["second"].get(f"{API}/desk/queue?state=sold").status_code == 422


@pytest.mark.parametrize(
    ("step", "sent", "said"),
    [
        ("certify", {"code": "", "other": "nothing-like-it"}, "has this code"),
        ("reject", {"reason": "other"}, "Write why"),
        ("ask", {"text": "더 가까이"}, "Choose the photos"),
    ],
)
def test_what_is_missing_is_said_and_what_was_written_is_kept(
    desk: Desk, step: str, sent: dict[str, str], said: str
) -> None:
    listing = submitted(desk.clients["seller"], CODES[0])
    desk.send("expert", "/desk/next")
    page = desk.send("expert", f"/desk/{listing}/{step}", status=422, **sent).text
    assert said in page
    assert all(value in page for value in sent.values())
    assert desk.state(listing) == "in_review"


def test_a_case_of_another_expert_is_not_decided(desk: Desk) -> None:
    listing = submitted(desk.clients["seller"], CODES[0])
    desk.send("expert", "/desk/next")
    gone = desk.send("second", f"/desk/{listing}/certify", status=409, code=CODES[0])
    assert "not yours any more" in gone.text
    assert "Expert has it" in gone.text
    assert desk.state(listing) == "in_review"


def test_asked_photos_bring_a_case_back(desk: Desk) -> None:
    seller = desk.clients["seller"]
    listing = submitted(seller, CODES[0])
    desk.send("expert", "/desk/next")
    desk.send("expert", f"/desk/{listing}/ask", photo=["inside_tag", "sole"], other="끈 안쪽")
    assert desk.opinions(listing)[0].photos_asked == ("inside_tag", "sole", "끈 안쪽")
    named = {"upload": "tag-0001", "asked": "inside_tag"}
    sent = {"photo": ("tag.jpg", photo(12))}
    ok(seller.post(f"{API}/listings/{listing}/photos", data=named, files=sent), 201)
    ok(seller.post(f"{API}/listings/{listing}/steps/submit"))
    assert "Photos were added" in desk.see("expert", "/desk")
    assert "photo 2: inside tag" in desk.see("expert", f"/desk/{listing}")


def test_a_second_opinion_is_blind_and_a_dispute_is_open_to_an_admin(desk: Desk) -> None:
    listing = submitted(desk.clients["seller"], CODES[0], price_krw=DEAR)
    page, api = f"/desk/{listing}", f"{API}/desk/{listing}"
    secret = "각인이 다릅니다"
    desk.send("expert", "/desk/next")
    on = desk.send("expert", f"{page}/certify", code=CODES[2], grade="A", text=secret)
    assert on.headers["location"] == f"/desk?after={listing}"
    assert "another one is needed" in desk.see("expert", on.headers["location"])
    for who, knows in (("expert", True), ("second", False), ("admin", False)):
        assert (secret in desk.see(who, page)) is knows, who
        assert bool(ok(desk.clients[who].get(api))["opinions"]) is knows, who
    assert "Second opinion needed" in desk.see("second", "/desk")
    desk.send("second", "/desk/next")
    assert "decide by yourself" in desk.see("second", page)
    desk.send("second", f"{page}/reject", reason="counterfeit", text="바느질")
    assert desk.state(listing) == "submitted"
    assert "Disputed" in desk.see("expert", "/desk")
    desk.send("admin", "/desk/next")
    shown = desk.see("admin", page)
    assert secret in shown
    assert "바느질" in shown
    assert "· Second ·" in shown
    desk.send("admin", f"{page}/certify", code=CODES[2], grade="A")
    assert desk.state(listing) == "certified"
    assert secret in desk.see("second", page)


def test_a_photo_that_another_seller_uses_is_a_warning(
    desk: Desk, own_workspace: Workspace
) -> None:
    make_account(own_workspace, "thief@example.com")
    url = str(desk.clients["seller"].base_url)
    with logged_in(url, "thief@example.com") as thief:
        first = submitted(desk.clients["seller"], CODES[0])
        second = submitted(thief, CODES[0])
    page = desk.see("expert", f"/desk/{second}")
    assert "These photos were seen before" in page
    assert re.search(rf'href="/desk/{first}">In a listing of another seller', page)


def test_a_photo_of_the_catalogue_is_a_warning(desk: Desk) -> None:
    listing = submitted(desk.clients["seller"], CODES[0])
    (own,) = desk.market.goods.listings.get(listing).photos
    with writing(desk.market.engine) as connection, connection.begin():
        shown = select(ProductPhotoRow.photo_id).join(ProductRow).where(ProductRow.code == CODES[3])
        measured = {
            "photo_id": connection.scalars(shown).first(),
            "hash": own.hash,
            "pixel_digest": bytes(16),
            "informative": True,
            "figures": {},
            "content": {},
        }
        connection.execute(delete(PhotoFiguresRow))
        connection.execute(insert(PhotoFiguresRow).values(**measured))
    page = desk.see("expert", f"/desk/{listing}")
    assert re.search(rf'as a photo of <a href="/products/{CODES[3]}">', page)


def test_a_product_that_the_catalogue_lacks_is_shown_and_named(desk: Desk) -> None:
    seller = desk.clients["seller"]
    listing = str(ok(seller.post(f"{API}/listings"), 201)["id"])
    sent = {"photo": ("front.jpg", photo())}
    named = {"upload": "front-01"}
    ok(seller.post(f"{API}/listings/{listing}/photos", data=named, files=sent), 201)
    proposed = {"proposed": {"brand": "Maison", "name": "New <1>"}, "grade": "S"}
    ok(seller.patch(f"{API}/listings/{listing}", json=proposed))
    ok(seller.post(f"{API}/listings/{listing}/steps/submit"))
    assert "New &lt;1&gt;" in desk.see("expert", "/desk")
    desk.send("expert", "/desk/next")
    page = desk.see("expert", f"/desk/{listing}")
    assert 'id="compare"' not in page  # there is nothing to compare with yet
    assert "Proposed for the catalogue" in page
    desk.send("expert", f"/desk/{listing}/certify", other=CODES[0])
    assert desk.state(listing) == "certified"


def test_what_tells_candidates_apart_is_a_checklist(own_workspace: Workspace) -> None:
    def choice(code: str, confidence: float | None, *, sellers: bool = False) -> Choice:
        return Choice(code, "", None, None, confidence, sellers)

    catalogue = own_workspace.catalogue
    catalogue.edits.edit(CODES[1], {"colour": "red"})
    ranked = [choice(CODES[0], 0.6), choice(CODES[2], 0.01), choice("gone", 0.3)]
    assert to_check(catalogue, ranked) == ([], ())  # one that is worth it, and no other
    codes, found = to_check(catalogue, [*ranked, choice(CODES[1], None, sellers=True)])
    assert codes == [CODES[0], CODES[1]]
    assert [one.values for one in found if one.kind == "colour"] == [("brown", "red")]


def test_codes_are_searched(desk: Desk) -> None:
    assert f'value="{CODES[2]}"' in desk.see("expert", "/desk/codes?other=가방")


def test_regions_of_two_photos_are_for_experts_and_for_photos_that_there_are(desk: Desk) -> None:
    listing = submitted(desk.clients["seller"], CODES[0])
    own = desk.market.goods.listings.get(listing).photos[0].sha256
    product = ok(desk.clients["expert"].get(f"{API}/products/{CODES[0]}"))
    reference = re.search("[0-9a-f]{64}", product["photos"][0]["photo"])
    assert reference
    path = f"{API}/desk/{listing}/regions"
    given = {"photo": own, "reference": reference[0]}
    found = ok(desk.clients["expert"].get(path, params=given))
    expected = desk.market.regions.of(own, reference[0])
    assert [one["own"] for one in found["regions"]] == [list(one.own.xyxy) for one in expected]
    assert desk.clients["seller"].get(path, params=given).status_code == 403
    for changed, status in (
        ({"photo": "0" * 64}, 404),
        ({"reference": "0" * 64}, 404),
        ({"reference": "../../satchel.db"}, 422),
        ({"photo": ""}, 422),
    ):
        answer = desk.clients["expert"].get(path, params={**given, **changed})
        assert answer.status_code == status, answer.text


def test_an_admin_gives_a_case_to_an_expert(desk: Desk) -> None:
    listing = submitted(desk.clients["seller"], CODES[0])
    path = f"/desk/{listing}"
    assert "Assign for a day" not in desk.see("expert", path)
    page = desk.see("admin", path)
    options = dict(re.findall(r'<option value="(\d+)">([^<]+)</option>', page))
    assert sorted(options.values()) == ["Admin", "Expert", "Second"]
    number = {name: account for account, name in options.items()}["Second"]
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert csrf
    desk.send("expert", f"{path}/assign", status=403, expert=number)
    seller = desk.market.accounts.by_email("seller@example.com").id
    desk.send("admin", f"{path}/assign", status=403, expert=seller)
    desk.send("admin", f"{path}/assign", expert=number)
    assert "Second has it" in desk.see("expert", "/desk")
    assert "Assign for a day" not in desk.see("admin", path)
    desk.send("admin", f"{path}/assign", status=409, expert=number)
