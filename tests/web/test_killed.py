"""kill -9 of server and worker while people sell, certify and buy: what was answered stays true."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from conftest import draw
from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.config import FILE_NAME
from satchel.images import encode_jpeg
from satchel.jobs.records import JobState
from satchel.jobs.tables import JobRow
from satchel.jobs.worker import Worker
from satchel.market.goods import Goods
from satchel.market.listings.states import PUBLIC, STEPS, State
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role
from satchel.market.sale.tables import ReservationRow, SaleItemRow
from satchel.market.webhooks.publish import KIND as WEBHOOK
from satchel.market.webhooks.records import EVERY
from satchel.web.visitors import CSRF_HEADER
from satchel.workflows.jobs import handlers_of, webhooks_of
from satchel.workspace import Workspace
from support.market import PASSWORD, make_account
from support.processes import start, url_of
from support.waiting import wait_until
from web.conftest import CODES

API = "/api/v1"
KILLS = 3
ACTS = {"seller": "sell", "expert": "certify", "buyer": "buy"}
KINDS = {"submit", "certify", "offer", "reserve", "sell"}
BUSY_S = 120.0
"""What a busy machine may take for some steps."""

SETTINGS = {
    "serve": 'log = "errors"',
    "market": "enabled = true\nrequests_per_minute = 100000",
    "fetch": 'http = true\nnetworks = ["127.0.0.1"]',
}


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, and keeps them by their id."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies[self.headers["webhook-id"]].append(body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Person:
    """Somebody who tries again when the server is away, and notes what was answered."""

    def __init__(self, url: str, email: str, over: Event) -> None:
        self._client = httpx.Client(base_url=url, timeout=20)
        self._over = over
        self.steps: Counter[tuple[str, str]] = Counter()
        self.photos: list[tuple[str, str]] = []
        login = {"email": email, "password": PASSWORD}
        answer = self.send("POST", f"{API}/session", json=login)
        self._client.headers[CSRF_HEADER] = answer["csrf_token"]

    def send(self, method: str, path: str, **sent: Any) -> Any:
        """The answer's JSON; None where it was refused, is empty, or the test is over."""
        while not self._over.is_set():
            try:
                answer = self._client.request(method, path, **sent)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code in (502, 503):
                time.sleep(0.05)
                continue
            assert answer.status_code < 500, answer.text
            return answer.json() if answer.is_success and answer.content else None
        return None

    def step(self, listing: str, name: str, method: str, path: str, **sent: Any) -> None:
        """Take a step, and note it where the answer says that it was taken."""
        if self.send(method, path, **sent) is not None:
            self.steps[listing, name] += 1

    def close(self) -> None:
        self._client.close()

    def sell(self) -> None:
        """List goods one after another, each as far as it goes."""
        photo = encode_jpeg(draw("disc", 9), 90)
        while not self._over.is_set():
            made = self.send("POST", f"{API}/listings")
            if made is None:
                return
            self._sell_one(made["id"], photo)

    def _sell_one(self, listing: str, photo: bytes) -> None:
        path = f"{API}/listings/{listing}"
        files = {"photo": ("a.jpg", photo)}
        added = self.send("POST", f"{path}/photos", data={"upload": "front-01"}, files=files)
        if added is not None:
            self.photos += [(listing, one["sha256"]) for one in added["photos"]]
        fields = {"code": CODES[0], "grade": "A", "price_krw": 900_000}
        self.send("PATCH", path, json=fields)
        self.step(listing, "submit", "POST", f"{path}/steps/submit")
        while not self._over.is_set():
            found = self.send("GET", path)
            match found and found["state"]:
                case "certified":
                    self.step(listing, "offer", "POST", f"{path}/steps/offer")
                case "reserved":
                    self.step(listing, "sell", "POST", f"{API}/goods/{listing}/sell")
                case "sold":
                    return
            time.sleep(0.02)

    def certify(self) -> None:
        """Decide what waits."""
        while not self._over.is_set():
            case = self.send("POST", f"{API}/desk/next")
            if case is None:
                time.sleep(0.02)
                continue
            listing = case["listing"]["id"]
            body = {"code": CODES[0], "seconds": 1}
            self.step(listing, "certify", "POST", f"{API}/desk/{listing}/certify", json=body)

    def buy(self) -> None:
        """Reserve what is on sale."""
        while not self._over.is_set():
            found = self.send("GET", f"{API}/goods") or {"goods": []}
            for good in found["goods"]:
                path = f"{API}/goods/{good['id']}/reserve"
                self.step(good["id"], "reserve", "POST", path)
            time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def market(own_workspace: Workspace, receiver: Receiver) -> Workspace:
    """A workspace with people and a webhook, whose settings are in its file."""
    for name, role in (
        ("seller0", Role.SELLER),
        ("seller1", Role.SELLER),
        ("buyer0", Role.SELLER),
        ("buyer1", Role.SELLER),
        ("expert0", Role.EXPERT),
        ("expert1", Role.EXPERT),
    ):
        make_account(own_workspace, f"{name}@example.com", role)
    path = own_workspace.folder / FILE_NAME
    text = path.read_text(encoding="utf-8")
    for section, lines in SETTINGS.items():
        assert text.count(f"\n[{section}]\n") == 1
        text = text.replace(f"\n[{section}]\n", f"\n[{section}]\n{lines}\n")
    path.write_text(text, encoding="utf-8")
    workspace = Workspace.open(own_workspace.folder)
    webhooks_of(workspace).add(f"http://127.0.0.1:{receiver.server_port}/hook", [EVERY])
    return workspace


