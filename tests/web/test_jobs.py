"""The page and API of jobs and of webhooks, of a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI

from satchel.config import Fetch
from satchel.jobs.records import Handler, JobState
from satchel.jobs.worker import Worker
from satchel.market.roles import Role
from satchel.web.app import create_app
from satchel.workflows.jobs import handlers_of
from satchel.workspace import Workspace
from support.market import logged_in, make_account, market_app

HTML = {"Accept": "text/html"}
TOKEN = re.compile(r'name="csrf" value="([\w-]+)"')


@pytest.fixture
def site(own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return serve_app(create_app(own_workspace))


def fail(*_: object) -> None:
    raise OSError("the mail server does not answer")


def test_jobs_are_listed_retried_and_cancelled(site: httpx.Client, own_workspace: Workspace):
    queue = own_workspace.jobs
    failed, waiting = queue.add("mail", {}, max_attempts=1), queue.add("later", {"a": 1})
    Worker(own_workspace.catalogue.engine, {"mail": Handler(fail)}).run(once=True)
    page = site.get("/api/v1/jobs").json()
    assert (page["counts"]["failed"], page["counts"]["waiting"]) == (1, 1)
    assert [one["job"] for one in page["jobs"]] == [waiting, failed]
    [only] = site.get("/api/v1/jobs", params={"state": "failed"}).json()["jobs"]
    assert only["error"] == "OSError: the mail server does not answer"
    assert site.post(f"/api/v1/jobs/{failed}/retry").json()["state"] == "waiting"
    assert site.post(f"/api/v1/jobs/{failed}/cancel").json()["state"] == "cancelled"
    again = site.post(f"/api/v1/jobs/{failed}/cancel")
    assert (again.status_code, again.json()["title"]) == (409, "Something else is in the way")
    assert site.get("/api/v1/jobs/99").status_code == 404
    assert site.get(f"/api/v1/jobs/{waiting}").json()["arguments"] == {"a": 1}


def test_the_page_names_every_kind_of_job(site: httpx.Client, own_workspace: Workspace):
    kinds = sorted(handlers_of(own_workspace))
    for kind in kinds:
        own_workspace.jobs.add(kind, {})
    shown = re.findall(r"<strong>([^<]*)</strong>", site.get("/jobs", headers=HTML).text)
    assert len(set(shown)) == len(kinds)
    assert not set(shown) & set(kinds)


def test_the_page_shows_jobs_and_tries_again(site: httpx.Client, own_workspace: Workspace):
    assert "No jobs here" in site.get("/jobs", headers=HTML).text
    job = own_workspace.jobs.add("webhook", {}, max_attempts=1)
    Worker(own_workspace.catalogue.engine, {"webhook": Handler(fail)}).run(once=True)
    text = site.get("/jobs?state=failed", headers=HTML).text
    assert "Inform another program" in text
    assert "the mail server does not answer" in text
    part = site.get("/jobs", headers={**HTML, "HX-Request": "true"}).text
    assert "<html" not in part
    assert "Try again now" in part
    done = site.post("/jobs/retry", data={"job": job, "state": "failed"})
    assert (done.status_code, done.headers["location"]) == (303, "/jobs?state=failed")
    assert own_workspace.jobs.job(job).state is JobState.WAITING
    assert site.post("/jobs/cancel", data={"job": job}).status_code == 303
    for _ in range(60):
        own_workspace.jobs.add("webhook", {})
    first = site.get("/jobs", headers=HTML).text
    assert first.count("<li>") == 50
    older = re.search(r'href="(/jobs\?state=&amp;before=\d+)"', first)
    assert older
    assert site.get(older[1].replace("&amp;", "&"), headers=HTML).text.count("<li>") == 11
    assert "웹훅" not in site.get("/jobs", headers={**HTML, "Accept-Language": "ko"}).text
    assert "대기 중" in site.get("/jobs", headers={**HTML, "Accept-Language": "ko"}).text


@pytest.fixture
def admin(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[httpx.Client]:
    rules = Fetch(http=True, networks=["127.0.0.1"])
    settings = own_workspace.settings.model_copy(update={"fetch": rules})
    workspace = Workspace(own_workspace.folder, settings)
    make_account(workspace, "ada@example.com", Role.ADMIN)
    with (
        run_server(market_app(workspace)) as url,
        logged_in(url, "ada@example.com") as client,
    ):
        yield client


def test_webhooks_over_http(admin: httpx.Client):
    refused = admin.post("/api/v1/webhooks", json={"url": "http://10.0.0.1/"})
    assert (refused.status_code, refused.json()["type"]) == (
        422,
        "urn:satchel:problem:address-unusable",
    )
    assert (
        admin.post(
            "/api/v1/webhooks", json={"url": "http://127.0.0.1/", "events": ["x"]}
        ).status_code
        == 400
    )
    made = admin.post("/api/v1/webhooks", json={"url": "http://127.0.0.1:65009/"})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    [one] = admin.get("/api/v1/webhooks").json()["webhooks"]
    assert (one["secret"], one["events"]) == (None, ["*"])
    sent = admin.post(f"/api/v1/webhooks/{one['webhook']}/ping").json()
    [listed] = admin.get("/api/v1/deliveries", params={"state": "waiting"}).json()["deliveries"]
    assert listed == sent
    assert admin.post(f"/api/v1/deliveries/{sent['delivery']}/replay").status_code == 200
    assert admin.post("/api/v1/deliveries/msg_0/replay").status_code == 404
    path = f"/api/v1/webhooks/{one['webhook']}"
    changed = admin.patch(path, json={"active": False, "events": ["ping"], "new_secret": True})
    assert (changed.json()["active"], changed.json()["events"]) == (False, ["ping"])
    assert changed.json()["secret"] != made.json()["secret"]
    assert admin.delete(path).status_code == 204
    assert admin.delete(path).status_code == 404


def test_webhooks_on_the_page(admin: httpx.Client, own_workspace: Workspace):
    page = admin.get("/webhooks", headers=HTML)
    token = TOKEN.search(page.text)
    assert token
    assert "No webhooks yet" in page.text
    form = {"csrf": token[1]}
    wrong = admin.post("/webhooks", data={**form, "url": "http://10.0.0.1/"}, headers=HTML)
    assert wrong.status_code == 422
    assert "is not a public address" in wrong.text
    made = admin.post(
        "/webhooks",
        data={**form, "url": "http://127.0.0.1:65009/", "event": "listing.sold"},
        headers=HTML,
    )
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    assert secret
    assert secret[0] not in admin.get("/webhooks", headers=HTML).text
    admin.post("/webhooks/ping", data={**form, "webhook": 1})
    Worker(own_workspace.catalogue.engine, handlers_of(own_workspace)).run(once=True)
    page = admin.get("/webhooks", headers=HTML)
    assert "expected an address with https, got http://127.0.0.1" in page.text
    assert "Nothing was taken since" in page.text
    delivery = re.search(r'value="(msg_\w+)"', page.text)
    assert delivery
    assert admin.post("/webhooks/replay", data={**form, "delivery": delivery[1]}).status_code == 303
    assert "whsec_" in admin.post("/webhooks/secret", data={**form, "webhook": 1}).text
    admin.post("/webhooks/switch", data={**form, "webhook": 1, "on": "false"})
    assert "Switched off." in admin.get("/webhooks", headers=HTML).text
    admin.post("/webhooks/remove", data={**form, "webhook": 1})
    assert "No webhooks yet" in admin.get("/webhooks", headers=HTML).text


def test_changes_of_webhooks_are_in_the_audit_log(admin: httpx.Client, own_workspace: Workspace):
    from satchel.market.accounts.audit import AuditLog

    admin.post("/api/v1/webhooks", json={"url": "http://127.0.0.1:65009/"})
    admin.delete("/api/v1/webhooks/1")
    entries = AuditLog(own_workspace.catalogue.engine).entries(action="webhook.")
    assert [(one.action, one.subject) for one in entries] == [
        ("webhook.remove", "webhook:1"),
        ("webhook.add", "webhook:1"),
    ]
