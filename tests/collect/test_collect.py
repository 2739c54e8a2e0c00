"""Lists of URLs become photos of products, as sites permit, each photo once."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from satchel.catalog.photos import sha256
from satchel.catalog.tables import PhotoRow, ProductPhotoRow, ProductRow
from satchel.collect.crawl import Portion
from satchel.collect.hosts import Patience
from satchel.collect.lists import open_list
from satchel.collect.records import Change, Found, State
from satchel.collect.store import CandidateStore
from satchel.collect.storing import photo_path
from satchel.collect.tables import CandidateRow
from satchel.errors import UsageError
from satchel.workflows.collect import collect_photos, record_list, report
from satchel.workspace import Workspace
from support.cli import satchel
from support.photo_site import PhotoSite, photo_bytes, photo_site

QUICK = Patience(attempts=2, first_wait_s=0.01, blocks=3)


@pytest.fixture
def site() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


def settings(workspace: Workspace, *lines: str, loopback: bool = True) -> Workspace:
    text = '[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\n' + "\n".join(lines) + "\n"
    if loopback:
        text += '[fetch]\nnetworks = ["127.0.0.1"]\n'
    (workspace.folder / "satchel.toml").write_text(text)
    return Workspace.open(workspace.folder)


def url_list(folder: Path, rows: Iterable[tuple[str, str]]) -> Path:
    path = folder / "list.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("code", "url"), *rows])
    return path


def collected(workspace: Workspace, path: Path) -> dict[str, tuple[str, str]]:
    """Collect a list; path of each URL → its state and reason."""
    record_list(workspace, open_list(path), path.name)
    collect_photos(workspace, patience=QUICK)
    return states(workspace)


def states(workspace: Workspace) -> dict[str, tuple[str, str]]:
    chosen = select(CandidateRow.url, CandidateRow.state, CandidateRow.reason)
    with workspace.catalogue.engine.connect() as connection:
        rows = connection.execute(chosen).all()
    return {row.url.split("/", 3)[3]: (row.state, row.reason or "") for row in rows}


def links(workspace: Workspace) -> list[tuple[Any, ...]]:
    chosen = (
        select(
            ProductRow.code,
            PhotoRow.sha256,
            ProductPhotoRow.role,
            ProductPhotoRow.source,
            ProductPhotoRow.license,
        )
        .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
    )
    with workspace.catalogue.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(chosen)]


# -- what becomes of URLs -------------------------------------------------------------------------


def test_what_a_site_answers_decides_what_becomes_of_a_url(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace, "[photos]", "max_bytes = 1_000_000")
    expected = {
        "photos/a.jpg": ("stored", ""),
        "moved/b.jpg": ("stored", ""),
        "busy-once/c.jpg": ("stored", ""),
        "same/1.jpg": ("stored", ""),
        "same/2.jpg": ("duplicate", ""),
        "broken/a.jpg": ("refused", "does not fit the file"),
        "page/a.jpg": ("refused", "a web page"),
        "endless/a.jpg": ("refused", "more than"),
        "bomb/a.jpg": ("refused", "more than"),
        "private/a.jpg": ("refused", "robots.txt does not allow"),
        "moved-private/a.jpg": ("refused", "robots.txt does not allow"),
        "moved-inside/a.jpg": ("refused", "not a public address"),
        "noai/a.jpg": ("refused", "noai"),
        "tdm/a.jpg": ("refused", "reserves text and data mining"),
        "forbidden/a.jpg": ("refused", "403"),
        "gone/a.jpg": ("failed", "404"),
        "fault/a.jpg": ("failed", "500"),
    }
    rows = [("M1", f"{site.url}/{path}") for path in expected]
    found = collected(workspace, url_list(tmp_path, rows))
    assert {path: state for path, (state, _) in found.items()} == {
        path: state for path, (state, _) in expected.items()
    }
    for path, (_, reason) in expected.items():
        assert reason in found[path][1]
    assert site.requests["/private/a.jpg"] == 0
    assert site.requests["/fault/a.jpg"] == QUICK.attempts
    assert site.requests["/robots.txt"] == 1
    assert site.cookies == 0
    assert all(agent.startswith("Satchel/") for agent in site.agents)
    assert all("crawl@example.com" in agent for agent in site.agents)
    (host,) = report(workspace).hosts
    assert (host.found, host.waiting, host.fetched, host.new) == (17, 0, 5, 4)
    assert (host.duplicate, host.refused, host.failed) == (1, 10, 2)
    assert {(code, role) for code, _, role, _, _ in links(workspace)} == {("M1", "crawl")}
    assert not list((workspace.folder / "collect").glob("*.photo"))


def test_addresses_of_this_machine_are_refused_unless_a_setting_allows_them(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace, loopback=False)
    done, refusals = record_list(
        workspace, open_list(url_list(tmp_path, [("M1", site.photo("a"))])), "list"
    )
    assert (done.new, done.problems) == (0, 1)
    assert "not a public address" in str(refusals.by_count()[0][1])
    assert not site.requests


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/a.jpg", "not a public address"),
        ("http://[::1]/a.jpg", "not a public address"),
        ("http://[::ffff:127.0.0.1]/a.jpg", "not a public address"),
        ("http://2130706433/a.jpg", "in its usual form"),
        ("http://0177.0.0.1/a.jpg", "in its usual form"),
        ("http://0/a.jpg", "in its usual form"),
        ("http://169.254.169.254/latest/meta-data/", "not a public address"),
        ("http://[64:ff9b::7f00:1]/a.jpg", "not a public address"),
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("gopher://127.0.0.1:70/1", "begins with http:// or https://"),
        ("javascript:alert(1)", "begins with http:// or https://"),
        ("data:image/png;base64,iVBORw0KGgo=", "begins with http:// or https://"),
        ("none.jpg", "begins with http:// or https://"),
        ("http://localhost/a.jpg", "not a public address"),  # a name is resolved when it is fetched
    ],
)
def test_addresses_inside_are_refused_with_a_reason_and_nothing_is_connected_to(
    url: str, reason: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects, endless and packed answers are above; changing names are in `tests/fetch`."""

    def no_connection(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "create_connection", no_connection)
    workspace = settings(workspace, loopback=False)
    listed = open_list(url_list(tmp_path, [("M1", url)]))
    done, refusals = record_list(workspace, listed, "list")
    if done.problems:
        said = str(refusals.by_count()[0][1])
    else:
        assert not collect_photos(workspace, patience=QUICK).stopped
        ((state, said),) = states(workspace).values()
        assert state == "refused"  # a later run would find the same
    assert re.search(reason, said), said
    assert not links(workspace)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"]])
