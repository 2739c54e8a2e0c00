"""Products in the mark-up of pages: schema.org Product, ProductGroup as JSON-LD, else Open Graph.

A page is untrusted: it is parsed once, forwards, in a size that is capped; scripts are read as JSON
of a capped size, and what has another type than expected is passed over.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final
from urllib.parse import urljoin

from lxml import etree

from satchel.collect.permissions import FORBIDDING

MAX_PAGE_BYTES: Final = 8_000_000
MAX_SCRIPT_CHARS: Final = 2_000_000
MAX_NODES: Final = 20_000
"""Objects of a page's JSON-LD that are inspected."""
MAX_PRODUCTS: Final = 500
MAX_PHOTOS: Final = 50
MAX_TEXT_CHARS: Final = 500

CODES: Final = (
    "mpn", "sku", "productID", "model", "gtin", "gtin8", "gtin12", "gtin13", "gtin14", "isbn",
    "productGroupID", "inProductGroupWithID",
)  # fmt: skip
"""Properties of a Product that hold a code, the surest first."""
OPEN_GRAPH_CODES: Final = (
    "product:mfr_part_no", "product:retailer_item_id", "product:retailer_part_no", "product:ean",
    "product:upc", "product:isbn", "og:product:retailer_item_id",
)  # fmt: skip
_PLACES: Final = ("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item", "about")
"""Properties below which a page's products are."""
_TOKENS: Final = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that a page shows.

    Attributes:
        license: as the page states it.
    """

    url: str
    license: str | None = None


@dataclass(frozen=True, slots=True)
class ShopProduct:
    """A product that a page describes.

    Attributes:
        codes: in the words of the shop, the surest first.
        photos: with absolute URLs, each once.
    """

    codes: tuple[str, ...]
    name: str = ""
    brand: str = ""
    photos: tuple[Photo, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says.

    Attributes:
        reserved: words with which its owner refuses that photos are taken; empty for none.
    """

    products: tuple[ShopProduct, ...] = ()
    reserved: str = ""


@dataclass(slots=True)
class _Found:
    """Raw parts of a page."""

    scripts: list[str] = field(default_factory=list)
    meta: list[tuple[str, str]] = field(default_factory=list)

    def values(self, *names: str) -> list[str]:
        return [value for name in names for key, value in self.meta if key == name and value]


def read_page(body: bytes, url: str, encoding: str | None = None) -> Page:
    """Read the products of a page; one that cannot be parsed has none.

    Args:
        url: of the page, which relative URLs are joined to.
        encoding: as the answer's header names it.
    """
    found = _parts(body[:MAX_PAGE_BYTES], encoding)
    products: list[ShopProduct] = []
    for script in found.scripts:
        for one in _json_products(script, url):
            if len(products) < MAX_PRODUCTS:
                products.append(one)
    open_graph = _open_graph(found, url)
    if not products and open_graph is not None:
        products = [open_graph]
    elif len(products) == 1 and not products[0].photos and open_graph is not None:
        (one,) = products
        products = [ShopProduct(one.codes, one.name, one.brand, open_graph.photos)]
    return Page(tuple(products), _reserved(found))


def _parts(body: bytes, encoding: str | None) -> _Found:
    found = _Found()
    known = {}
    if encoding:
        try:
            "".encode(encoding)
            known["encoding"] = encoding
        except (LookupError, UnicodeError):
            pass
    events = etree.iterparse(
        BytesIO(body),
        events=("end",),
        html=True,
        tag=("script", "meta"),
        no_network=True,
        huge_tree=False,
        recover=True,
        remove_comments=True,
        **known,
    )
    try:
        for _, element in events:
            if element.tag == "meta":
                name = element.get("property") or element.get("name") or ""
                found.meta.append((name.strip().lower(), (element.get("content") or "").strip()))
            elif (element.get("type") or "").strip().lower() == "application/ld+json":
                text = element.text or ""
                if len(text) <= MAX_SCRIPT_CHARS:
                    found.scripts.append(text)
            element.clear()
    except (etree.LxmlError, ValueError, UnicodeError):
        pass  # what was read before the fault counts
    return found


# -- JSON-LD --------------------------------------------------------------------------------------


