"""Certificates: everybody verifies them, an admin revokes them, a PDF prints them."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.desk.records import Certificate
from satchel.market.listings.fields import Grade
from satchel.market.roles import Role
from satchel.web.market.certificate_pdf import certificate_pdf
from satchel.workspace import Workspace
from support.goods import API, ok, photo, submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

PAGE = {"accept": "text/html"}
HOME = "https://shop.example.com"


@pytest.fixture
def people(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[dict[str, httpx.Client]]:
    app = market_app(own_workspace)
    roles = {"seller": Role.SELLER, "expert": Role.EXPERT, "admin": Role.ADMIN}
    for name, role in roles.items():
        make_account(own_workspace, f"{name}@example.com", role)
    with run_server(app) as url, ExitStack() as stack:
        clients = {
            name: stack.enter_context(logged_in(url, f"{name}@example.com")) for name in roles
        }
        clients["nobody"] = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        yield clients


def certified(people: dict[str, httpx.Client]) -> str:
    """The number of a certificate."""
    listing = submitted(people["seller"], CODES[2])
    ok(people["expert"].post(f"{API}/desk/{listing}/claim"))
    given = {"code": CODES[2], "seconds": 4}
    ok(people["expert"].post(f"{API}/desk/{listing}/certify", json=given))
    events = ok(people["seller"].get(f"{API}/listings/{listing}/events"))
    return str(events[-1]["details"]["certificate"])


def test_everybody_verifies_and_an_admin_revokes(people: dict[str, httpx.Client]) -> None:
    nobody, admin = people["nobody"], people["admin"]
    number = certified(people)
    found = nobody.get("/certificates", params={"number": f" {HOME}/certificates/{number} "})
    assert found.headers["location"] == f"/certificates/{number}"
    page = nobody.get(f"/certificates/{number}", headers=PAGE).text
    assert "This certificate is valid." in page
    assert f"http://localhost:8000/certificates/{number}" in page
    assert "1 expert<" in page
    assert "Expert" not in re.sub(r"<[^>]+>", "", page)  # no name of an account
    assert "Revoke" not in page
    assert "감정사 1명" in nobody.get(f"/certificates/{number}?lang=ko", headers=PAGE).text

    address = f"/certificates/{number}/revoke"
    assert people["expert"].post(address, data={"why": "x"}, headers=PAGE).status_code == 403
    assert "Say why" in admin.post(address, data={"why": " "}, headers=PAGE).text
    assert admin.post(address, data={"why": "위조로 확인됨"}).status_code == 303
    again = admin.post(address, data={"why": "위조"}, headers=PAGE)
    assert again.status_code == 409
    page = nobody.get(f"/certificates/{number}?lang=en", headers=PAGE).text
    assert "REVOKED" in page
    assert "is valid." not in page
    assert "위조로 확인됨" not in page
    assert "위조로 확인됨" in admin.get(f"/certificates/{number}", headers=PAGE).text


def test_photos_of_a_certificate_are_shown_though_its_listing_has_others(
    people: dict[str, httpx.Client],
) -> None:
    seller, nobody = people["seller"], people["nobody"]
    number = certified(people)
    (listed,) = ok(seller.get(f"{API}/listings"))["listings"]
    address = f"{API}/listings/{listed['id']}"
    for step in ("withdraw", "revise"):
        ok(seller.post(f"{address}/steps/{step}"))
    sent = {"photo": ("other.jpg", photo(31))}
    ok(seller.post(f"{address}/photos", data={"upload": "other-01"}, files=sent), 201)
    (named,) = ok(nobody.get(f"{API}/certificates/{number}"))["photos"]
    assert seller.delete(f"{address}/photos/{named}").is_success
    (other,) = ok(seller.get(address))["photos"]
    shown = f"{API}/certificates/{number}/photos"
    assert nobody.get(f"{shown}/{named}").headers["content-type"] == "image/jpeg"
    assert nobody.get(f"{shown}/{other['sha256']}").status_code == 404
    assert nobody.get(f"/certificates/{number}.pdf").content.startswith(b"%PDF")
    said = ok(nobody.get(f"{API}/certificates/{number}"))
    assert (said["holds"], said["revoked_at"]) == (False, None)
    assert said["superseded_at"]
    page = nobody.get(f"/certificates/{number}?lang=en", headers=PAGE).text
    assert "WITHDRAWN: its seller has revised the listing." in page
    assert "is valid." not in page
    korean = nobody.get(f"/certificates/{number}?lang=ko", headers=PAGE).text
    assert "판매자가 상품 정보를 수정해서 효력이 끝난 보증서예요." in korean
    revoked = people["admin"].post(f"/certificates/{number}/revoke", data={"why": "위조"})
    assert revoked.status_code == 303
    assert "REVOKED" in nobody.get(f"/certificates/{number}?lang=en", headers=PAGE).text


def test_an_expert_with_open_cases_is_shown_the_page(
    people: dict[str, httpx.Client], own_workspace: Workspace
) -> None:
    catalogue = own_workspace.catalogue
    link = catalogue.review.of_product(CODES[0])[0].link_id
    catalogue.curation.set_states([(link, "doubtful", [{"kind": "blurred"}])])
    page = people["expert"].get("/certificates?number=made-up", headers=PAGE)
    assert page.status_code == 404
    assert '<span class="badge">1</span>' in page.text


def test_a_number_that_does_not_exist_is_no_certificate(people: dict[str, httpx.Client]) -> None:
    nobody = people["nobody"]
    answer = nobody.get("/certificates?number=made-up", headers=PAGE)
    assert answer.status_code == 404
    assert "There is no certificate with this number" in answer.text
    assert nobody.get("/certificates/made-up", headers=PAGE).status_code == 404
    assert nobody.get("/certificates/made-up.pdf").status_code == 404
    assert "Verify a certificate" in nobody.get("/certificates", headers=PAGE).text


def test_a_certificate_is_printed(people: dict[str, httpx.Client]) -> None:
    number = certified(people)
    answer = people["nobody"].get(f"/certificates/{number}.pdf")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert b"/DCTDecode" in answer.content  # the photo


def text_of(pdf: bytes) -> str:
    """What a PDF writes: Latin text as bytes, Korean as UTF-16."""
    written = ""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            drawn = zlib.decompress(_from_ascii85(stream))
        except (ValueError, zlib.error):
            continue  # a photo
        for piece in re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", drawn, re.DOTALL):
            raw = re.sub(rb"\\([0-7]{3}|.)", _unescaped, piece, flags=re.DOTALL)
            written += raw.decode("utf-16-be" if b"\x00" in raw or raw[0] > 127 else "cp1252")
    return written


def _from_ascii85(stream: bytes) -> bytes:
    return base64.a85decode(stream.strip().removesuffix(b"~>"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)]) if len(found[1]) == 3 else found[1]


def made(**changes: object) -> Certificate:
    values: dict[str, object] = {
        "public_id": "N-1",
        "listing": "L",
        "code": "M22675",
        "product": {"brand": "메종", "name": "Lady 가방 " * 30, "colour": None, "size": "30"},
        "grade": Grade.A_PLUS,
        "photos": (),
        "experts": (1, 2),
        "issued_at": datetime(2026, 3, 4, 5, 6),
        "revoked_at": None,
        "revoked_why": None,
        **changes,
    }
    return Certificate(**values)  # type: ignore[arg-type]


def test_the_pdf_says_what_was_certified_in_both_languages() -> None:
    address = f"{HOME}/certificates/N-1"
    pdf = certificate_pdf(made(), [photo(), photo(12)], address, "en")
    text = text_of(pdf)
    for said in ("Certificate of authenticity", "M22675", "메종", "A+", "2026-03-04", address):
        assert said in text
    assert "REVOKED" not in text
    assert pdf == certificate_pdf(made(), [photo(), photo(12)], address, "en")
    korean = certificate_pdf(made(revoked_at=datetime(2026, 4, 1)), [], address, "ko")
    assert "정품 보증서" in text_of(korean)
    assert "취소된 보증서예요" in text_of(korean)
    assert "(2026-04-01)" in text_of(korean)
    ended = made(superseded_at=datetime(2026, 4, 2))
    text = text_of(certificate_pdf(ended, [], address, "en"))
    assert "WITHDRAWN: its seller has revised the listing. (2026-04-02)" in text
    assert "수정해서" in text_of(certificate_pdf(ended, [], address, "ko"))
