"""Profiles of image-search pages: which address to open, what to press and where URLs are.

A profile is a TOML file. Those in the package are replaced by files of the same name in the
workspace's folder `profiles`, which may hold further ones.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote_plus, urlsplit

from pydantic import Field, ValidationError, model_validator

from satchel.errors import UsageError
from satchel.validation import StrictModel, reason

FOLDER: Final = "profiles"
BUILT_IN: Final = Path(__file__).parent / FOLDER
QUERY: Final = "{query}"
MAX_BYTES: Final = 100_000
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"


class Where(StrEnum):
    """Where an element is searched for."""

    RESULT = "result"
    PAGE = "page"


class Consent(StrictModel):
    """A wall that asks for consent before results are shown."""

    wall: str = Field("", description="CSS selector of the wall; empty where there is none")
    buttons: list[str] = Field(
        [], description="CSS selectors of buttons that take it away; the first that is there counts"
    )


class Results(StrictModel):
    """Results on the page."""

    item: str = Field(min_length=1, description="CSS selector of a result")
    wait_s: float = Field(10.0, gt=0, le=60, description="seconds until the first one is there")
    press: str = Field(
        "",
        description="CSS selector, within a result, of what is pressed before its photo's URL is "
        "there; empty where it is there from the beginning",
    )
    press_wait_s: float = Field(3.0, gt=0, le=30, description="seconds that this takes, at most")


class More(StrictModel):
    """How further results come."""

    button: str = Field("", description='CSS selector of a button "more"; empty for none')
    wait_s: float = Field(
        3.0, gt=0, le=30, description="seconds for further results at the end of a page, at most"
    )
    rounds: int = Field(60, gt=0, le=500, description="how often the page is scrolled, at most")


class FullSize(StrictModel):
    """Where the URL of a full-size photo is: an attribute, or a value inside of it."""

    where: Where = Where.RESULT
    element: str = Field("", description="CSS selector; empty for the result itself")
    attribute: str = Field(min_length=1)
    key: str = Field("", description="key of the URL, where the attribute is a JSON object")
    parameter: str = Field(
        "", description="parameter with the URL, where the attribute is a URL with a query"
    )
    page_key: str = Field("", description="as `key`, of the page that shows the photo")
    page_parameter: str = Field("", description="as `parameter`, of that page")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.key and self.parameter:
            raise ValueError("expected a key or a parameter, got both")
        return self


class Page(StrictModel):
    """Where the URL of the page that shows a photo is, if not with the photo's."""

    element: str = ""
    attribute: str = Field(min_length=1)


class Stop(StrictModel):
    """What tells a captcha or a block from results."""

    elements: list[str] = Field([], description="CSS selectors of what only such pages have")
    addresses: list[str] = Field([], description="parts of such pages' addresses")
    texts: list[str] = Field([], description="what such pages say, whatever its case")


class Profile(StrictModel):
    """How an image-search site is used."""

    name: str = Field(pattern=_NAME)
    title: str = Field(min_length=1, max_length=100)
    version: str = Field(min_length=1, max_length=40, description="when it was last changed")
    url: str = Field(description="address of a search, with {query}")
    hosts: list[str] = Field(min_length=1, description="hosts whose pages may be opened")
    loads: list[str] = Field(
        [], description="hosts that those pages may load scripts and styles from: *.example.com"
    )
    check_query: str = Field("leather handbag", min_length=1)
    delay_s: float = Field(10.0, ge=0, le=3_600, description="seconds between two searches")
    page_s: float = Field(20.0, gt=0, le=120, description="seconds for a page to load, at most")
    thumbnails: list[str] = Field(
        [], description="hosts whose photos are small copies: they are not taken"
    )
    consent: Consent = Consent()
    results: Results
    more: More = More()
    full_size: list[FullSize] = Field(min_length=1, max_length=10)
    page: Page | None = None
    stop: Stop = Stop()

    @model_validator(mode="after")
    def _opens_a_host_of_its_own(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("https", "http") or QUERY not in parts.path + "?" + parts.query:
            raise ValueError(f"url: expected https://… with {QUERY}, got {self.url!r}")
        if not host_is_in(parts.hostname or "", self.hosts):
            raise ValueError(f"hosts: expected {parts.hostname!r} of the url among them")
        return self

    def selectors(self) -> Iterator[tuple[str, str]]:
        """Yield the CSS selectors, each with the field that it is in."""
        single = {
            "consent.wall": self.consent.wall,
            "results.item": self.results.item,
            "results.press": self.results.press,
            "more.button": self.more.button,
            "page.element": self.page.element if self.page else "",
        }
        several = {
            "consent.buttons": self.consent.buttons,
            "full_size.element": [one.element for one in self.full_size],
            "stop.elements": self.stop.elements,
        }
        yield from ((name, one) for name, one in single.items() if one)
        yield from ((name, one) for name, of_it in several.items() for one in of_it if one)

    def search_url(self, query: str) -> str:
        """Return the address of a search."""
        return self.url.replace(QUERY, quote_plus(query))


def host_is_in(host: str, patterns: list[str]) -> bool:
    """Whether a host is one of these; `*.example.com` stands for all hosts below it.

    >>> host_is_in("a.b.test", ["*.b.test"]), host_is_in("ab.test", ["*.b.test", "c.test"])
    (True, False)
    """
    return any(
        host.endswith(one.removeprefix("*")) if one.startswith("*.") else host == one
        for one in patterns
    )


def names(folder: Path) -> list[str]:
    """Return the names of all profiles, with those of a workspace's folder."""
    return sorted({path.stem for place in (BUILT_IN, folder) for path in place.glob("*.toml")})


def load(name: str, folder: Path) -> Profile:
    """Load a profile: that of a workspace's folder, or the built-in one.

    Raises:
        UsageError: there is none of this name, or it cannot be used.
    """
    known = names(folder)
    if name not in known:
        raise UsageError(
            f"expected a source such as {', '.join(known)}, got {name!r}; a file "
            f"{folder / 'NAME.toml'} adds one"
        )
    own = folder / f"{name}.toml"
    return read(own if own.exists() else BUILT_IN / f"{name}.toml")


def read(path: Path) -> Profile:
    """Read a profile.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES:,} bytes")
        profile = Profile.model_validate(tomllib.loads(data.decode()))
        if profile.name != path.stem:
            raise ValueError(f"name: expected {path.stem!r}, as the file's, got {profile.name!r}")
    except (OSError, ValueError) as error:  # ValidationError, TOMLDecodeError and Unicode's too
        model = Profile if isinstance(error, ValidationError) else None
        raise UsageError(f"expected a profile at {path}: {reason(error, model)}") from None
    return profile
