"""One search on an image-search page, as its profile says; no code here knows a site."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from satchel.collect.browser import scripts
from satchel.collect.browser.addresses import url_in, web_address
from satchel.collect.browser.chromium import answers
from satchel.collect.browser.profiles import Profile, Where, host_is_in
from satchel.collect.fetching import retry_after
from satchel.collect.hosts import Patience
from satchel.collect.sources import Hit
from satchel.errors import PageFailed

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

SEARCH_S: Final = 180.0
"""Seconds for one search, at most: some pages never end."""
POLL_S: Final = 0.05
MOST_RESULTS: Final = 1_000
MOST_CHARS: Final = 20_000
"""Of a page's text, as of an attribute."""
BLOCKING: Final = frozenset((401, 403, 429, 451))


class Part(StrEnum):
    """A part of a profile, in the order in which a search needs them."""

    PAGE = "page"
    BLOCK = "block"
    CONSENT = "consent"
    RESULTS = "results"
    FULL_SIZE = "full size"
    MORE = "more results"


@dataclass(slots=True)
class PageSearch:
    """What a search found, and how.

    Attributes:
        consent: whether a consent wall was there and taken away.
        first: results before the page was scrolled.
        results: those that came into view.
        without_url: of those, the ones whose photo's URL was not found.
        grew: whether scrolling or the button brought further results.
        at_end: whether there were no more.
    """

    hits: list[Hit] = field(default_factory=list)
    consent: bool = False
    first: int = 0
    results: int = 0
    without_url: int = 0
    grew: bool = False
    at_end: bool = False