def _json_products(script: str, url: str) -> Iterator[ShopProduct]:
    try:
        top = json.loads(script)
    except (ValueError, RecursionError):
        return
    waiting, seen = deque([top]), 0
    while waiting and seen < MAX_NODES:
        node = waiting.popleft()
        seen += 1
        if isinstance(node, list):
            waiting.extend(node[: MAX_NODES - seen])
        elif isinstance(node, dict):
            types = _types(node)
            if "ProductGroup" in types:
                yield from _group(node, url)
            elif types & {"Product", "ProductModel", "IndividualProduct"}:
                yield _product(node, url, {})
            else:
                waiting.extend(node[place] for place in _PLACES if place in node)


def _types(node: Mapping[str, Any]) -> set[str]:
    named = node.get("@type")
    values = named if isinstance(named, list) else [named]
    return {one.rpartition("/")[2].rpartition(":")[2] for one in values if isinstance(one, str)}


def _group(node: Mapping[str, Any], url: str) -> Iterator[ShopProduct]:
    """Yield the variants of a group, which have its brand, and the group itself if it has none."""
    variants = node.get("hasVariant")
    listed = variants if isinstance(variants, list) else [variants]
    own = [one for one in listed if isinstance(one, dict) and len(one) > 1]
    for one in own[:MAX_PRODUCTS]:
        yield _product(one, url, node)
    if not own:
        yield _product(node, url, {})


def _product(node: Mapping[str, Any], url: str, group: Mapping[str, Any]) -> ShopProduct:
    codes = dict.fromkeys(code for key in CODES for code in _texts(node.get(key)))
    return ShopProduct(
        tuple(codes),
        next(_texts(node.get("name") or group.get("name")), ""),
        next(_texts(node.get("brand") or group.get("brand")), ""),
        tuple(_photos(node.get("image") or (None if codes else group.get("image")), url)),
    )


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value: text, number, an object with a name, or a list of these."""
    for one in value[:20] if isinstance(value, list) else [value]:
        named = one.get("name") or one.get("@value") if isinstance(one, dict) else one
        if isinstance(named, str | int) and not isinstance(named, bool):
            text = " ".join(str(named)[:MAX_TEXT_CHARS].split())
            if text:
                yield text


def _photos(value: Any, url: str) -> Iterator[Photo]:
    seen = set[str]()
    for one in value[:MAX_PHOTOS] if isinstance(value, list) else [value]:
        named, license_ = one, None
        if isinstance(one, dict):
            named = one.get("contentUrl") or one.get("url") or one.get("@id")
            license_ = next(_texts(one.get("license")), None)
        if isinstance(named, list):
            named = named[0] if named else None
        joined = _joined(url, named)
        if joined and joined not in seen:
            seen.add(joined)
            yield Photo(joined, license_)


def _joined(url: str, named: Any) -> str:
    if not isinstance(named, str) or not named.strip():
        return ""
    try:
        joined = urljoin(url, named.strip())
    except ValueError:
        return ""
    return joined if joined.startswith(("http://", "https://")) else ""


# -- Open Graph -----------------------------------------------------------------------------------


def _open_graph(found: _Found, url: str) -> ShopProduct | None:
    codes = tuple(dict.fromkeys(found.values(*OPEN_GRAPH_CODES)))
    kinds = found.values("og:type")
    if not codes and not any(kind.lower().startswith("product") for kind in kinds):
        return None
    images = found.values("og:image:secure_url") or found.values("og:image", "og:image:url")
    photos = dict.fromkeys(_joined(url, image) for image in images[:MAX_PHOTOS])
    return ShopProduct(
        tuple(code[:MAX_TEXT_CHARS] for code in codes),
        next(iter(found.values("og:title")), "")[:MAX_TEXT_CHARS],
        next(iter(found.values("product:brand", "og:brand")), "")[:MAX_TEXT_CHARS],
        tuple(Photo(photo) for photo in photos if photo),
    )


def _reserved(found: _Found) -> str:
    words = set(_TOKENS.split(" ".join(found.values("robots", "satchel")).lower()))
    if named := sorted(words & FORBIDDING):
        return f"{', '.join(named)} (meta robots)"
    return "tdm-reservation" if "1" in found.values("tdm-reservation") else ""