def test_a_name_that_has_an_address_inside_is_refused(
    addresses: list[str],
    workspace: Workspace,
    site: PhotoSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where another of its addresses is one that a setting allows."""
    real = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        names = addresses if host == "bags.test" else [host]
        return [one for name in names for one in real(name, *more, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = site.photo("a").replace("127.0.0.1", "bags.test")
    found = collected(settings(workspace), url_list(tmp_path, [("M1", url)]))
    state, reason = found["photos/a.jpg"]
    assert state == "refused"
    assert "bags.test (10.0.0.1) is not a public address" in reason
    assert not site.requests


def test_a_host_that_blocks_is_left_and_its_urls_wait(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace)
    rows = [("M1", f"{site.url}/captcha/{number}.jpg") for number in range(20)]
    record_list(workspace, open_list(url_list(tmp_path, rows)), "list")
    done = collect_photos(workspace, patience=QUICK)
    (why,) = done.stopped.values()
    assert "3 answers in a row" in why
    assert "captcha" in why
    assert {state for state, _ in states(workspace).values()} == {"waiting"}
    assert sum(count for path, count in site.requests.items() if "captcha" in path) == 3


def test_a_host_that_asks_for_hours_is_left(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace)
    rows = [("M1", f"{site.url}/busy/a.jpg"), ("M1", site.photo("a"))]
    record_list(workspace, open_list(url_list(tmp_path, rows)), "list")
    done = collect_photos(workspace, patience=QUICK)
    assert "7,200 seconds" in next(iter(done.stopped.values()))
    assert {state for state, _ in states(workspace).values()} == {"waiting"}


def test_without_robots_txt_all_is_allowed_and_a_reservation_counts(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    site.robots = None
    site.tdmrep = json.dumps([{"location": "/reserved/", "tdm-reservation": 1}])
    rows = [("M1", f"{site.url}/private/a.jpg"), ("M1", f"{site.url}/reserved/b.jpg")]
    found = collected(settings(workspace), url_list(tmp_path, rows))
    assert found["private/a.jpg"][0] == "stored"
    assert found["reserved/b.jpg"][0] == "refused"
    assert site.requests["/reserved/b.jpg"] == 0


def test_a_permitted_host_is_not_asked(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace, 'permitted = ["127.0.0.1"]')
    found = collected(workspace, url_list(tmp_path, [("M1", f"{site.url}/private/a.jpg")]))
    assert found["private/a.jpg"][0] == "stored"
    assert site.requests["/robots.txt"] == 0


def test_requests_to_one_host_keep_their_distance(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    site.robots = "User-agent: *\nCrawl-delay: 0.2\n"
    rows = [("M1", site.photo(str(number))) for number in range(4)]
    collected(settings(workspace), url_list(tmp_path, rows))
    gaps = [late - early for early, late in zip(site.times[1:], site.times[2:], strict=False)]
    assert min(gaps) > 0.15


def test_a_run_that_is_asked_to_stop_leaves_the_rest_waiting(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace)
    rows = [("M1", site.photo(str(number))) for number in range(5)]
    record_list(workspace, open_list(url_list(tmp_path, rows)), "list")
    fetched = lambda: site.requests["/photos/1.jpg"] > 0  # noqa: E731
    done = collect_photos(workspace, portion=Portion(stopping=fetched), patience=QUICK)
    assert done.ended == "it was stopped"
    found = [state for state, _ in states(workspace).values()]
    assert found[:2] == ["stored", "stored"]
    assert found[-1] == "waiting"
    collect_photos(workspace, patience=QUICK)
    assert {state for state, _ in states(workspace).values()} == {"stored"}
    photos = [count for path, count in site.requests.items() if path.startswith("/photos/")]
    assert photos == [1] * 5


def test_a_product_gets_so_many_photos(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace, "max_photos_per_product = 2", "per_host = 4")
    rows = [(code, site.photo(f"{code}{number}")) for code in ("M1", "M2") for number in range(6)]
    collected(workspace, url_list(tmp_path, rows))
    assert sorted(code for code, *_ in links(workspace)) == ["M1", "M1", "M2", "M2"]


def test_nothing_is_fetched_without_a_contact(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="contact"):
        collect_photos(workspace)
    assert not site.requests


def test_a_photo_that_was_imported_before_is_a_duplicate(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace)
    collected(workspace, url_list(tmp_path, [("M1", site.photo("a"))]))
    before = links(workspace)
    found = collected(workspace, url_list(tmp_path, [("M1", site.photo("a") + "?w=9")]))
    assert found["photos/a.jpg?w=9"][0] == State.DUPLICATE
    assert links(workspace) == before


@pytest.mark.flow
@pytest.mark.parametrize(
    ("products", "photos"), [(40, 5), pytest.param(200, 20, marks=pytest.mark.slow)]
)
def test_a_run_that_is_killed_three_times_ends_with_every_photo_once(
    products: int, photos: int, workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    workspace = settings(workspace, "per_host = 4")
    site.slow_s = 0.02
    total = products * photos
    urls = [(f"M{number % products}", site.photo(f"p{number}")) for number in range(total)]
    record_list(workspace, open_list(url_list(tmp_path, urls)), "list")
    command = (sys.executable, "-m", "satchel", "--workspace", str(workspace.folder), "collect")
    for share in (0.2, 0.4, 0.7):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 300
        while len(site.times) < share * total and child.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    requested = len(site.times)
    assert requested < total
    site.slow_s = 0
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {state for state, _ in states(workspace).values()} == {"stored"}
    found = links(workspace)
    assert sorted((code, source) for code, _, _, source, _ in found) == sorted(urls)
    assert len({sha256 for _, sha256, *_ in found}) == total
    stored = sorted(path.stem for path in (workspace.folder / "photos").glob("*/*/*.jpg"))
    assert stored == sorted(sha256 for _, sha256, *_ in found)
    again = sum(count - 1 for path, count in site.requests.items() if path.startswith("/photos/"))
    # Those in flight, and those whose state was not yet written: a quarter of a second's, if the
    # process was not stalled.
    assert again < 0.5 * total


# -- lists ----------------------------------------------------------------------------------------


def found_in(path: Path) -> list[tuple[str, str, str | None, str | None]]:
    found = []
    for one in open_list(path).found():
        assert isinstance(one, Found), one
        found.append((one.code, one.url, one.page, one.license))
    return found


def test_csv_and_json_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("code,url,page,licence\nM1,https://a.test/1.jpg,https://a.test/m1,CC0\n")
    expected = [("M1", "https://a.test/1.jpg", "https://a.test/m1", "CC0")]
    assert found_in(path) == expected
    lines = tmp_path / "runs.addresses.jsonl"
    row = {"code": "M1", "photo": "https://a.test/1.jpg", "page": "https://a.test/m1"}
    lines.write_text(json.dumps({**row, "license": "CC0"}) + "\n")
    assert found_in(lines) == expected


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xml", ".xlsx", ""])
def test_a_pipe_a_folder_and_nothing_are_no_list(suffix: str, tmp_path: Path) -> None:
    pipe, folder = tmp_path / f"pipe{suffix}", tmp_path / f"folder{suffix}"
    os.mkfifo(pipe)
    folder.mkdir()
    nothing = tmp_path / f"none{suffix}"
    for path, kind in ((pipe, "no regular file"), (folder, "a folder"), (nothing, "nothing")):
        with pytest.raises(UsageError, match=f"expected a list of .* got {kind} at "):
            open_list(path)


ITEM = """<item><g:id>17</g:id>{mpn}<title>Bag &amp; strap</title><link>https://a.test/p</link>
<g:image_link>https://a.test/1.jpg</g:image_link>
<g:additional_image_link>https://a.test/2.jpg</g:additional_image_link></item>"""
FEED = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>{}</channel></rss>'


def test_a_merchant_feed_is_read_as_xml_and_as_tsv(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    items = ITEM.format(mpn="<g:mpn>M17</g:mpn>") + ITEM.format(mpn="")
    path.write_text(FEED.format(items))
    photos = ("https://a.test/1.jpg", "https://a.test/2.jpg")
    expected = [(code, url, "https://a.test/p", None) for code in ("M17", "17") for url in photos]
    assert found_in(path) == expected
    table = tmp_path / "feed.tsv"
    table.write_text(
        "id\tmpn\ttitle\tlink\timage_link\tadditional_image_link\n"
        "17\tM17\tBag\thttps://a.test/p\thttps://a.test/1.jpg\thttps://a.test/2.jpg\n"
    )
    assert found_in(table) == expected[:2]


def test_a_feed_with_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text('<!DOCTYPE rss [<!ENTITY a "b">]>' + FEED.format(ITEM.format(mpn="")))
    with pytest.raises(UsageError, match=r"Google Merchant|document type"):
        list(open_list(path).found())


# -- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_it_would_do_and_what_it_did(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    settings(workspace)
    path = tmp_path / "list.csv"
    path.write_text(
        f"code,name,url,license\nM1,Bag,{site.photo('a')},CC0\nM2,Purse,{site.photo('b')},\n"
        f"M1,Bag,{site.photo('a')},\nM3,,ftp://a.test/x.jpg,\n"
    )
    rehearsed = satchel(workspace.folder, "collect", str(path), "--dry-run", "--json")
    listed = json.loads(rehearsed.stdout)["list"]
    assert (listed["new"], listed["known"], listed["problems"]) == (2, 1, 1)
    assert not site.requests
    assert not workspace.catalogue.has_product("M1")
    done = satchel(workspace.folder, "collect", str(path))
    assert done.returncode == 1  # a row was refused
    assert "duplicate" in done.stdout
    assert "2 products new" in done.stderr
    shown = json.loads(satchel(workspace.folder, "collect", "--report", "--json").stdout)
    assert shown["hosts"][0]["new"] == 2
    assert {(code, license_) for code, _, _, _, license_ in links(workspace)} == {
        ("M1", "CC0"),
        ("M2", None),
    }


def test_bytes_that_were_cut_off_are_fetched_again(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    """As a power cut leaves them: the row is written, the file is not whole."""
    workspace = settings(workspace)
    record_list(workspace, open_list(url_list(tmp_path, [("M1", site.photo("a"))])), "list")
    candidates = CandidateStore(workspace.catalogue.engine)
    (one,) = [one for page in candidates.waiting(site.url.removeprefix("http://")) for one in page]
    body = photo_bytes("a")
    candidates.change([Change(one.id, State.FETCHED, attempts=1, sha256=sha256(body))])
    folder = workspace.folder / "collect"
    folder.mkdir()
    photo_path(folder, one.id).write_bytes(body[:500])
    collect_photos(workspace, patience=QUICK)
    assert states(workspace) == {"photos/a.jpg": ("stored", "")}
    assert site.requests["/photos/a.jpg"] == 1
