"""Reading a shop: its sitemaps once a run, each of its pages once for all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from satchel.catalog.rows import RowProblem
from satchel.collect.fetching import Kind, fetch_page
from satchel.collect.hosts import HostQueue, Patience
from satchel.collect.permissions import HostUnclear
from satchel.collect.recording import host_of, record
from satchel.collect.records import Found
from satchel.collect.searching import Search
from satchel.collect.shops.markup import ShopProduct, read_page
from satchel.collect.shops.matching import Matcher
from satchel.collect.shops.pages import FAILED, READ, REFUSED, WAITING, ShopPage, ShopPages
from satchel.collect.shops.sitemap import Sitemap, read_sitemap
from satchel.collect.sources import SourceContext
from satchel.errors import FetchError
from satchel.fetch.addresses import checked_url
from satchel.progress import SILENT, Progress

MAX_SITEMAPS: Final = 1_000
"""Sitemaps of one shop that are read."""
IDLE_S: Final = 0.02
EXAMPLES: Final = 3


@dataclass(slots=True)
class ShopRead:
    """What became of a shop's pages in this run.

    Attributes:
        pages: that were read.
        products: in their mark-up, of which `matched` are of the catalogue.
        found: photos of these, of which `new` are new candidates.
        waiting: pages that are left for the next run.
        unknown: codes of products that are not of the catalogue, some.
        stopped: why nothing more was read, or nothing was found.
    """

    shop: str
    pages: int = 0
    refused: int = 0
    failed: int = 0
    products: int = 0
    matched: int = 0
    found: int = 0
    new: int = 0
    waiting: int = 0
    unknown: list[str] = field(default_factory=list)
    stopped: str = ""


def read_shop(
    address: str,
    matcher: Matcher,
    context: SourceContext,
    into: Search,
    *,
    most_pages: int,
    patience: Patience,
    on_problem: Callable[[RowProblem], None],
    retry: bool = False,
    again: bool = False,
    progress: Progress = SILENT,
) -> ShopRead:
    """Read the pages of a shop that wait, and record the photos of products of the catalogue.

    Args:
        address: of the shop, or of a sitemap of it.
        matcher: which products are wanted.
        context: what is requested with.
        into: where candidates are recorded.
        most_pages: that are read in this run.
        patience: how long the host is tried.
        on_problem: receives photos that cannot be requested.
        retry: read pages again that failed in earlier runs.
        again: read all pages again, as for products that are new in the catalogue.
        progress: advanced for each page.

    Raises:
        AddressRefused: the address may not be requested.
        StorageError, WorkspaceError: the database cannot be written.
    """
    url = checked_url(address, into.rules)
    shop = host_of(url)
    pages = ShopPages(into.catalogue.engine, shop)
    done = ShopRead(shop)
    if retry or again:
        pages.read_again(all_pages=again)
    try:
        done.stopped = _list_pages(str(url), pages, context)
    except HostUnclear as error:
        done.stopped = str(error)
        return done
    progress.begin("read", min(most_pages, pages.counts().get(WAITING, 0)))
    host = HostQueue(pages.waiting, delay_s=context.rules.delay_s, at_once=1, patience=patience)
    reading = _Reading(host, pages, matcher, context, into, done, on_problem)
    while not host.done and done.pages + done.refused + done.failed < most_pages:
        page = host.take(time.monotonic())
        if page is None:
            time.sleep(IDLE_S)
            continue
        reading.read(replace(page, attempts=page.attempts + 1))
        progress.advance()
    for suspended, why in host.suspended if host.stopped else ():
        pages.change(replace(suspended, attempts=0), WAITING, why)
    done.waiting = pages.counts().get(WAITING, 0)
    done.stopped = host.stopped or done.stopped or _nothing(done)
    return done


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads one page after the other."""

    host: HostQueue[ShopPage]
    pages: ShopPages
    matcher: Matcher
    context: SourceContext
    into: Search
    done: ShopRead
    on_problem: Callable[[RowProblem], None]

    def read(self, page: ShopPage) -> None:
        """Request a page, and record the photos of wanted products."""
        with_us = self.context
        outcome, answer = fetch_page(page.url, with_us.client, with_us.permissions, with_us.headers)
        if not self.host.finish(page, outcome, time.monotonic()):
            self.pages.change(page, WAITING, outcome.reason)
        elif outcome.kind is not Kind.PHOTO or answer is None:
            self._end(page, outcome.reason, refused=outcome.kind in (Kind.REFUSED, Kind.BLOCKED))
        else:
            charset = answer.headers.get("content-type", "").partition("charset=")[2]
            shown = read_page(answer.body, answer.url, charset.strip(" \"';") or None)
            if shown.reserved and not with_us.permissions.is_permitted(answer.url):
                self._end(page, f"it says {shown.reserved}", refused=True)
            else:
                self._record(page, answer.url, shown.products)

    def _end(self, page: ShopPage, reason: str, *, refused: bool) -> None:
        self.done.refused += refused
        self.done.failed += not refused
        self.pages.change(page, REFUSED if refused else FAILED, reason)

    def _record(self, page: ShopPage, url: str, products: tuple[ShopProduct, ...]) -> None:
        found = [one for product in products for one in self._found(product, url)]
        self.done.pages += 1
        self.done.products += len(products)
        self.done.found += len(found)
        self.done.new += record(
            found,
            f"shop {self.done.shop}",
            self.into.catalogue,
            self.into.candidates,
            rules=self.into.rules,
            on_problem=self.on_problem,
            number=self.into.number,
        ).new
        self.pages.change(page, READ, products=len(products))

    def _found(self, product: ShopProduct, url: str) -> list[Found]:
        """Return the photos of a product that is of the catalogue."""
        code = self.matcher.match(product)
        if code is None:
            if len(self.done.unknown) < EXAMPLES:
                self.done.unknown.append(next(iter(product.codes), product.name))
            return []
        self.done.matched += 1
        return [
            Found(
                code,
                photo.url,
                rank=rank,
                page=url,
                license=photo.license,
                title=product.name or None,
            )
            for rank, photo in enumerate(product.photos, 1)
        ]


