"""The market under load: fifty people on a shop of 500 goods, and nobody may wait or lose anything.

    python -m benchmarks.market [SECONDS]    # default 120

A real server of the demo catalogue, whose worker has prepared the public photos. Each person loads
pages of the shop, goods and thumbnails, with a second of reading between; one in five lists a good:
photo, identification, code, condition, submission. Asked: p99 of pages at most 300 ms, of
identification at most 1.5 s, no error.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

import httpx
import numpy as np

from benchmarks.hostile import MAISON, run, served
from benchmarks.reporting import print_table, write_json
from examples.demo_market import DemoMarket, as_if_taken, switch_on
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.store import AccountStore
from satchel.market.listings.fields import Grade
from satchel.market.listings.states import State
from satchel.market.roles import Role
from satchel.workspace import Workspace

LISTINGS = 500
PEOPLE = 50
SELLERS = PEOPLE // 5
READING_S = 1.0
PASSWORD = "fine rain on seven roofs"
PAGE = {"accept": "text/html"}
API = "/api/v1"
STATES = (State.ON_SALE,) * 7 + (State.SUBMITTED, State.SUBMITTED, State.SOLD)


class Times:
    """Seconds of requests by their kind, and what went wrong."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []

    def ask(self, client: httpx.Client, kind: str, method: str, path: str, **sent: object) -> str:
        """Request something, and return the answer's text; an error is counted, not raised."""
        begin = time.perf_counter()
        try:
            answer = client.request(method, path, **sent)  # type: ignore[arg-type]
            text, wrong = answer.text, answer.status_code >= 400
        except httpx.HTTPError as error:
            text, wrong = repr(error), True
        with self._lock:
            self.seconds[kind].append(time.perf_counter() - begin)
            if wrong:
                self.errors.append(f"{method} {path}: {text[:200]}")
        return text


def seeded(folder: Path) -> Workspace:
    """A workspace with the demo catalogue, 500 listings and fifty accounts."""
    run(folder, "init", folder)
    run(folder, "import", MAISON / "catalogue.csv")
    run(folder, "index")
    workspace = switch_on(Workspace.open(folder))
    market = DemoMarket(workspace, identify=False)
    market.make_accounts()
    codes = [product.code for product, _ in workspace.catalogue.products(limit=100).products]
    grades = list(Grade)
    for number in range(LISTINGS):
        state = STATES[number % len(STATES)]
        price = 1_000 * (200 + number)
        market.list_good(number, codes[number % len(codes)], state, grades[number % 7], price)
    hashed, accounts = Passwords().hash(PASSWORD), AccountStore(workspace.catalogue.engine)
    for number in range(SELLERS):
        email = f"seller{number}@example.com"
        accounts.create(email, name=email[:7], role=Role.SELLER, password_hash=hashed)
    return workspace


def browse(url: str, times: Times, until: float, seed: int) -> None:
    """Look around in the shop."""
    chance = random.Random(seed)
    with httpx.Client(base_url=url, headers=PAGE, timeout=60) as client:
        while time.monotonic() < until:
            text = times.ask(client, "page", "GET", "/goods", params=_filter(chance))
            goods = [part.split('"')[0] for part in text.split('href="/goods/')[1:]]
            for picture in text.split('src="/api/v1/goods/')[1:4]:
                address = f"/api/v1/goods/{picture.split(chr(34))[0]}"
                times.ask(client, "thumbnail", "GET", address)
            if goods:
                times.ask(client, "page", "GET", f"/goods/{chance.choice(goods)}")
            time.sleep(READING_S)


def sell(url: str, times: Times, until: float, number: int, photo: bytes) -> None:
    """List one good after another."""
    with httpx.Client(base_url=url, timeout=60) as client:
        login = {"email": f"seller{number}@example.com", "password": PASSWORD}
        token = client.post(f"{API}/session", json=login).json()["csrf_token"]
        client.headers["X-CSRF-Token"] = token
        while time.monotonic() < until:
            with suppress(ValueError, KeyError):
                listing = client.post(f"{API}/listings").json()["id"]
                address = f"{API}/listings/{listing}"
                files, named = {"photo": ("a.jpg", photo)}, {"upload": "front-0001"}
                times.ask(client, "upload", "POST", f"{address}/photos", data=named, files=files)
                times.ask(client, "identification", "POST", f"{address}/identify")
                fields = {"code": "MO1102", "grade": "A", "price_krw": 900_000}
                times.ask(client, "step", "PATCH", address, json=fields)
                times.ask(client, "step", "POST", f"{address}/steps/submit")
            time.sleep(READING_S)


def _filter(chance: random.Random) -> dict[str, str]:
    return chance.choice(
        ({}, {"q": "orvane"}, {"grade": "A"}, {"sort": "cheapest"}, {"to_krw": "500000"})
    )


def row(kind: str, seconds: Sequence[float]) -> list[object]:
    """Requests of a kind, and their times in milliseconds."""
    percentiles = np.percentile(seconds, (50, 95, 99, 100))
    return [kind, len(seconds), *(round(1000 * float(one)) for one in percentiles)]


def main(seconds: float) -> None:
    """Let fifty people use the market."""
    photo = as_if_taken((MAISON / "queries" / "IMG_2041.jpg").read_bytes(), 1)
    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        workspace = seeded(Path(folder) / "shop")
        workspace.catalogue.close()
        run(workspace.folder, "worker", "--once")
        with served(workspace.folder) as (server, client):
            url, until = str(client.base_url).rstrip("/"), time.monotonic() + seconds
            people = [
                Thread(target=sell, args=(url, times, until, number, photo))
                for number in range(SELLERS)
            ] + [
                Thread(target=browse, args=(url, times, until, number))
                for number in range(PEOPLE - SELLERS)
            ]
            for person in people:
                person.start()
            for person in people:
                person.join()
    header = ("request", "times", "p50 ms", "p95", "p99", "max")
    rows = [row(kind, found) for kind, found in sorted(times.seconds.items())]
    title = f"{PEOPLE} people, {LISTINGS} listings, {seconds:.0f} s, {len(times.errors)} errors"
    print_table(f"{title}; peak {server.peak_mb:.0f} MB", header, rows)
    for error in times.errors[:5]:
        print(error)
    write_json("market", {"title": title, "errors": len(times.errors), "rows": [header, *rows]})


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120)
