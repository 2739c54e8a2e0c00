"""`[market]` in `satchel.toml`: the resale service."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from satchel.validation import StrictModel

ORIGIN: Final = re.compile(
    r"https?://[a-z0-9._-]+(?::\d{1,5})?|https?://\[[0-9a-f:]+\](?::\d{1,5})?"
)


def _origin(text: str) -> str:
    origin = text.strip().rstrip("/").lower()
    if not ORIGIN.fullmatch(origin):
        raise ValueError('expected an address such as "https://shop.example.com", without a path')
    return origin


class Mail(StrictModel):
    """How e-mails are sent."""

    by: Literal["console", "smtp"] = Field(
        "console",
        description='"smtp", or "console", which prints e-mails on stderr: for trying out only',
    )
    sender: str = Field("Satchel <satchel@localhost>", description="From: of every e-mail")
    host: str = Field("localhost", description="SMTP server")
    port: int = Field(587, ge=1, le=65535, description="of the SMTP server")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description='"tls" from the start (port 465), "starttls", or "none"'
    )
    user: str = Field(
        "", description="name to log in with; its password is read from $SATCHEL_SMTP_PASSWORD"
    )


class Provider(StrictModel):
    """Log-in by another service."""

    client_id: str = Field(
        "", description="that the service gave this site; empty: no log-in by it"
    )
    issuer: Annotated[str, AfterValidator(_origin)] = Field(description="address of the service")


class Kakao(Provider):
    """Log-in by Kakao (OpenID Connect); the client's secret is in $SATCHEL_KAKAO_SECRET."""

    issuer: Annotated[str, AfterValidator(_origin)] = Field(
        "https://kauth.kakao.com", description="address of the service"
    )


class Naver(Provider):
    """Log-in by Naver (OAuth 2.0); the client's secret is in $SATCHEL_NAVER_SECRET."""

    issuer: Annotated[str, AfterValidator(_origin)] = Field(
        "https://nid.naver.com", description="address of the service"
    )
    api: Annotated[str, AfterValidator(_origin)] = Field(
        "https://openapi.naver.com", description="address of its profiles"
    )


class Learn(StrictModel):
    """What `satchel learn` does besides taking photos and calibrating."""

    adapt_minutes: float = Field(
        30.0,
        ge=0,
        description="time budget of adapting the encoder to what was certified, which is proposed "
        "where all checks improve; 0: never. Nothing is adapted without the extra train",
    )
    adapt_after: int = Field(
        20, ge=1, description="photos of certified goods that are new, before it is tried again"
    )


class Keep(StrictModel):
    """How long data is kept; a job deletes every day what is over its time."""

    draft_days: float = Field(
        180, gt=0, description="days after its last change for which a draft is kept"
    )
    closed_days: float = Field(
        90,
        gt=0,
        description="days for which rejected and withdrawn listings keep photos and texts; "
        "certified ones keep what their certificates name",
    )
    log_in_days: float = Field(
        90, gt=0, description="days for which ended sessions and used secrets of e-mails are kept"
    )
    audit_days: float = Field(
        730, gt=0, description="days for which entries of the audit log are kept"
    )


class Market(StrictModel):
    """The resale service: accounts, listings, certification, sale."""

    enabled: bool = Field(
        False,
        description="whether there are accounts; without, everybody who reaches the server may do "
        "everything",
    )
    url: Annotated[str, AfterValidator(_origin)] = Field(
        "http://localhost:8000",
        description="under which people reach the server, for links in e-mails and for passkeys",
    )
    registration: bool = Field(
        True, description="whether people may register; without, admins make accounts"
    )
    terms: str = Field(
        "1",
        min_length=1,
        max_length=32,
        description="version of the terms; people accept them as they register, and again once "
        "this changes",
    )
    terms_file: str = Field(
        "",
        description="text of the terms, in the workspace: headings begin with #, paragraphs are "
        "parted by empty lines; terms.ko.txt next to terms.txt is its Korean; empty: a plain text",
    )
    consent: str = Field(
        "1",
        min_length=1,
        max_length=32,
        description="version of what sellers agree to who let the catalogue have photos",
    )
    second_expert_from_krw: int = Field(
        0,
        ge=0,
        description="price in won from which two experts must certify a good; 0: one is enough",
    )
    blur: bool = Field(
        True, description="whether faces and number plates are blurred on photos that all may see"
    )
    session_idle_hours: int = Field(
        72, gt=0, le=24 * 90, description="hours without use after which a log-in ends"
    )
    session_days: int = Field(30, gt=0, le=365, description="days after which a log-in ends")
    requests_per_minute: int = Field(
        600, gt=0, description="requests of one account, or of one API key, at most"
    )
    learn: Learn = Learn()
    keep: Keep = Keep()
    mail: Mail = Mail()
    kakao: Kakao = Kakao()
    naver: Naver = Naver()
