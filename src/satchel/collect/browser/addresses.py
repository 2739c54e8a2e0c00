"""Addresses of photos and their pages in the attributes of results."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urljoin, urlsplit

from satchel.collect.browser.profiles import FullSize
from satchel.collect.sources import Hit


def url_in(way: FullSize, value: str, base: str) -> Hit | None:
    """Return the photo's URL in an attribute's value, and its page's; None where there is none.

    Args:
        way: how it is written there.
        value: of the attribute.
        base: address of the page.
    """
    if way.key:
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return None
        named = found if isinstance(found, dict) else {}
        url, page = named.get(way.key), named.get(way.page_key)
    elif way.parameter:
        pairs = parse_qs(urlsplit(urljoin(base, value)).query)
        url = pairs.get(way.parameter, [None])[0]
        page = pairs.get(way.page_parameter, [None])[0]
    else:
        url, page = value, None
    address = web_address(url, base)
    return None if address is None else Hit(address, web_address(page, base))


def web_address(value: object, base: str) -> str | None:
    """Return an address of the web; None for base64 photos and all else."""
    if not isinstance(value, str) or not value.strip():
        return None
    try:
        joined = urljoin(base, value.strip())
        return joined if urlsplit(joined).scheme in ("http", "https") else None
    except ValueError:
        return None
