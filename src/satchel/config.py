"""`satchel.toml`: every setting, its meaning and its default."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from satchel.collect.rules import CollectRules
from satchel.curate.rules import CurationRules
from satchel.errors import UsageError, WorkspaceError
from satchel.fetch.rules import FetchRules
from satchel.locate.rules import LocateRules
from satchel.market_settings import Market
from satchel.photo_header import MEGABYTE, PhotoLimits
from satchel.search.rules import LookAlikeRules, SearchRules
from satchel.validation import StrictModel, reason

FILE_NAME: Final = "satchel.toml"
LOOPBACK: Final = ("127.0.0.1", "::1")
HOST: Final = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


class Photos(StrictModel):
    """Limits on a single photo."""

    max_bytes: int = Field(40_000_000, gt=0, description="bytes of a photo's file, at most")
    max_pixels: int = Field(80_000_000, gt=0, description="width × height of a photo, at most")
    max_side_px: int = Field(30_000, gt=0, description="width and height of a photo, each, at most")
    max_decode_mb: int = Field(
        640,
        gt=0,
        description="memory that decoding may take, in MB, estimated from headers: of one photo, "
        "and of all that are decoded at once; large photos wait for each other",
    )

    def limits(self) -> PhotoLimits:
        """These caps, as the decoder takes them."""
        return PhotoLimits(
            self.max_bytes, self.max_pixels, self.max_side_px, self.max_decode_mb * MEGABYTE
        )


class Identify(StrictModel):
    """How an item is identified."""

    top: int = Field(5, ge=1, le=50, description="candidates given, at most")
    absent: float = Field(
        0.33,
        gt=0,
        lt=1,
        description="share of the items that people ask about whose model is not in the catalogue",
    )
    precision: float = Field(
        0.9,
        ge=0.5,
        lt=1,
        description="share of right answers among those called identified, at least; counts from "
        "the next `satchel calibrate` on",
    )


def _host(text: str) -> str:
    """Return a host name as browsers send it: in lower case, Korean and other letters in ASCII."""
    try:
        name = text.strip().encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    if not HOST.fullmatch(name):
        raise ValueError(
            'expected a host name such as "shop.example.com", without http:// and port, '
            '"*.example.com" for all names below one, or "*" for every name'
        )
    return name.removesuffix(".")


def _network(text: str) -> str:
    """Return an address or a network of addresses as it is written shortest."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            'expected an IP address such as "192.168.0.5", or a network such as "192.168.0.0/24"'
        ) from None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address if alone else network)


def _time_zone(text: str) -> str:
    """Return the name of a time zone that this machine knows."""
    try:
        return text and ZoneInfo(text).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            'expected a time zone such as "Asia/Seoul", or "" for the reader\'s own'
        ) from None


class Fetch(StrictModel):
    """Requests to addresses that people enter, such as those of webhooks."""

    http: bool = Field(False, description="whether they may be http; otherwise only https")
    networks: list[Annotated[str, AfterValidator(_network)]] = Field(
        [],
        description="addresses or networks that may be requested besides the public internet: "
        '["127.0.0.1", "192.168.0.0/24"]',
    )

    def rules(self) -> FetchRules:
        """What may be requested, as the client takes it."""
        return FetchRules(http=self.http, networks=self.networks)


class Jobs(StrictModel):
    """Work that `satchel worker` does."""

    concurrency: int = Field(2, ge=1, le=64, description="jobs that one worker runs at once")
    keep_done_days: float = Field(
        7, gt=0, description="days for which jobs are kept that are done or were cancelled"
    )
    keep_failed_days: float = Field(90, gt=0, description="days for which failed jobs are kept")


LogStyle = Literal["lines", "json", "errors"]


class CatalogueSettings(StrictModel):
    """How the catalogue's columns are understood."""

    visible: list[str] = Field(
        [],
        description="further columns that can be seen on an item: only these separate look-alikes, "
        'and pages show them first, in this order: ["strap", "lining", "안감"]; with none, those '
        "whose names and values say so, in English or Korean: sizes, hardware, materials, colours "
        "and parts, but never prices, stock, dates, addresses and numbers",
    )