def search(
    chrome: Chrome,
    profile: Profile,
    query: str,
    most: int,
    *,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> PageSearch:
    """Search photos, at most so many, best first.

    Raises:
        PageFailed: the page cannot be opened, shows a captcha or a block, or a part of the
            profile does not fit it.
    """
    from selenium.common.exceptions import WebDriverException  # noqa: PLC0415 - an extra

    one = _Search(chrome, profile, patience or Patience(), sleep)
    try:
        one.open(profile.search_url(query))
        one.wait_for_results()
        one.take(most)
    except WebDriverException as error:
        said = (error.msg or type(error).__name__).splitlines()[0][:200]
        raise PageFailed(f"the browser fails: {said}", part=Part.PAGE) from None
    return one.done


class _Search:
    """A search that goes on."""

    def __init__(
        self, chrome: Chrome, profile: Profile, patience: Patience, sleep: Callable[[float], None]
    ) -> None:
        self.done = PageSearch()
        self._chrome, self._profile = chrome, profile
        self._patience, self._sleep = patience, sleep
        self._found: dict[str, Hit] = {}
        self._missing = 0
        self._last = ""
        self._ends = time.monotonic() + SEARCH_S

    # -- the page ---------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Open the page, and wait where the site asks for it."""
        for attempt in range(1, self._patience.attempts + 1):
            status, headers = self._get(url)
            wait = retry_after(headers.get("retry-after", ""))
            short = wait is not None and wait <= self._patience.longest_wait_s
            if status not in (429, 503) or not short or attempt == self._patience.attempts:
                break
            self._sleep(wait or 0.0)
            self._ends = time.monotonic() + SEARCH_S
        if status in BLOCKING or (status == 503 and wait):
            asks = f" and asks to wait for {wait:,.0f} seconds" if wait else ""
            raise PageFailed(f"answers with {status}, a block{asks}", part=Part.BLOCK)
        self._refuse_captcha()
        if status >= 400:
            raise PageFailed(f"answers with {status}", part=Part.PAGE)
        host = urlsplit(self._chrome.current_url).hostname or ""
        if not host_is_in(host, self._profile.hosts):
            raise PageFailed(
                f"leads to {host or self._chrome.current_url[:100]!r}, which is not one of its "
                "profile's hosts",
                part=Part.PAGE,
            )

    def _get(self, url: str) -> tuple[int, Mapping[str, str]]:
        from selenium.common.exceptions import (  # noqa: PLC0415 - an extra
            TimeoutException,
            WebDriverException,
        )

        list(answers(self._chrome))  # those of the search before
        try:
            self._chrome.get(url)
        except TimeoutException:
            raise PageFailed(
                f"does not load within {self._profile.page_s:g} s", part=Part.PAGE
            ) from None
        except WebDriverException as error:
            said = (error.msg or "").splitlines()[0].removeprefix("unknown error: ")
            raise PageFailed(
                f"cannot be opened at {self._chrome.current_url[:200]}: {said[:100]} (no host "
                "is reached but those of its profile)",
                part=Part.PAGE,
            ) from None
        status = 0
        headers: Mapping[str, str] = {}
        for status, _, headers in answers(self._chrome):  # noqa: B007 - the last one
            pass
        return status, headers

    def _refuse_captcha(self) -> None:
        stop, address = self._profile.stop, self._chrome.current_url
        mark = next((part for part in stop.addresses if part in address), "")
        mark = mark or self._script(scripts.FIRST_VISIBLE, stop.elements)
        if not mark and stop.texts and not self._count():
            said: str = self._script(scripts.TEXT, MOST_CHARS)
            mark = next((text for text in stop.texts if text.lower() in said), "")
        if mark:
            raise PageFailed(f"shows a captcha or a block ({mark})", part=Part.BLOCK)

    def wait_for_results(self) -> None:
        """Wait for the first result, and take a consent wall away."""
        end = time.monotonic() + self._profile.results.wait_s
        while time.monotonic() < end:
            if self._consent():
                end = time.monotonic() + self._profile.results.wait_s
            self._refuse_captcha()
            if self._count():
                break
            time.sleep(POLL_S)
        self.done.first = self._count()

    def _consent(self) -> bool:
        consent = self._profile.consent
        wall = [consent.wall] if consent.wall else []
        if not self._script(scripts.FIRST_VISIBLE, wall):
            return False
        pressed = self._script(scripts.FIRST_VISIBLE, consent.buttons, True)
        if pressed and self._until(
            lambda: not self._script(scripts.FIRST_VISIBLE, wall), self._profile.results.wait_s
        ):
            self.done.consent = True
            return True
        raise PageFailed(
            f"shows a consent wall ({consent.wall}), and "
            + (
                f"{pressed} does not take it away"
                if pressed
                else "no button of the profile is there"
            ),
            part=Part.CONSENT,
        )

    # -- results ----------------------------------------------------------------------------------

    def take(self, most: int) -> None:
        """Take results until there are enough, or no more come."""
        for _ in range(self._profile.more.rounds):
            self._read(most)
            if len(self._found) >= most or time.monotonic() > self._ends:
                break
            if not self._further():
                self.done.at_end = True
                self._read(most)
                break
        self.done.hits = list(self._found.values())[:most]
        self.done.without_url = self._missing
        if self.done.results and not self._found:
            raise PageFailed(
                f"shows {self.done.results:,} results, and none of their photos' URLs is where "
                "the profile says",
                part=Part.FULL_SIZE,
            )

    def _read(self, most: int) -> None:
        if self._profile.results.press:
            self._press_all(most)
            return
        base = self._chrome.current_url
        read = self._script(scripts.READ, self._profile.results.item, *self._ways(), MOST_RESULTS)
        self._missing = 0
        for values, page in read:
            hit = self._hit(values, page, base)
            self._missing += hit is None
            if hit is not None:
                self._found.setdefault(hit.url, hit)
        self.done.results = max(self.done.results, len(read))

    def _press_all(self, most: int) -> None:
        results = self._profile.results
        while len(self._found) < most and time.monotonic() < self._ends:
            pressed = self._script(scripts.NEXT_TO_PRESS, results.item, results.press, MOST_RESULTS)
            if pressed is None:
                return
            self.done.results += 1
            item, target = pressed
            hit = self._pressed(item, target)
            if hit is None:
                self._missing += 1
            else:
                self._last = hit.url
                self._found.setdefault(hit.url, hit)

    def _pressed(self, item: WebElement, target: WebElement) -> Hit | None:
        from selenium.common.exceptions import (  # noqa: PLC0415 - an extra
            ElementClickInterceptedException,
            ElementNotInteractableException,
            StaleElementReferenceException,
        )

        def read() -> Hit | None:
            values, page = self._script(scripts.READ_ONE, item, *self._ways())
            hit = self._hit(values, page, self._chrome.current_url)
            # The panel shows the photo before, until it has the new one.
            return None if hit is None or hit.url == self._last else hit

        try:
            try:
                target.click()
            except (ElementNotInteractableException, ElementClickInterceptedException):
                self._script("arguments[0].click()", target)
            self._close_windows()
            found: Hit | None = self._until(read, self._profile.results.press_wait_s)
        except StaleElementReferenceException:
            return None
        return found

    def _close_windows(self) -> None:
        """Close what a press has opened."""
        own, *others = self._chrome.window_handles
        if not others:
            return
        own = self._chrome.current_window_handle
        for handle in self._chrome.window_handles:
            if handle != own:
                self._chrome.switch_to.window(handle)
                self._chrome.close()
        self._chrome.switch_to.window(own)

    def _ways(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        ways = [
            {"page": way.where is Where.PAGE, "element": way.element, "attribute": way.attribute}
            for way in self._profile.full_size
        ]
        page = self._profile.page
        if page is None:
            return ways, None
        return ways, {"element": page.element, "attribute": page.attribute}

    def _hit(self, values: Sequence[str], page: str, base: str) -> Hit | None:
        for way, value in zip(self._profile.full_size, values, strict=True):
            hit = url_in(way, value, base)
            if hit is not None and not self._is_thumbnail(hit.url):
                return Hit(hit.url, hit.page or web_address(page, base))
        return None

    def _is_thumbnail(self, url: str) -> bool:
        return host_is_in(urlsplit(url).hostname or "", self._profile.thumbnails)

    def _further(self) -> bool:
        """Scroll on, or press the button; whether there is more of the page."""
        height, before = self._script(scripts.HEIGHT), self._count()
        if self._script(scripts.SCROLL):
            return True
        more = self._profile.more
        if more.button:
            self._script(scripts.FIRST_VISIBLE, [more.button], True)
        grown = self._until(
            lambda: self._count() > before or self._script(scripts.HEIGHT) > height, more.wait_s
        )
        self.done.grew |= bool(grown)
        return bool(grown)

    def _count(self) -> int:
        count: int = self._script(scripts.COUNT, self._profile.results.item)
        if self.done.first and count > self.done.first:
            self.done.grew = True
        return count

    def _script(self, script: str, *arguments: Any) -> Any:
        return self._chrome.execute_script(script, *arguments)

    @staticmethod
    def _until(happens: Callable[[], Any], seconds: float) -> Any:
        end = time.monotonic() + seconds
        while not (found := happens()) and time.monotonic() < end:
            time.sleep(POLL_S)
        return found
