"""An image-search site as a source of photos, searched in a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from satchel.catalog.tables import now
from satchel.collect.browser.chromium import chromium
from satchel.collect.browser.profiles import FOLDER, Profile, load
from satchel.collect.browser.search import PageSearch, Part, search
from satchel.collect.permissions import HostUnclear
from satchel.collect.queries import Query
from satchel.collect.sources import FILES, Hit, SourceContext
from satchel.errors import AddressRefused, NotPermitted, PageFailed, SourceStopped, UsageError
from satchel.extras import need_extra
from satchel.files import timestamp, write_atomically

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SEARCHES_PER_BROWSER: Final = 40
"""After which another browser is started: pages leave memory behind."""
CHECKED: Final = 60
"""Results that are searched for to find out whether a profile still fits."""
MAX_HTML: Final = 5_000_000
EXTRA: Final = "collect"
_IS_SELECTOR: Final = """
try { document.createDocumentFragment().querySelector(arguments[0]); return true; }
catch { return false; }"""
IGNORED: Final = "robots-ignored.jsonl"


@contextmanager
def open_pages(name: str, context: SourceContext) -> Iterator[BrowserSource]:
    """Open an image-search site by its profile.

    Raises:
        MissingExtra: Selenium is not installed.
        UsageError: there is no such profile.
    """
    need_extra(EXTRA)
    with BrowserSource(load(name, context.folder / FOLDER), context) as source:
        yield source


class BrowserSource:
    """Searches photos on the pages of a site. A `satchel.collect.sources.Source`.

    The browser is started by the first search. A context manager, which ends it.
    """

    def __init__(self, profile: Profile, context: SourceContext) -> None:
        self._profile, self._context = profile, context
        self._allowed = False
        self._known_to_work = False
        self._searches, self._ready_at = 0, 0.0
        self._chrome: Chrome | None = None
        self._files = ExitStack()

    def __enter__(self) -> BrowserSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def pause_s(self) -> float:
        """Seconds between two searches, at least."""
        return max(self._profile.delay_s, self._context.rules.delay_s)

    @property
    def check_query(self) -> str:
        """A query that is known to have results."""
        return self._profile.check_query

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        """Return photos for a query, the best first.

        An answer without results is believed where the query that the profile knows to have
        results still has some.

        Raises:
            SourceStopped: the site does not allow it, shows a captcha or blocks, or its pages are
                no longer as the profile says.
        """
        done = self.look_up(query.text, most)
        if not done.hits and not self._known_to_work:
            time.sleep(self.pause_s)
            if not self.look_up(self.check_query, 1).hits:
                raise self._failed(
                    f"shows no results where its profile says, neither for {query.text!r} nor for "
                    f"{self.check_query!r}",
                    Part.RESULTS,
                )
        self._known_to_work = True
        return done.hits

    def look_up(self, text: str, most: int) -> PageSearch:
        """Search as `search` does; the result says also what happened on the page.

        Raises:
            PageFailed: as `search`; its `part` names what of the profile failed.
        """
        self.check_allowed()
        asked = self._context.permissions.delay(self._profile.url)  # of its robots.txt
        time.sleep(max(0.0, self._ready_at - time.monotonic()))
        self._ready_at = time.monotonic() + asked
        chrome = self._browser()
        try:
            return search(chrome, self._profile, text, most)
        except PageFailed as error:
            raise self._failed(str(error), error.part) from None

    def _failed(self, what: str, part: str) -> PageFailed:
        profile = self._profile
        advice = {
            Part.BLOCK: "it is left: nothing goes around that. Try later, more slowly, or another "
            "source; an official API is the better way",
            Part.PAGE: "try again later",
        }.get(
            Part(part),
            f"its pages have changed since the profile's version {profile.version}: see what it "
            f"answered, then mend a copy of the profile in {self._context.folder / FOLDER}",
        )
        said = f"{profile.title} {what} [{part}]; {advice}"
        return PageFailed(said, part=part)

    def check_allowed(self) -> None:
        """Check that the site lets programs search it, once.

        Raises:
            SourceStopped: its robots.txt or a reservation does not allow it.
        """
        if self._allowed:
            return
        profile = self._profile
        try:
            self._context.permissions.check(profile.search_url("bag"))
        except (NotPermitted, AddressRefused, HostUnclear) as error:
            if profile.name not in self._context.ignore_robots_of:
                raise SourceStopped(
                    f"{profile.title} does not allow programs to search it: of "
                    f"{profile.search_url('bag')} {error}. Use an official API, or a list of URLs; "
                    "if you have its permission or answer for it yourself, add "
                    f"--ignore-robots-of {profile.name}, which is recorded"
                ) from None
            self._record(str(error))
        self._allowed = True

    def _record(self, said: str) -> None:
        row = {"at": now().isoformat(), "source": self._profile.name, "said": said}
        folder = self._context.folder / FILES
        folder.mkdir(exist_ok=True)
        with (folder / IGNORED).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _browser(self) -> Chrome:
        if self._chrome is None or self._searches >= SEARCHES_PER_BROWSER:
            self._files.close()
            self._searches = 0
            hosts = [*self._profile.hosts, *self._profile.loads]
            agent = self._context.headers["User-Agent"]
            self._chrome = self._files.enter_context(chromium(hosts, agent, self._profile.page_s))
            check_selectors(self._chrome, self._profile)
        self._searches += 1
        return self._chrome

    def save_answer(self, folder: Path) -> Sequence[Path]:
        """Write the page that is shown, and a picture of it, and return the files."""
        from selenium.common.exceptions import WebDriverException  # noqa: PLC0415 - an extra

        if self._chrome is None:
            return ()
        stem = f"{self._profile.name}-{timestamp()}"
        saved = []
        contents: list[tuple[str, Callable[[Chrome], bytes]]] = [(".html", _html), (".png", _png)]
        for suffix, content in contents:
            try:
                data = content(self._chrome)
            except WebDriverException:  # such as a page that has crashed
                continue
            write_atomically(folder / (stem + suffix), data)
            saved.append(folder / (stem + suffix))
        return saved


def check_selectors(chrome: Chrome, profile: Profile) -> None:
    """Check that the browser can read a profile's selectors; no page is opened.

    Raises:
        UsageError: it cannot read one.
    """
    for name, selector in profile.selectors():
        if not chrome.execute_script(_IS_SELECTOR, selector):
            raise UsageError(
                f"expected a CSS selector in {name} of the profile {profile.name!r}, got "
                f"{selector[:200]!r}; mend it, then run --check {profile.name}"
            )


def _html(chrome: Chrome) -> bytes:
    script = "return document.documentElement.outerHTML.slice(0, arguments[0])"
    html: str = chrome.execute_script(script, MAX_HTML)
    return f"<!-- {chrome.current_url} -->\n{html}".encode()


def _png(chrome: Chrome) -> bytes:
    return chrome.get_screenshot_as_png()