def _list_pages(address: str, pages: ShopPages, context: SourceContext) -> str:
    """Add the pages that a shop's sitemaps name; return what is wrong with them, if anything.

    Raises:
        HostUnclear: its robots.txt cannot be read now.
    """
    parts = urlsplit(address)
    home = f"{parts.scheme}://{parts.netloc}"
    named = [address] if parts.path not in ("", "/") else context.permissions.sitemaps(home)
    waiting, seen, faults, listed = deque(named or [f"{home}/sitemap.xml"]), set[str](), [], 0
    while waiting and len(seen) < MAX_SITEMAPS:
        url = waiting.popleft()
        if url in seen:
            continue
        seen.add(url)
        if len(seen) > 1:
            time.sleep(max(context.rules.delay_s, context.permissions.delay(url)))
        try:
            sitemap = _sitemap(url, context)
        except FetchError as error:
            faults.append(f"{url} {error}")
            continue
        own = [page for page in sitemap.pages if _is_of(page, parts.netloc)]
        listed += len(own)
        pages.add(own)
        waiting.extend(one for one in sitemap.sitemaps if _is_of(one, parts.netloc))
    if listed:
        return ""
    return (
        f"its sitemaps name no pages of {parts.netloc}"
        f"{f': {faults[0][:300]}' if faults else ''}; give the address of a sitemap"
    )


def _sitemap(url: str, context: SourceContext) -> Sitemap:
    outcome, answer = fetch_page(
        url, context.client, context.permissions, context.headers, listing=True
    )
    if outcome.kind is not Kind.PHOTO or answer is None:
        raise FetchError(outcome.reason)
    return read_sitemap(answer.body)


def _is_of(url: str, netloc: str) -> bool:
    """Whether a URL is of a host, with or without www."""
    try:
        return urlsplit(url).netloc.lower().removeprefix("www.") == netloc.lower().removeprefix(
            "www."
        )
    except ValueError:
        return False


def _nothing(done: ShopRead) -> str:
    """Say that pages were read to no purpose."""
    if not done.pages or done.found:
        return ""
    if not done.products:
        return (
            f"none of {done.pages:,} pages has a product in its mark-up (schema.org Product as "
            "JSON-LD, or Open Graph): collect from a list of URLs instead"
        )
    return (
        f"none of {done.products:,} products is one of the catalogue, such as "
        f"{', '.join(done.unknown)}"
    )
