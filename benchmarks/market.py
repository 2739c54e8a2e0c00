"""The market under load: fifty people on a shop of 500 goods, and nobody may wait or lose anything.

    python -m benchmarks.market [SECONDS]    # of each trial; default 120

A real server of the demo catalogue, whose worker has prepared the public photos; the people are
threads of another process on the same cores. Forty browse: a page of the shop with the dozen
thumbnails that a browser loads of it, each once, since they are cached; then a good with its photo.
Ten list goods: photo, identification, code and condition, submission.

Asked: p99 of pages at most 300 ms, of identification at most 1.5 s, no error, where people read for
one to three seconds between two clicks. The second trial is what remains when nobody pauses: a
server that is always busy answers each of fifty after the others, so its times say how many
requests a second there can be, not how long anybody waits.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock, Thread

import httpx
import numpy as np
from sqlalchemy import delete

from benchmarks.hostile import MAISON, run, served
from benchmarks.reporting import print_table, write_json
from examples.demo_market import DemoMarket, as_if_taken, switch_on
from satchel.catalog.database import writing
from satchel.jobs.tables import JobRow
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.store import AccountStore
from satchel.market.listings.fields import Grade
from satchel.market.listings.readings import READ_PHOTOS
from satchel.market.listings.states import State
from satchel.market.roles import Role
from satchel.workspace import Workspace

LISTINGS = 500
PEOPLE = 50
SELLERS = PEOPLE // 5
READING_S = (1.0, 3.0)
THUMBNAILS = 12
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
    with writing(workspace.catalogue.engine) as connection, connection.begin():
        # Reading what is written on 1,500 photos would take the better part of an hour.
        connection.execute(delete(JobRow).where(JobRow.kind == READ_PHOTOS))
    return workspace


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser.

    Attributes:
        number: tells them apart, and seeds their choices.
        until: when they leave, as `time.monotonic`.
        reads: whether they pause between two clicks.
    """

    url: str
    times: Times
    number: int
    until: float
    reads: bool
    chance: random.Random

    def clicks(self) -> Iterator[None]:
        """Yield as often as there is time, with pauses before."""
        while True:
            if self.reads:
                time.sleep(self.chance.uniform(*READING_S))
            if time.monotonic() >= self.until:
                return
            yield

    def browse(self) -> None:
        """Look around in the shop."""
        cached: set[str] = set()
        with httpx.Client(base_url=self.url, headers=PAGE, timeout=60) as client:
            ask = partial(self.times.ask, client)
            goods: list[str] = []
            for _ in self.clicks():
                if goods:  # one of those on the page before
                    text = ask("page", "GET", f"/goods/{self.chance.choice(goods)}")
                    pictures, kind, goods = _pictures(text)[:1], "photo", []
                else:
                    text = ask("page", "GET", "/goods", params=_filter(self.chance))
                    goods = [part.split('"')[0] for part in text.split('href="/goods/')[1:]]
                    pictures, kind = _pictures(text)[:THUMBNAILS], "thumbnail"
                for address in pictures:
                    if address not in cached:
                        ask(kind, "GET", address)
                        cached.add(address)

    def sell(self, photo: bytes) -> None:
        """List one good after another."""
        login = {"email": f"seller{self.number}@example.com", "password": PASSWORD}
        fields = {"code": "MO1102", "grade": "A", "price_krw": 900_000}
        with httpx.Client(base_url=self.url, timeout=60) as client:
            ask = partial(self.times.ask, client)
            token = client.post(f"{API}/session", json=login).json()["csrf_token"]
            client.headers["X-CSRF-Token"] = token
            clicks = self.clicks()
            for _ in clicks:
                address = (
                    f"{API}/listings/{json.loads(ask('step', 'POST', f'{API}/listings'))['id']}"
                )
                files, named = {"photo": ("a.jpg", photo)}, {"upload": "front-0001"}
                next(clicks, None)
                ask("upload", "POST", f"{address}/photos", data=named, files=files)
                ask("identification", "POST", f"{address}/identify")  # the page does that at once
                next(clicks, None)
                ask("step", "PATCH", address, json=fields)
                next(clicks, None)
                ask("step", "POST", f"{address}/steps/submit")


def _pictures(text: str) -> list[str]:
    """Addresses of the photos of goods on a page."""
    start = 'src="/api/v1/goods/'
    return [f"/api/v1/goods/{part.split(chr(34))[0]}" for part in text.split(start)[1:]]


def _filter(chance: random.Random) -> dict[str, str]:
    return chance.choice(
        ({}, {"q": "orvane"}, {"grade": "A"}, {"sort": "cheapest"}, {"to_krw": "500000"})
    )


def row(kind: str, seconds: Sequence[float]) -> list[object]:
    """Requests of a kind, and their times in milliseconds."""
    percentiles = np.percentile(seconds, (50, 95, 99, 100))
    return [kind, len(seconds), *(round(1000 * float(one)) for one in percentiles)]


def trial(workspace: Path, photo: bytes, seconds: float, *, reads: bool) -> dict[str, object]:
    """Let fifty people use the market for a while."""
    times = Times()
    with served(workspace, memory_every_s=1) as (server, client):
        url, until = str(client.base_url).rstrip("/"), time.monotonic() + seconds
        people = [
            Person(url, times, number, until, reads, random.Random(number))
            for number in range(PEOPLE)
        ]
        threads = [
            Thread(target=partial(one.sell, photo) if one.number < SELLERS else one.browse)
            for one in people
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    asked = sum(map(len, times.seconds.values()))
    pauses = "pauses of {:g} to {:g} s".format(*READING_S) if reads else "no pauses"
    title = f"{PEOPLE} people, {pauses}, {LISTINGS} listings, {seconds:.0f} s: "
    title += f"{asked / seconds:.0f} requests a second, {len(times.errors)} errors"
    header = ("request", "times", "p50 ms", "p95", "p99", "max")
    rows = [row(kind, found) for kind, found in sorted(times.seconds.items())]
    print_table(f"{title}; peak {server.peak_mb:.0f} MB", header, rows)
    for error in times.errors[:5]:
        print(error)
    return {"title": title, "errors": len(times.errors), "rows": [header, *rows]}


def main(seconds: float) -> None:
    """Let fifty people use the market, with pauses and without."""
    photo = as_if_taken((MAISON / "queries" / "IMG_2041.jpg").read_bytes(), 1)
    with tempfile.TemporaryDirectory() as folder:
        workspace = seeded(Path(folder) / "shop")
        workspace.catalogue.close()
        run(workspace.folder, "worker", "--once")
        found = {
            name: trial(workspace.folder, photo, seconds, reads=reads)
            for name, reads in (("reading", True), ("saturated", False))
        }
    write_json("market", found)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120)