class Serve(StrictModel):
    """The web server."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every one")
    port: int = Field(8000, ge=0, le=65535, description="0 lets the system choose")
    max_decode_mb: int = Field(
        200,
        gt=0,
        description="as under [photos], for photos that are uploaded; the smaller one counts. 200 "
        "is enough for 12 megapixels in every format, HEIC of 24, and JPEGs of 80 (progressive 32)",
    )
    kept_mb: int = Field(
        128,
        ge=0,
        description="memory for uploaded photos that are kept for a while, so that a person who "
        "moves the box does not send them again, in MB; 0 keeps none",
    )
    kept_minutes: int = Field(
        15, gt=0, le=1440, description="minutes after its last use for which a photo is kept"
    )
    hosts: list[Annotated[str, AfterValidator(_host)]] = Field(
        [],
        description="names under which browsers reach the server, besides localhost, IP addresses "
        'and the name it listens on: ["shop.example.com"], or ["*.example.com"]; a request for '
        'another name is refused. ["*"] takes every name: only behind a proxy that checks names',
    )
    proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        list(LOOPBACK),
        description="addresses or networks of proxies, whose X-Forwarded-For and X-Forwarded-Proto "
        "are believed; limits per address do not apply to these themselves",
    )
    max_connections: int = Field(
        512,
        gt=0,
        description="open connections, at most; then the one that has waited longest for its "
        "client makes room for a new one",
    )
    max_connections_per_address: int = Field(64, gt=0, description="the same, of one address")
    identifications_per_minute: int = Field(
        120, ge=0, description="identifications of one address, at most; 0 sets no limit"
    )
    header_seconds: float = Field(
        10, gt=0, description="seconds in which the headers of a request must arrive"
    )
    body_seconds: float = Field(
        30,
        gt=0,
        description="in each such period 1 kB a second of a request's body must arrive, or its end",
    )
    answer_seconds: float = Field(
        30, gt=0, description="seconds in which a client must take the next part of an answer"
    )
    upload_side_px: int = Field(
        2_048,
        ge=0,
        description="longer side to which the page makes photos smaller before it sends them; 0 "
        "sends them as they are",
    )
    keep_cases_days: int = Field(
        180,
        gt=0,
        description="days after its last change for which a case is kept, with the photos that "
        "somebody chose to keep",
    )
    keep_cases: int = Field(
        20_000, gt=0, description="cases, at most: beyond them those go that were changed first"
    )
    keep_cases_mb: int = Field(
        2_000,
        ge=0,
        description="photos of cases, in MB, at most: more are not kept; 0 keeps none",
    )
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "",
        description='in which pages show times: "Asia/Seoul"; empty for that of the browser',
    )
    currency: str = Field(
        "",
        max_length=8,
        pattern=r"^[A-Z]*$",
        description='of prices that name none: "KRW" shows 1890000 as ₩1,890,000; empty for none',
    )
    log: LogStyle = Field(
        "lines",
        description='what is logged on stderr: "lines" for people and "json" for programs, of '
        'requests and errors; "errors" leaves requests out',
    )
    metrics: list[Annotated[str, AfterValidator(_network)]] = Field(
        [],
        description="addresses or networks that may read /metrics, figures for Prometheus; for all "
        "others there is no such page",
    )


class Settings(StrictModel):
    """All of `satchel.toml`."""

    photos: Photos = Photos()
    identify: Identify = Identify()
    locate: LocateRules = LocateRules()
    search: SearchRules = SearchRules()
    catalogue: CatalogueSettings = CatalogueSettings()
    look_alikes: LookAlikeRules = LookAlikeRules()
    curate: CurationRules = CurationRules()
    serve: Serve = Serve()
    jobs: Jobs = Jobs()
    fetch: Fetch = Fetch()
    collect: CollectRules = CollectRules()
    market: Market = Market()


def read_settings(path: Path) -> Settings:
    """Read a settings file.

    Raises:
        WorkspaceError: it cannot be read, is no TOML, or has a key or value that does not exist.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WorkspaceError(f"cannot read the settings {path}: {reason(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        twice = "; write below the [table] that is there already" if "twice" in str(error) else ""
        raise WorkspaceError(f"{path} is not valid TOML: {error}{twice}") from None
    except ValidationError as error:
        raise WorkspaceError(
            f"{path}: {reason(error, Settings)}; run `satchel init` in an empty folder to see a "
            "valid file"
        ) from None


def with_setting(path: Path, section: str, key: str, value: str, *, expected: Settings) -> str:
    """Return the text of a settings file with one key set, all other lines as they are.

    Args:
        section: name of its table.
        expected: what the changed file has to say.

    Raises:
        UsageError: the file is laid out in another way, or says something else.
    """
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    lines = path.read_text(encoding="utf-8").splitlines()
    own = re.compile(rf"\s*{re.escape(key)}\s*=")
    heads = [at for at, text in enumerate(lines) if text.strip() == f"[{section}]"]
    if heads:
        start = heads[0] + 1
        ends = (at for at in range(start, len(lines)) if lines[at].lstrip().startswith("["))
        known = [at for at in range(start, next(ends, len(lines))) if own.match(lines[at])]
        at = known[0] if known else start
        lines[at : at + len(known[:1])] = [line]
    else:
        lines += ["", f"[{section}]", line]
    text = "\n".join(lines) + "\n"
    try:
        fits = Settings.model_validate(tomllib.loads(text)) == expected
    except (tomllib.TOMLDecodeError, ValidationError):
        fits = False
    if not fits:
        raise UsageError(
            f"{path.name} cannot be changed by program; write {line} under [{section}] yourself, "
            "and leave out the other keys there that were of the locator before"
        )
    return text


def default_settings_text() -> str:
    """A settings file that holds every default, each below its meaning, commented out."""
    lines = ["# Satchel's settings. Everything is optional; these are the defaults."]
    for name, section in Settings.model_fields.items():
        lines += _section_lines(name, section.default)
    return "\n".join(lines) + "\n"


def _section_lines(heading: str, section: BaseModel) -> list[str]:
    lines, below = ["", f"[{heading}]"], []
    for name, field in type(section).model_fields.items():
        if isinstance(field.default, BaseModel):
            below += _section_lines(f"{heading}.{name}", field.default)
            continue
        lines += textwrap.wrap(
            str(field.description), 98, initial_indent="# ", subsequent_indent="# "
        )
        lines.append(f"#{name} = {json.dumps(field.default)}")
    return lines + below
