"""Search pages as a source: permission, stored photos, and a check that names the part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from satchel.collect.browser.profiles import BUILT_IN
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS
from support.cli import satchel
from support.image_search_site import PAGE_RESULTS, SearchSite, search_site

pytestmark = [*BROWSER_MARKS, pytest.mark.flow]


@pytest.fixture
def site() -> Iterator[SearchSite]:
    with search_site() as running:
        yield running


@pytest.fixture
def ready(workspace: Workspace, site: SearchSite) -> Path:
    """A workspace whose own profile of Bing leads to our site, explicitly."""
    folder = workspace.folder
    (folder / "satchel.toml").write_text(
        '[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\nper_host = 4\n'
        'queries = ["{code}"]\n[fetch]\nnetworks = ["127.0.0.1"]\n'
    )
    text = (BUILT_IN / "bing.toml").read_text()
    text = re.sub(r"(?m)^url = .*$", f'url = "{site.url}/bing?q={{query}}"', text)
    text = re.sub(r"(?m)^hosts = .*$", 'hosts = ["127.0.0.1"]\ndelay_s = 0', text)
    text = text.replace("[results]", "[results]\nwait_s = 5").replace(
        "[more]", "[more]\nwait_s = 1"
    )
    (folder / "profiles").mkdir()
    (folder / "profiles" / "bing.toml").write_text(text)
    return folder


def change(ready: Path, site: SearchSite) -> None:
    """Change the site's mark-up: no result comes that could be waited for."""
    site.mode = "changed"
    profile = ready / "profiles" / "bing.toml"
    profile.write_text(profile.read_text().replace("wait_s = 5", "wait_s = 0.5"))


def test_found_photos_are_in_the_catalogue_with_query_and_rank(
    ready: Path, site: SearchSite
) -> None:
    (ready / "codes.csv").write_text("code\nM1\nM2\n")
    asked = ("collect", "--source", "bing", "--codes", str(ready / "codes.csv"))
    done = satchel(ready, *asked, "--per-product", "4", "--json")
    assert done.returncode == 0, done.stderr
    (searched,) = json.loads(done.stdout)["searched"]
    assert (searched["searches"], searched["new"], searched["stopped"]) == (2, 8, "")
    assert site.searches == [("bing", "M1"), ("bing", "M2")]
    shown = json.loads(satchel(ready, "collect", "--report", "--json").stdout)
    assert [(one["code"], one["source"], one["new"]) for one in shown["sources"]] == [
        ("M1", "bing", 4),
        ("M2", "bing", 4),
    ]
    satchel(ready, *asked)
    assert len(site.searches) == 2  # a query is made once


def test_a_site_whose_robots_txt_speaks_against_it_is_not_searched_unless_told(
    ready: Path, site: SearchSite
) -> None:
    site.robots = "User-agent: *\nDisallow: /bing\n"
    (ready / "codes.csv").write_text("code\nM1\n")
    asked = ("collect", "--source", "bing", "--codes", str(ready / "codes.csv"))
    refused = satchel(ready, *asked)
    assert refused.returncode == 1
    assert "its robots.txt does not allow it" in refused.stderr
    assert "--ignore-robots-of bing" in refused.stderr
    assert not site.searches
    assert not (ready / "collect" / "robots-ignored.jsonl").exists()
    told = satchel(ready, *asked, "--ignore-robots-of", "bing")
    assert told.returncode == 0, told.stderr
    (line,) = (ready / "collect" / "robots-ignored.jsonl").read_text().splitlines()
    assert json.loads(line)["source"] == "bing"
    assert site.searches == [("bing", "M1")]


def test_a_source_that_finds_nothing_is_an_error_with_the_page_and_a_picture(
    ready: Path, site: SearchSite
) -> None:
    change(ready, site)
    (ready / "codes.csv").write_text("code\nM1\nM2\n")
    done = satchel(ready, "collect", "--source", "bing", "--codes", str(ready / "codes.csv"))
    assert done.returncode == 1
    assert (
        "bing is skipped for now: Bing Images shows no results where its profile says"
        in done.stderr
    )
    assert site.searches == [("bing", "M1"), ("bing", "leather handbag")]
    page, picture = sorted((ready / "collect" / "answers").iterdir())
    assert "xyz" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(page) in done.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("mode", "part"),
    [
        ("", None),
        ("captcha", "block"),
        ("wall", "consent"),
        ("changed", "results"),
        ("no-urls", "full size"),
        ("stuck", "more results"),
    ],
)
def test_a_check_names_the_part_that_broke(
    mode: str, part: str | None, ready: Path, site: SearchSite
) -> None:
    site.mode, site.results = mode, PAGE_RESULTS * 2
    if mode == "changed":
        change(ready, site)
    done = satchel(ready, "collect", "--check", "bing", "--json")
    shown = json.loads(done.stdout)
    assert [one["part"] for one in shown["parts"] if one["works"] is False] == [part] * bool(part)
    assert done.returncode == (1 if part else 0)
    assert [Path(path).suffix for path in shown["saved"]] == ([".html", ".png"] if part else [])
    assert site.searches == [("bing", "leather handbag")]
    assert not any(path.startswith("/photos/") for path in site.requests)


@pytest.mark.parametrize("command", [("--check", "bing"), ("--source", "bing")])
def test_a_bad_selector_is_named_before_the_first_query(
    command: tuple[str, str], ready: Path, site: SearchSite
) -> None:
    profile = ready / "profiles" / "bing.toml"
    text, changed = re.subn(r"(?m)^button = .*$", 'button = "a[href="', profile.read_text())
    assert changed == 1
    profile.write_text(text)
    (ready / "codes.csv").write_text("code\nM1\n")
    codes = ("--codes", str(ready / "codes.csv")) if command[0] == "--source" else ()
    done = satchel(ready, "collect", *command, *codes)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "CSS selector in more.button of the profile 'bing', got 'a[href='" in said
    assert not site.searches


def test_an_unknown_source_is_named_with_those_there_are(ready: Path) -> None:
    done = satchel(ready, "collect", "--check", "bong")
    assert done.returncode == 2
    assert "bing" in done.stderr
    wrong = satchel(ready, "collect", "--source", "bing", "--ignore-robots-of", "naver")
    assert (wrong.returncode, "got 'naver'" in wrong.stderr) == (2, True)
