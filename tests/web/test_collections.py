"""Collections over HTTP and in a browser: progress, candidates, and decisions that stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys
from sqlalchemy import update

from satchel.catalog.database import writing
from satchel.collect.hosts import Patience
from satchel.collect.recording import record
from satchel.collect.records import Found, State
from satchel.collect.store import CandidateStore
from satchel.files import locked
from satchel.jobs.records import JobState
from satchel.jobs.tables import JobRow
from satchel.jobs.worker import Worker
from satchel.web.app import create_app
from satchel.web.middleware.body_limit import LIST_CHARS
from satchel.workflows.collect import collect_photos
from satchel.workflows.collecting import fetch_rules
from satchel.workflows.collections import FETCH, MAX_URLS
from satchel.workflows.jobs import COLLECTS_AGAIN, handlers_of
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.photo_site import PhotoSite, photo_site

CODE, OTHER = "M22675", "가방-7"
GRID = f"/collections/candidates?code={CODE}"
QUICK = Patience(attempts=1, first_wait_s=0.01)


@pytest.fixture
def photos() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


@pytest.fixture
def collected(own_workspace: Workspace, photos: PhotoSite) -> Iterator[Workspace]:
    """Two photos fetched, one of a private page refused, two that wait."""
    (own_workspace.folder / "satchel.toml").write_text(
        '[collect]\ncontact = "a@example.com"\ndelay_s = 0\n[fetch]\nnetworks = ["127.0.0.1"]\n'
    )
    workspace = Workspace.open(own_workspace.folder)
    first = [photos.photo("a"), photos.photo("b"), f"{photos.url}/private/c.jpg"]
    find(workspace, first, "one")
    collect_photos(workspace, patience=QUICK)
    find(workspace, [photos.photo("d"), photos.photo("e")], "two", page="javascript:alert(1)")
    yield workspace
    workspace.catalogue.close()


def find(
    workspace: Workspace, urls: list[str], source: str, page: str | None = None, code: str = CODE
) -> None:
    found = [Found(code, url, rank=at, query="bag", page=page) for at, url in enumerate(urls, 1)]
    store = CandidateStore(workspace.catalogue.engine)
    rules = fetch_rules(workspace)
    record(found, source, workspace.catalogue, store, rules=rules, on_problem=print)


@pytest.fixture
def site(collected: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return serve_app(create_app(collected))


def listed(site: httpx.Client, code: str = CODE) -> list[dict[str, object]]:
    answer = site.get("/api/v1/collections/candidates", params={"code": code})
    assert answer.status_code == 200
    found: list[dict[str, object]] = answer.json()["candidates"]
    return found


def states(site: httpx.Client) -> list[object]:
    return [one["photo"]["state"] if one["photo"] else one["state"] for one in listed(site)]  # type: ignore[index]


def test_a_product_leads_to_its_candidates_whatever_its_code_was(
    site: httpx.Client, collected: Workspace, photos: PhotoSite
) -> None:
    page = site.get(f"/products/{CODE}", headers={"accept": "text/html"}).text
    assert f'href="{GRID}"' in page
    before = [one["id"] for one in listed(site)]
    collected.catalogue.edits.rename(CODE, "N1")
    collected.catalogue.edits.rename("N1", "N2")
    find(collected, [photos.photo("late")], "one", code=CODE)
    assert [one["id"] for one in listed(site, "N2")][:-1] == before
    assert {one["code"] for one in listed(site, "N2")} == {"N2"}
    assert 'href="/products/N2"' in site.get(GRID).text
    with collected.catalogue.writing() as writer:
        writer.add_product(CODE, {})  # another product has the code now
    assert len(listed(site, "N2")) == 1
    assert len(listed(site)) == 5


def test_what_a_site_does_not_allow_is_said_in_plain_words(site: httpx.Client) -> None:
    assert "The site does not let programs take this photo" in site.get(GRID).text
    korean = site.get(GRID, headers={"accept-language": "ko"}).text
    assert "프로그램으로 가져갈 수 없게" in korean
    assert "does not allow" not in korean


def test_progress_is_counted_by_source_and_product(site: httpx.Client) -> None:
    found = site.get("/api/v1/collections").json()
    assert found["running"] is False
    one = {"found": 3, "waiting": 0, "fetched": 2, "refused": 1, "failed": 0, "new": 2}
    assert found["sources"]["one"] == {**one, "duplicate": 0}
    assert found["sources"]["two"]["waiting"] == 2
    assert list(found["products"]) == [CODE]
    assert found["products"][CODE] == found["total"]
    assert found["total"]["found"] == 5


def test_an_open_page_hears_nothing_until_something_happens(
    site: httpx.Client, collected: Workspace
) -> None:
    def again(page: str) -> str:
        return page.split('hx-get="')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")

    page = again(site.get("/collections").text)
    fragment = {"hx-request": "true"}
    assert site.get(page, headers=fragment).status_code == 204
    with locked(collected.folder / "collect" / "lock", "a test"):
        running = site.get(page, headers=fragment)
        assert "<html" not in running.text
        assert "Running" in running.text
    last = listed(site)[-1]["id"]
    site.post("/api/v1/collections/decide", json={"candidates": [last], "choice": "reject"})
    assert site.get(page, headers=fragment).status_code == 200


def test_what_people_decide_is_what_runs_do(
    site: httpx.Client, collected: Workspace, photos: PhotoSite
) -> None:
    kept, dropped, private, wanted, unwanted = (one["id"] for one in listed(site))

    def decide(choice: str, *ids: object, **more: str) -> dict[str, list[int]]:
        body = {"candidates": ids, "choice": choice, "by": "지민", **more}
        answer = site.post("/api/v1/collections/decide", json=body)
        assert answer.status_code == 200, answer.text
        done: dict[str, list[int]] = answer.json()
        return done

    decide("accept", kept, private, wanted)
    rejected = decide("reject", dropped, unwanted)
    decision = collected.catalogue.review.history(limit=1)[0]
    assert (decision.id, decision.by) == (rejected["decisions"][0], "지민")
    assert states(site) == ["kept", "dropped", "waiting", "waiting", "rejected"]
    assert [job.state for job in collected.jobs.jobs(kind=FETCH)] == [JobState.WAITING]
    CandidateStore(collected.catalogue.engine).retry_failed()
    collect_photos(collected, retry=True, patience=QUICK)
    assert states(site) == ["kept", "dropped", "refused", "kept", "rejected"]  # robots.txt counts
    assert photos.requests["/photos/e.jpg"] == 0
    assert site.post("/api/v1/collections/undo", json=rejected).status_code == 200
    assert states(site)[1::3] == ["kept", "waiting"]


def test_candidates_move_to_another_code_and_back(site: httpx.Client) -> None:
    stored, *_, waiting = (one["id"] for one in listed(site))
    body = {"candidates": [stored, waiting], "choice": "move", "code": OTHER}
    done = site.post("/api/v1/collections/decide", json=body).json()
    assert states(site) == ["dropped", "kept", "refused", "waiting", "rejected"]
    (moved,) = listed(site, OTHER)
    assert (moved["state"], moved["decision"]) == ("waiting", "accept")
    assert site.post("/api/v1/collections/undo", json=done).status_code == 200
    assert listed(site, OTHER) == []
    assert states(site) == ["kept", "kept", "refused", "waiting", "waiting"]


def test_decisions_are_undone_in_any_order_as_a_whole(
    site: httpx.Client, collected: Workspace
) -> None:
    stored, _, refused, waiting, other = (one["id"] for one in listed(site))

    def decide(choice: str, *ids: object) -> dict[str, object]:
        body = {"candidates": ids, "choice": choice, "by": f"who {choice}s"}
        done: dict[str, object] = site.post("/api/v1/collections/decide", json=body).json()
        return done

    def undo(done: dict[str, object]) -> int:
        return site.post("/api/v1/collections/undo", json=done).status_code

    def decisions() -> list[tuple[object, object]]:
        return [(one["state"], one["decided_by"]) for one in listed(site)][2:]

    before = decisions()
    first = decide("accept", refused, waiting)
    between = decisions()
    second = decide("reject", refused, waiting)
    assert undo(second) == 200
    assert decisions() == between  # with the earlier decision
    assert undo(second) == 404
    assert undo(first) == 200
    assert decisions() == before

    first, second = decide("accept", waiting, other), decide("reject", waiting)
    assert undo(first) == 200
    assert decisions() == [before[0], ("rejected", "who rejects"), before[2]]
    assert undo(second) == 200
    assert decisions() == before

    mixed = decide("accept", stored, waiting)
    collect_photos(collected, patience=QUICK)
    assert undo(mixed) == 404  # it was fetched since
    assert len(collected.catalogue.review.history(standing=True)) == 1  # on the photo, as it was


def test_candidates_move_to_codes_for_which_they_were_found_too(
    site: httpx.Client, collected: Workspace, photos: PhotoSite
) -> None:
    *_, first, second = (one["id"] for one in listed(site))
    find(collected, [photos.photo("d"), photos.photo("e")], "three", code=OTHER)
    rejected, spare = (one["id"] for one in listed(site, OTHER))
    body: dict[str, object] = {"candidates": [rejected], "choice": "reject"}
    site.post("/api/v1/collections/decide", json=body)
    store = CandidateStore(collected.catalogue.engine)
    store.choose(store.spares(OTHER), ())
    before = [(one["id"], one["state"]) for one in listed(site, OTHER)]
    assert before == [(rejected, "rejected"), (spare, "spare")]
    body = {"candidates": [first, second], "choice": "move", "code": OTHER}
    done = site.post("/api/v1/collections/decide", json=body).json()
    assert [one["state"] for one in listed(site, OTHER)] == ["waiting", "waiting"]
    assert site.post("/api/v1/collections/undo", json=done).status_code == 200
    assert [(one["id"], one["state"]) for one in listed(site, OTHER)] == before
    assert states(site) == ["kept", "kept", "refused", "waiting", "waiting"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"candidates": [], "choice": "accept"}, 422),
        ({"candidates": [1], "choice": "keep"}, 422),
        ({"candidates": [1] * 61, "choice": "accept"}, 422),
        ({"candidates": [5, 999], "choice": "reject"}, 404),
        ({"candidates": [5], "choice": "move", "code": "none"}, 404),
        ({"candidates": [5], "choice": "move", "code": CODE}, 404),
    ],
)
def test_wrong_decisions_change_nothing(
    site: httpx.Client, body: dict[str, object], status: int
) -> None:
    assert site.post("/api/v1/collections/decide", json=body).status_code == status
    assert states(site) == ["kept", "kept", "refused", "waiting", "waiting"]


def test_chosen_ones_are_fetched_first_and_beyond_the_limit(
    collected: Workspace, site: httpx.Client, photos: PhotoSite
) -> None:
    last = listed(site)[-1]["id"]
    site.post("/api/v1/collections/decide", json={"candidates": [last], "choice": "accept"})
    (first, _) = (
        one
        for page in CandidateStore(collected.catalogue.engine).waiting(photos.url[7:])
        for one in page
    )
    assert first.id == last
    path = collected.folder / "satchel.toml"
    path.write_text(path.read_text().replace("delay", "max_photos_per_product = 2\ndelay"))
    collect_photos(Workspace.open(collected.folder), patience=QUICK)
    assert [one["state"] for one in listed(site)[3:]] == [State.REFUSED, State.STORED]


def work(workspace: Workspace) -> None:
    Worker(workspace.catalogue.engine, handlers_of(workspace)).run(once=True)


def test_pasted_urls_are_fetched_by_a_job(
    site: httpx.Client, collected: Workspace, photos: PhotoSite
) -> None:
    new, waiting, private = (photos.photo("new"), photos.photo("d"), f"{photos.url}/private/x.jpg")
    lines = f"{new}\n\n{OTHER} {new}\nno address\nhttp://10.0.0.1/a.jpg\n{waiting}\n{private}"
    form = {"other": CODE, "urls": lines, "who": "지민"}
    shown = site.post("/collections/paste", data=form, headers={"hx-request": "true"})
    assert shown.status_code == 200
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", shown.text))
    assert "3 new addresses · 1 known before · 2 lines cannot be used" in text
    assert ("Line 4:" in text, "Line 5:" in text) == (True, True)
    left = shown.text.partition("<textarea")[2].partition("</textarea>")[0].partition(">")[2]
    assert left.splitlines() == ["no address", "http://10.0.0.1/a.jpg"]
    (job,) = collected.jobs.jobs(kind=FETCH)
    assert "Waiting for “satchel worker”" in site.get("/collections").text
    assert site.get("/api/v1/collections").json()["queued"] is True
    site.post("/collections/paste", data=form)
    assert len(collected.jobs.jobs(kind=FETCH)) == 1  # it waits already
    assert [(one["state"], one["decided_by"]) for one in listed(site)[3:]] == [
        ("waiting", "지민"),  # known, and now wanted
        ("waiting", None),
        ("waiting", "지민"),
        ("waiting", "지민"),
    ]
    work(collected)
    assert site.get("/api/v1/collections").json()["queued"] is False
    done = collected.jobs.job(job.id)
    assert (done.state, done.result) == (
        JobState.DONE,
        {"finished": 4, "stopped": {}, "ended": ""},
    )
    assert states(site)[3:] == ["kept", "waiting", "kept", "refused"]  # nobody asked for the second
    assert [one["source"] for one in listed(site, OTHER)] == ["by hand"]
    assert photos.requests["/photos/e.jpg"] == 0


def test_a_job_waits_for_another_run_without_using_up_an_attempt(
    site: httpx.Client, collected: Workspace, photos: PhotoSite
) -> None:
    site.post("/collections/paste", data={"other": CODE, "urls": photos.photo("new")})
    (job,) = collected.jobs.jobs(kind=FETCH)
    with locked(collected.folder / "collect" / "lock", "a test"):
        work(collected)
    waits = collected.jobs.job(job.id)
    assert (waits.state, waits.attempts, waits.error) == (JobState.WAITING, 0, None)
    assert waits.due_at - job.due_at >= COLLECTS_AGAIN
    with writing(collected.catalogue.engine) as connection:  # the minute is over
        connection.execute(update(JobRow).values(due_at=job.due_at))
        connection.commit()
    work(collected)
    assert collected.jobs.job(job.id).state == JobState.DONE
    assert states(site)[-1] == "kept"


def test_urls_are_taken_over_http(site: httpx.Client, collected: Workspace) -> None:
    urls = [
        {"code": "S9", "url": "https://shop.example.com/a.jpg", "license": "CC0"},
        {"code": " ", "url": "https://shop.example.com/b.jpg"},
        {"code": "S9", "url": "file:///etc/passwd"},
    ]
    answer = site.post("/api/v1/collections/urls", json={"urls": urls})
    assert answer.status_code == 200, answer.text
    taken = answer.json()
    assert (taken["new"], taken["known"], taken["new_products"]) == (1, 0, 1)
    assert (taken["codes"], [one["number"] for one in taken["problems"]]) == (["S9"], [2, 3])
    assert collected.jobs.job(taken["job"]).kind == FETCH
    for wrong in ([], urls * 200, [{"url": "https://a.test"}]):
        answer = site.post("/api/v1/collections/urls", json={"urls": wrong})
        assert answer.status_code == 422


def test_without_a_contact_nothing_is_taken(
    own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]
) -> None:
    site = serve_app(create_app(own_workspace))
    for path in ("/collections", GRID):
        page = site.get(path, headers={"accept-language": "ko"}).text
        assert "contact = " in page
        assert "<textarea" not in page
    body = {"urls": [{"code": CODE, "url": "https://shop.example.com/a.jpg"}]}
    refused = site.post("/api/v1/collections/urls", json=body)
    assert refused.status_code == 400
    assert "expected a contact in satchel.toml" in refused.json()["detail"]
    assert site.get("/api/v1/collections").json()["total"]["found"] == 0


def test_too_many_pasted_lines_are_left_as_they_are(site: httpx.Client) -> None:
    lines = "\n".join(f"https://a.test/{number}.jpg" for number in range(MAX_URLS + 1))
    shown = site.post("/collections/paste", data={"other": CODE, "urls": lines}).text
    assert f"Paste {MAX_URLS} addresses or fewer" in shown
    assert f"/{MAX_URLS}.jpg</textarea>" in shown
    assert len(listed(site)) == 5


def test_as_many_addresses_of_usual_length_as_the_form_promises_are_taken(
    site: httpx.Client,
) -> None:
    urls = [f"https://a.test/{number:0271}.jpg?w=1&h=2" for number in range(MAX_URLS)]
    assert {len(url) for url in urls} == {300 - 2}  # and the end of a line
    answer = site.post("/collections/paste", data={"other": CODE, "urls": "\r\n".join(urls)})
    assert answer.status_code == 200, answer.text[:500]
    assert f"{MAX_URLS} new addresses" in answer.text
    body = {"urls": [{"code": CODE, "url": url} for url in urls]}
    taken = site.post("/api/v1/collections/urls", json=body)
    assert (taken.status_code, taken.json()["known"]) == (200, MAX_URLS)


def test_the_limit_of_pasted_characters_is_the_one_that_is_named(site: httpx.Client) -> None:
    """Ends of lines and Korean letters count as one character, as in the form."""
    lines = ["https://a.test/1.jpg", *["가" * 299] * 400]
    lines += [""] * (LIST_CHARS - len("\n".join(lines)))
    text = "\r\n".join(lines)
    assert len("\n".join(lines)) == LIST_CHARS < len(text)
    shown = site.post("/collections/paste", data={"other": CODE, "urls": text})
    assert (shown.status_code, "1 new address" in shown.text) == (200, True)
    before = len(listed(site))
    longer = site.post("/collections/paste", data={"other": CODE, "urls": text + "\r\n"})
    assert longer.status_code == 200
    assert f"Paste {LIST_CHARS:,} characters or fewer" in longer.text
    assert "https://a.test/1.jpg\n가" in longer.text  # it is left to be shortened
    assert len(listed(site)) == before


@pytest.mark.browser
@BROWSER_MARKS[1]
def test_candidates_are_decided_on_by_keys(
    chrome: Chrome,
    collected: Workspace,
    photos: PhotoSite,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    with run_server(create_app(collected)) as url, httpx.Client(base_url=url, timeout=60) as site:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader.resize(1280, 900)
        reader.requests()
        reader.complaints()
        reader.go("/collections")
        reader.one(".counts a").click()
        reader.until(lambda: len(reader.all(".sheet label")) == 5)
        (page, *_) = [one.get_attribute("rel") for one in reader.all(".sheet a[target]")]
        assert page == "noopener noreferrer"
        assert "javascript" not in chrome.page_source

        def press(*keys: str) -> None:
            ActionChains(chrome).send_keys(*keys).perform()

        reader.all(".sheet input")[0].send_keys(Keys.SPACE)
        press(Keys.ARROW_RIGHT, Keys.SPACE, "d")
        reader.until(lambda: states(site)[:2] == ["dropped", "dropped"])
        reader.until(lambda: reader.all("#undo-many"))
        press("u")
        reader.until(lambda: states(site)[:2] == ["kept", "kept"])
        reader.until(lambda: not reader.all("#undo-many"))
        reader.all(".sheet input")[4].send_keys(Keys.SPACE)
        press("m", OTHER, Keys.ENTER)
        reader.until(lambda: states(site)[4] == "rejected")
        reader.one("#paste textarea").send_keys(photos.photo("z"))
        reader.one("#paste button").click()
        reader.until(lambda: "1 new address" in reader.one("#paste .said").text)
        assert listed(site)[-1]["state"] == "waiting"
        reader.resize(390, 800)
        for path in ("/collections", GRID):
            reader.go(path)
            assert chrome.execute_script("return document.documentElement.scrollWidth <= 390")
        assert reader.complaints() == []
        assert not [one for one in reader.requests() if one.startswith(photos.url)]


@pytest.mark.browser
@BROWSER_MARKS[1]
def test_an_open_grid_follows_the_job_and_keeps_what_is_chosen(
    chrome: Chrome,
    collected: Workspace,
    photos: PhotoSite,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    with run_server(create_app(collected)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader.resize(390, 600)
        reader.go(GRID)

        def progress() -> str:
            return " ".join(reader.texts("#fetching"))

        def asks_again() -> bool:
            return "every" in str(reader.one("#fetching").get_attribute("hx-trigger"))

        reader.until(lambda: "Not running 3 of 5 done, 2 left" in progress())
        assert not asks_again()
        reader.one("#paste textarea").send_keys(photos.photo("pasted"))
        reader.one("#paste button").click()
        reader.until(lambda: "Waiting for “satchel worker” 3 of 6 done, 3 left" in progress())
        assert asks_again()
        reader.all(".sheet input")[0].send_keys(Keys.SPACE)
        reader.all(".sheet input")[3].send_keys(Keys.SPACE)
        reader.one("#other").send_keys("half a wo")
        reader.all(".sheet input")[3].send_keys("")  # has the focus
        script = """window.kept = document.querySelectorAll(".sheet input")[3];
        return [scrollY, kept.getBoundingClientRect().top]"""
        scrolled, place = chrome.execute_script(script)
        assert scrolled > 0

        def undisturbed() -> bool:
            script = """const boxes = [...document.querySelectorAll(".sheet input")];
            return [kept.isConnected && document.activeElement === kept,
              kept.getBoundingClientRect().top,
              boxes.map(one => one.checked), document.querySelector("#other").value,
              document.querySelector("#chosen").textContent,
              document.querySelector("[name=choice]").disabled]"""
            focus, at, chosen, other, count, disabled = chrome.execute_script(script)
            assert (focus, other, count, disabled) == (True, "half a wo", "2", False)
            assert at == pytest.approx(place, abs=2)  # in the window, whatever grew above it
            assert chosen == [number in (0, 3) for number in range(len(chosen))]
            return True

        with locked(collected.folder / "collect" / "lock", "a test"):
            find(collected, [photos.photo("later")], "three")
            reader.until(lambda: "Running 3 of 7 done, 4 left" in progress())
            assert len(reader.all(".sheet li")) == 7
            assert undisturbed()
        work(collected)
        reader.until(lambda: "Not running 4 of 7 done, 3 left" in progress())
        assert undisturbed()
        assert not asks_again()
        assert reader.one("#fetching").get_attribute("aria-live") == "polite"
        assert len(reader.all(".sheet img")) == 3
