"""Sitemaps (sitemaps.org): XML or a text of URLs, plain or gzipped."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from lxml import etree

from satchel.errors import FetchError

MAX_BYTES: Final = 60_000_000
"""Decompressed; the protocol allows 50 MB."""
MAX_URLS: Final = 50_000
"""URLs of one sitemap, as the protocol has it."""
MAX_URL_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Sitemap:
    """URLs of pages, or of further sitemaps."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


def read_sitemap(body: bytes) -> Sitemap:
    """Read a sitemap or an index of them; what follows a fault is left out.

    Raises:
        FetchError: it is no sitemap, or too large.
    """
    body = _unpacked(body)
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = body.decode("utf-8", "replace").splitlines()[:MAX_URLS]
        pages = tuple(line.strip() for line in lines if _is_url(line.strip()))
        if not pages:
            raise FetchError("it is no sitemap: expected XML, or a URL in each line")
        return Sitemap(pages)
    found: dict[str, dict[str, None]] = {"url": {}, "sitemap": {}}
    roots = set[str]()
    try:
        for root, kind, url in _locations(body):
            roots.add(root)
            if kind in found and _is_url(url) and len(found[kind]) < MAX_URLS:
                found[kind][url] = None
    except etree.XMLSyntaxError as error:
        if not any(found.values()):
            raise FetchError(f"it is no sitemap: {str(error)[:200]}") from None
    if not roots & {"urlset", "sitemapindex"} and not any(found.values()):
        raise FetchError("it is no sitemap: expected <urlset> or <sitemapindex> as its root")
    return Sitemap(tuple(found["url"]), tuple(found["sitemap"]))


def _locations(body: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield root, parent and text of each <loc>; one pass, in the memory of one element."""
    events = etree.iterparse(
        BytesIO(body),
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root, parents = "", list[str]()
    for event, element in events:
        name = etree.QName(element).localname
        if event == "start":
            root = root or name
            parents.append(name)
            continue
        parents.pop()
        if name == "loc" and parents:
            yield root, parents[-1], (element.text or "").strip()
        if len(parents) == 1:  # a whole entry: forget it
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    if not parents:
        yield root, "", ""


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(body, MAX_BYTES + 1)
    except zlib.error as error:
        raise FetchError(f"it is no gzip file: {error}") from None
    if len(text) > MAX_BYTES:
        raise FetchError(f"it is larger than {MAX_BYTES:,} bytes once unpacked")
    return text


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://")) and len(text) <= MAX_URL_CHARS
