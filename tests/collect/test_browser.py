"""Image-search pages are read by their profiles in a real Chromium, and failures name the part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from satchel.collect.browser.addresses import url_in
from satchel.collect.browser.chromium import chromium
from satchel.collect.browser.profiles import BUILT_IN, FullSize, Profile, load, names, read
from satchel.collect.browser.search import Part, search
from satchel.collect.browser.source import check_selectors
from satchel.collect.hosts import Patience
from satchel.collect.sources import Hit
from satchel.errors import PageFailed, UsageError
from support.browser import BROWSER_MARKS
from support.image_search_site import PAGE_RESULTS, STYLES, SearchSite, search_site

ALL = sorted(STYLES)
NOWHERE = Path("/nonexistent")
QUERY = "M22675 bag"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with chromium(["127.0.0.1"], "Satchel/0 (+crawl@example.com)", 20) as running:
        yield running


@pytest.fixture
def site(chrome: Chrome) -> Iterator[SearchSite]:
    chrome.delete_all_cookies()  # are of all ports
    with search_site() as running:
        yield running


def local(name: str, site: SearchSite, **changes: Any) -> Profile:
    """A built-in profile for our site in place of the real one; the rest is as it is shipped."""
    profile = load(name, NOWHERE)
    ours = {"url": f"{site.url}/{name}?q={{query}}", "hosts": ["127.0.0.1"], "delay_s": 0}
    return profile.model_copy(update={**ours, **changes})


def impatient(profile: Profile) -> Profile:
    """For pages on which nothing comes that could be waited for."""
    results = profile.results.model_copy(update={"wait_s": 0.5, "press_wait_s": 0.2})
    more = profile.more.model_copy(update={"wait_s": 0.5})
    return profile.model_copy(update={"results": results, "more": more, "page_s": 1.0})


pytestmark = BROWSER_MARKS


def test_the_selectors_of_every_profile_are_checked(chrome: Chrome) -> None:
    for name in ALL:
        check_selectors(chrome, load(name, NOWHERE))
    profile = load("naver", NOWHERE)
    stop = profile.stop.model_copy(update={"elements": ["#captcha", "div["]})
    with pytest.raises(UsageError, match=r"stop\.elements of the profile 'naver', got 'div\['"):
        check_selectors(chrome, profile.model_copy(update={"stop": stop}))


@pytest.mark.flow
@pytest.mark.parametrize("name", ALL)
def test_results_are_found_in_order_and_no_photo_is_loaded(
    name: str, chrome: Chrome, site: SearchSite
) -> None:
    most = PAGE_RESULTS + 4
    done = search(chrome, local(name, site), QUERY, most)
    assert [hit.url for hit in done.hits] == [site.shown(QUERY, place) for place in range(most)]
    assert [hit.page for hit in done.hits] == [f"{site.url}/page/{place}" for place in range(most)]
    assert done.first == PAGE_RESULTS
    assert done.grew
    assert done.consent == (name in ("google", "bing"))
    assert site.searches == [(name, QUERY)]
    assert not any("photos" in path or "small" in path for path in site.requests)
    assert all("Satchel/0 (+crawl@example.com)" in agent for agent in site.agents)


FAILURES = {  # mode → part, what is said, and of which profiles
    "captcha": (Part.BLOCK, "a captcha or a block", ALL),
    "no-urls": (Part.FULL_SIZE, "none of their photos' URLs", ALL),
    "forbidden": (Part.BLOCK, "answers with 403", ["google"]),
    "busy": (Part.BLOCK, "asks to wait for 7,200 seconds", ["naver"]),
    "fault": (Part.PAGE, "answers with 500", ["bing"]),
    "elsewhere": (Part.PAGE, "no host is reached but those of its profile", ["bing"]),
    "inside": (Part.PAGE, "no host is reached but those of its profile", ["duckduckgo"]),
}


@pytest.mark.flow
@pytest.mark.parametrize(
    ("mode", "name"), [(mode, name) for mode, (_, _, of) in FAILURES.items() for name in of]
)
def test_a_page_that_fails_says_which_part_of_the_profile_ended_the_search(
    mode: str, name: str, chrome: Chrome, site: SearchSite
) -> None:
    part, says, _ = FAILURES[mode]
    site.mode, site.results = mode, 4
    with pytest.raises(PageFailed, match=says) as raised:
        search(chrome, impatient(local(name, site)), QUERY, 10)
    assert raised.value.part == part


@pytest.mark.parametrize("name", ["google", "bing"])
def test_a_consent_wall_that_stays_is_named(name: str, chrome: Chrome, site: SearchSite) -> None:
    site.mode = "wall"
    with pytest.raises(PageFailed, match="no button of the profile is there") as raised:
        search(chrome, impatient(local(name, site)), QUERY, 10)
    assert raised.value.part == Part.CONSENT


@pytest.mark.parametrize("name", ALL)
def test_changed_markup_finds_nothing(name: str, chrome: Chrome, site: SearchSite) -> None:
    site.mode = "changed"
    done = search(chrome, impatient(local(name, site)), QUERY, 10)
    assert (done.hits, done.results) == ([], 0)


def test_a_site_that_asks_to_wait_is_waited_for(chrome: Chrome, site: SearchSite) -> None:
    site.mode, site.results = "busy-once", 3
    waits: list[float] = []
    profile = impatient(local("bing", site))
    patience = Patience(longest_wait_s=2)
    assert len(search(chrome, profile, QUERY, 3, patience=patience, sleep=waits.append).hits) == 3
    assert waits == [2.0]


def test_results_without_end_are_cut_off(chrome: Chrome, site: SearchSite) -> None:
    site.results = None
    assert len(search(chrome, local("naver", site), QUERY, 110).hits) == 110
    more = local("naver", site).more.model_copy(update={"rounds": 3})
    done = search(chrome, local("naver", site, more=more), QUERY, 1_000)
    assert 0 < len(done.hits) < 1_000


def test_a_page_without_end_is_not_waited_for(chrome: Chrome, site: SearchSite) -> None:
    site.mode = "endless"
    began = time.monotonic()
    with (
        chromium(["127.0.0.1"], "Satchel/0", 1.0) as own,
        pytest.raises(PageFailed, match="does not load within 1 s"),
    ):
        search(own, impatient(local("bing", site)), QUERY, 10)
    assert time.monotonic() - began < 30


# -- profiles -------------------------------------------------------------------------------------


def test_every_built_in_profile_is_read() -> None:
    assert names(NOWHERE) == ALL
    for path in BUILT_IN.glob("*.toml"):
        assert read(path).search_url("a b&c").count("a+b%26c") == 1


def test_a_file_of_the_workspace_replaces_a_profile_and_adds_one(tmp_path: Path) -> None:
    text = (BUILT_IN / "bing.toml").read_text()
    (tmp_path / "bing.toml").write_text(text.replace('version = "', 'version = "ours '))
    (tmp_path / "shop.toml").write_text(text.replace('name = "bing"', 'name = "shop"'))
    assert load("bing", tmp_path).version.startswith("ours ")
    assert load("shop", tmp_path).name == "shop"
    assert names(tmp_path) == sorted([*ALL, "shop"])
    with pytest.raises(UsageError, match=r"expected a source such as .*naver.*, got 'bong'"):
        load("bong", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "bing"', 'name = "other"', "name: expected 'mine'"),
        ("form=HDRSC2&q={query}", "q=bag", "expected https://… with {query}"),
        ("https://www.bing.com/", "file:///etc/", "expected https://… with {query}"),
        ('hosts = ["www.bing.com"]', 'hosts = ["b.test"]', "expected 'www.bing.com' of the url"),
        ("[more]", "[mare]", "there is no such setting, did you mean more?"),
        ("[results]", "[results", "Expected"),
        ('key = "murl"', 'key = "murl"\nparameter = "u"', "got both"),
    ],
)
def test_a_profile_that_is_none_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    text = (BUILT_IN / "bing.toml").read_text().replace('name = "bing"', 'name = "mine"')
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old if "name" not in old else 'name = "mine"', new))
    with pytest.raises(UsageError) as raised:
        read(path)
    assert says in str(raised.value)


BASE = "https://a.test/search?q=x"


@pytest.mark.parametrize(
    ("way", "value", "expected"),
    [
        ({}, "https://b.test/1.jpg", Hit("https://b.test/1.jpg")),
        ({}, "/1.jpg", Hit("https://a.test/1.jpg")),
        ({}, "data:image/gif;base64,R0lGOD", None),
        ({}, "javascript:alert(1)", None),
        ({}, "blob:https://a.test/1", None),
        ({}, "", None),
        ({}, "http://[::1", None),
        ({"key": "u"}, '{"u": "https://b.test/1.jpg"}', Hit("https://b.test/1.jpg")),
        ({"key": "u"}, '{"u": 7}', None),
        ({"key": "u"}, '["u"]', None),
        ({"key": "u"}, "{" * 9_999, None),
        (
            {"parameter": "u", "page_parameter": "p"},
            "/go?u=https%3A%2F%2Fb.test%2F1.jpg%3Fw%3D2&p=https://b.test/p",
            Hit("https://b.test/1.jpg?w=2", "https://b.test/p"),
        ),
        ({"parameter": "u"}, "/go?v=1", None),
    ],
)
def test_urls_are_read_from_attributes(way: dict, value: str, expected: Hit | None) -> None:
    assert url_in(FullSize(attribute="a", **way), value, BASE) == expected
