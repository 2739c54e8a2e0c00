"""Webhooks: signed, sent once there is an event, again until taken, and switched off in the end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import AddressRefused, UnknownWebhook, UsageError
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules
from satchel.jobs.queue import JobQueue
from satchel.jobs.records import Backoff, Handler, JobState
from satchel.jobs.worker import Worker
from satchel.market.webhooks.publish import BACKOFF, KIND, MAX_ATTEMPTS, publish
from satchel.market.webhooks.records import EVENTS, DeliveryState
from satchel.market.webhooks.sending import FAILING, Sender
from satchel.market.webhooks.signing import signature
from satchel.market.webhooks.store import WebhookStore, prune_deliveries
from satchel.market.webhooks.tables import WebhookRow
from support.databases import new_catalogue

SOLD = "listing.sold"


class Receiver(ThreadingHTTPServer):
    """A receiver on this machine that keeps what comes, and answers `statuses` in turn."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.received: list[tuple[Mapping[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Answers(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers.items()), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://169.254.169.254/")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    catalogue = new_catalogue(tmp_path / "satchel.db")
    yield catalogue.engine
    catalogue.close()


@pytest.fixture
def client() -> Iterator[FetchClient]:
    with FetchClient(FetchRules(http=True, networks=("127.0.0.1",), max_seconds=5)) as made:
        yield made


@pytest.fixture
def store(engine: Engine, client: FetchClient) -> WebhookStore:
    return WebhookStore(engine, client)


def happened(engine: Engine, event: str = SOLD, *, committed: bool = True, **data: Any) -> int:
    with writing(engine) as connection:
        count = publish(connection, event, data)
        connection.commit() if committed else connection.rollback()
    return count


def work(engine: Engine, client: FetchClient) -> None:
    """Do all jobs, without the waits between attempts."""
    handler = Handler(Sender(engine, client).run, Backoff(first_s=0))
    Worker(engine, {KIND: handler}, concurrency=1).run(once=True)


def test_signatures_are_those_of_the_standard() -> None:
    """The example of the specification (and of its reference libraries)."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    assert (
        signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_an_event_reaches_those_who_want_it_signed(engine, client, store, receiver):
    hook = store.add(receiver.url, [SOLD])
    store.add(receiver.url, ["listing.certified"])
    assert happened(engine, listing="L1", price_krw=1_200_000) == 1
    work(engine, client)
    [(headers, body)] = receiver.received
    message = json.loads(body)
    assert message["type"] == SOLD
    assert message["data"] == {"listing": "L1", "price_krw": 1_200_000}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(hook.secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    [delivery] = store.deliveries(hook.id)
    assert (delivery.state, delivery.last_status) == (DeliveryState.DELIVERED, 204)
    assert delivery.id == headers["webhook-id"]


def test_an_event_that_is_not_committed_is_not_sent(engine, client, store, receiver):
    store.add(receiver.url, ["*"])
    happened(engine, committed=False)
    work(engine, client)
    assert receiver.received == []
    assert store.deliveries() == []


def test_what_is_not_taken_is_sent_again_under_the_same_id(engine, client, store, receiver):
    receiver.statuses = [500, 302, 200]
    store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    assert len(receiver.received) == 3
    assert len({(headers["webhook-id"], body) for headers, body in receiver.received}) == 1
    [delivery] = store.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 3)
    assert store.all()[0].failing_since is None


def test_a_redirect_is_a_failure_with_its_reason(engine, client, store, receiver):
    receiver.statuses = [302] * MAX_ATTEMPTS
    store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    [delivery] = store.deliveries(states=[DeliveryState.FAILED])
    assert "169.254.169.254 is not a public address" in str(delivery.last_error)


def test_attempts_go_on_for_a_day() -> None:
    waits = [BACKOFF.wait(n, chance=lambda: 1.0) for n in range(1, MAX_ATTEMPTS)]
    assert timedelta(hours=18) < sum(waits, timedelta(0)) < timedelta(hours=30)


def test_after_the_last_attempt_it_has_failed_and_can_be_sent_again(
    engine, client, store, receiver
):
    receiver.statuses = [503] * MAX_ATTEMPTS
    hook = store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    [failed] = store.deliveries(states=[DeliveryState.FAILED])
    assert (failed.attempts, failed.last_error) == (MAX_ATTEMPTS, "answered 503")
    assert JobQueue(engine).job(failed.job_id).state is JobState.FAILED
    assert store.webhook(hook.id).failing_since is not None
    assert store.replay(failed.id).state is DeliveryState.WAITING
    work(engine, client)
    assert store.delivery(failed.id).state is DeliveryState.DELIVERED
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1


def test_a_webhook_that_fails_for_days_is_switched_off(engine, client, store, receiver):
    receiver.statuses = [500]
    hook = store.add(receiver.url, ["*"])
    with writing(engine) as connection:
        connection.execute(update(WebhookRow).values(failing_since=now() - FAILING))
        connection.commit()
    happened(engine)
    work(engine, client)
    off = store.webhook(hook.id)
    assert not off.active
    assert "answered 500" in str(off.disabled_because)
    assert len(receiver.received) == 1  # what waited is not sent any more
    assert happened(engine) == 0
    assert store.set_active(hook.id, True).failing_since is None
    assert happened(engine) == 1


def test_a_receiver_that_is_gone_is_believed(engine, client, store, receiver):
    receiver.statuses = [410]
    hook = store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    assert "410" in str(store.webhook(hook.id).disabled_because)
    assert store.deliveries()[0].state is DeliveryState.FAILED


def test_a_delivery_whose_worker_was_killed_after_sending_is_not_sent_again(
    engine, client, store, receiver
):
    store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    [delivery] = store.deliveries()
    queue = JobQueue(engine)
    queue.add(KIND, {"delivery": delivery.id})  # as after a lease that was not ended
    work(engine, client)
    assert len(receiver.received) == 1


def test_webhooks_are_pinged_changed_and_removed(engine, client, store, receiver):
    hook = store.add(receiver.url, [SOLD])
    store.ping(hook.id)
    work(engine, client)
    assert json.loads(receiver.received[0][1])["type"] == "ping"
    assert store.set_events(hook.id, ["*", "ping"]).events == ("ping", "*")
    assert store.replace_secret(hook.id).secret != hook.secret
    happened(engine)
    store.remove(hook.id)
    work(engine, client)
    assert len(receiver.received) == 1
    with pytest.raises(UnknownWebhook):
        store.webhook(hook.id)
    assert store.deliveries() == []


def test_wrong_webhooks_are_refused(engine, client, store):
    for url in ("http://10.0.0.1/", "file:///etc/passwd", "https://user:a@example.com"):
        with pytest.raises(AddressRefused):
            store.add(url, [SOLD])
    for events in ([], ["listing.lost"]):
        with pytest.raises(UsageError, match="expected events of ping, listing"):
            store.add("http://127.0.0.1/", events)
    assert store.all() == []
    assert len(EVENTS) == len(set(EVENTS))


def test_old_deliveries_are_deleted_unless_they_wait(engine, client, store, receiver):
    store.add(receiver.url, ["*"])
    happened(engine)
    work(engine, client)
    happened(engine)
    assert prune_deliveries(engine, before=now() + timedelta(seconds=1)) == 1
    assert [one.state for one in store.deliveries()] == [DeliveryState.WAITING]