@pytest.mark.slow  # a minute or more of kills and restarts
def test_what_was_answered_survives_kills(market: Workspace, receiver: Receiver) -> None:
    people = killed_while_busy(market.folder)
    finish_jobs(market)
    histories = histories_of(market)
    acknowledged = taken(people)
    lost = {
        (listing, step): times
        for (listing, step), times in acknowledged.items()
        if histories[listing][step] < times
    }
    assert lost == {}
    for listing, sha256 in (one for person in people for one in person.photos):
        assert sha256 in [photo.sha256 for photo in goods_of(market).listings.get(listing).photos]
        assert market.market_photos.read(sha256)
    assert_one_state_each(market)
    assert_each_event_sent_under_one_id(market, receiver)


def killed_while_busy(folder: Path) -> list[Person]:
    """Let people work while server and worker are killed; return the people."""
    over, chance = Event(), random.Random(5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def serve() -> Popen[str]:
        server = start(folder, "serve", "--port", port)
        url_of(server)
        return server

    server, worker = serve(), start(folder, "worker")
    people: list[Person] = []
    threads: list[Thread] = []
    try:
        for name in ("seller", "expert", "buyer"):
            for number in range(2):
                person = Person(f"http://127.0.0.1:{port}", f"{name}{number}@example.com", over)
                people.append(person)
                threads.append(Thread(target=getattr(person, ACTS[name])))
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            more = taken(people).total() + chance.randint(3, 12)
            wait_until(partial(have_taken, people, more), BUSY_S)
            end(server, worker)
            server, worker = serve(), start(folder, "worker")
        wait_until(lambda: {step for _, step in taken(people)} == KINDS, BUSY_S)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for person in people:
            person.close()
        end(server, worker)
    return people


def have_taken(people: list[Person], times: int) -> bool:
    return taken(people).total() >= times


def taken(people: list[Person]) -> Counter[tuple[str, str]]:
    """How often which step was taken, by what was answered until now."""
    return sum((person.steps.copy() for person in people), Counter())


def end(*processes: Popen[str]) -> None:
    """Kill processes as `kill -9` does."""
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate()


def finish_jobs(workspace: Workspace) -> None:
    """Do what is left as if the time of the killed workers' leases and of waits was over."""
    engine = workspace.catalogue.engine
    with writing(engine) as connection, connection.begin():
        left = JobRow.kind == WEBHOOK, JobRow.state.in_([JobState.WAITING, JobState.RUNNING])
        connection.execute(update(JobRow).where(*left).values(due_at=now()))
    Worker(engine, {WEBHOOK: handlers_of(workspace)[WEBHOOK]}).run(Event().is_set, once=True)


def goods_of(workspace: Workspace) -> Goods:
    return Goods.of(workspace.catalogue.engine, workspace.catalogue.brands)


def histories_of(workspace: Workspace) -> Mapping[str, Counter[str]]:
    """Listing → how often each step was taken; each history is one that the table allows."""
    listings, found = goods_of(workspace).listings, {}
    with workspace.catalogue.engine.connect() as connection:
        names = list(connection.scalars(select(ListingRow.public_id)))
    for name in names:
        state: State | None = None
        events = listings.events(name)
        for event in events:
            assert event.source is state
            if event.step is not None:
                assert state in STEPS[event.step].sources
                assert event.target is STEPS[event.step].target
            state = event.target
        assert state is listings.get(name).state
        found[name] = Counter(event.kind for event in events)
    return found


def assert_one_state_each(workspace: Workspace) -> None:
    """What the shop shows and who has reserved agree with the state of each listing."""
    with workspace.catalogue.engine.connect() as connection:
        states = dict(connection.execute(select(ListingRow.id, ListingRow.state)).all())
        shown = dict(connection.execute(select(SaleItemRow.listing_id, SaleItemRow.state)).all())
        open_ = select(ReservationRow.listing_id).where(ReservationRow.ended_at.is_(None))
        reserved = list(connection.scalars(open_))
    public = {state.value for state in PUBLIC}
    assert shown == {number: state for number, state in states.items() if state in public}
    assert sorted(reserved) == sorted(n for n, state in states.items() if state == "reserved")


def assert_each_event_sent_under_one_id(workspace: Workspace, receiver: Receiver) -> None:
    """Each change of a state reached the receiver, and under one id however often."""
    ids: defaultdict[int, set[str]] = defaultdict(set)
    for name, bodies in receiver.bodies.items():
        assert len(set(bodies)) == 1
        ids[json.loads(bodies[0])["data"]["event"]].add(name)
    assert all(len(names) == 1 for names in ids.values())
    listings = goods_of(workspace).listings
    with workspace.catalogue.engine.connect() as connection:
        names = list(connection.scalars(select(ListingRow.public_id)))
    announced = {
        event.id
        for name in names
        for event in listings.events(name)
        if event.step is not None and event.target.value in ("certified", "on_sale", "sold")
    }
    assert announced <= set(ids)
