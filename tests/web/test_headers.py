"""Headers that protect: of every kind of answer, by http and behind https."""

from __future__ import annotations

import httpx
import pytest

HTTPS = {"x-forwarded-proto": "https"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/products", 200),
        ("/api/v1/facets", 200),
        ("/healthz", 200),
        ("/openapi.json", 200),
        ("/api/v1/products/none", 404),
        ("/api/v1/products?limit=x", 422),
    ],
)
def test_json_is_not_stored(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("folder", ["photos", "thumbnails"])
def test_photos_are_stored_by_their_reader_alone(client, folder):
    sha = client.get("/api/v1/products/Z-9").json()["photos"][0]["sha256"]
    assert client.get(f"/{folder}/{sha}.jpg").headers["cache-control"].startswith("private, ")


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/static/satchel.css"])
def test_the_page_gets_no_powers_that_it_does_not_need(client, path):
    for header in (client.get(path).headers, client.head(path).headers):
        assert "geolocation=()" in header["permissions-policy"]
        assert "strict-transport-security" not in header


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/static/satchel.css"])
def test_behind_https_browsers_are_told_to_come_by_https(client, path):
    header = client.get(path, headers=HTTPS).headers["strict-transport-security"]
    assert int(header.removeprefix("max-age=")) >= 15_552_000


def test_cookies_are_secure_behind_https_and_only_there(client):
    for headers, secure in ((HTTPS, True), ({}, False)):
        cookie = client.get("/?lang=ko", headers=headers).headers["set-cookie"]
        assert ("; Secure" in cookie) is secure


def test_only_a_proxy_may_say_that_it_is_https(app_with, serve_app):
    client: httpx.Client = serve_app(app_with(proxies=["192.0.2.1"]))
    answer = client.get("/?lang=ko", headers=HTTPS)
    assert "strict-transport-security" not in answer.headers
    assert "; Secure" not in answer.headers["set-cookie"]


def test_a_page_that_came_by_http_may_not_send_to_https(client):
    origin = {"origin": f"http://{client.base_url.host}"}
    host = {"host": client.base_url.host}
    answer = client.post("/feedback", headers={**HTTPS, **origin, **host})
    assert answer.status_code == 403
    origin = {"origin": f"https://{client.base_url.host}"}
    assert client.post("/feedback", headers={**HTTPS, **origin, **host}).status_code != 403
