"""Listings of a running market, made over its API."""

from __future__ import annotations

from typing import Any

import httpx

from conftest import draw
from satchel.images import encode_jpeg

API = "/api/v1"


def photo(seed: int = 9) -> bytes:
    return encode_jpeg(draw("disc", seed), 90)


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def drafted(seller: httpx.Client, code: str, *, price_krw: int = 1_200_000, seed: int = 9) -> str:
    """The public id of a draft that can be submitted."""
    listing = str(ok(seller.post(f"{API}/listings"), 201)["id"])
    sent = {"photo": ("front.jpg", photo(seed))}
    named = {"upload": "front-01"}
    ok(seller.post(f"{API}/listings/{listing}/photos", data=named, files=sent), 201)
    fields = {"code": code, "grade": "A", "price_krw": price_krw, "text": "<b>가죽</b> 상태 좋음"}
    ok(seller.patch(f"{API}/listings/{listing}", json=fields))
    return listing


def submitted(seller: httpx.Client, code: str, *, price_krw: int = 1_200_000, seed: int = 9) -> str:
    """The public id of a listing that waits for an expert."""
    listing = drafted(seller, code, price_krw=price_krw, seed=seed)
    ok(seller.post(f"{API}/listings/{listing}/identify"))
    ok(seller.post(f"{API}/listings/{listing}/steps/submit"))
    return listing
