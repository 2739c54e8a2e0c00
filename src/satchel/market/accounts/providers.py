"""Log-in by other services: Kakao speaks OpenID Connect, Naver OAuth 2.0 with an API of its own.

Both by the authorization code with PKCE (RFC 7636) and a `state` that belongs to one browser. What
they answer is taken from them over TLS by the guarded client, in bounded size.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from satchel.errors import AccountError, FetchError
from satchel.fetch.client import FetchClient
from satchel.market.accounts.secret import new_secret
from satchel.market_settings import Kakao, Market, Naver

KAKAO, NAVER = "kakao", "naver"
TITLES: Final = {KAKAO: "Kakao", NAVER: "Naver"}
ALGORITHMS: Final = ("RS256", "ES256")
METADATA_S: Final = 60 * 60
LEEWAY_S: Final = 60
MAX_SUBJECT_CHARS: Final = 255


@dataclass(frozen=True, slots=True)
class Flow:
    """What the server keeps while a person is away at a provider.

    Attributes:
        nonce: binds the ID token to this flow.
        verifier: whose hash the provider was given (PKCE).
        target: page to go to then.
        attach_to: account that the identity is to belong to; None to log in.
    """

    provider: str
    nonce: str
    verifier: str
    target: str
    attach_to: int | None

    @classmethod
    def begin(cls, provider: str, target: str, attach_to: int | None = None) -> Flow:
        """Make the secrets of a flow."""
        return cls(provider, new_secret(), new_secret(), target, attach_to)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who a person is, by a provider.

    Attributes:
        subject: their id there, which never changes.
        email: None where they do not give it.
        verified: whether the provider has checked that the e-mail address is theirs.
    """

    provider: str
    subject: str
    email: str | None
    verified: bool
    name: str


class Provider(Protocol):
    """A service by which people log in."""

    def address(self, flow: Flow, state: str) -> str:
        """Return the address to send the browser to.

        Raises:
            AccountError: the service cannot be reached.
        """

    def claims(self, flow: Flow, code: str) -> Claims:
        """Take the code with which the browser has come back, and return who it is.

        Raises:
            AccountError: the service refuses the code, or cannot be reached.
        """


def providers_of(settings: Market, client: FetchClient) -> dict[str, Provider]:
    """Return the providers that are set up, by name."""
    found: dict[str, Provider] = {}
    if settings.kakao.client_id:
        found[KAKAO] = KakaoProvider(settings.kakao, settings.url, client)
    if settings.naver.client_id:
        found[NAVER] = NaverProvider(settings.naver, settings.url, client)
    return found


class KakaoProvider:
    """OpenID Connect with discovery, as Kakao has it."""

    def __init__(self, settings: Kakao, url: str, client: FetchClient) -> None:
        self._settings = settings
        self._back = _way_back(url, KAKAO)
        self._requests = _Requests(client, KAKAO)
        self._known: tuple[float, Mapping[str, Any]] | None = None

    def address(self, flow: Flow, state: str) -> str:
        """See `Provider`."""
        return _grant_address(
            str(self._metadata()["authorization_endpoint"]),
            self._settings.client_id,
            self._back,
            flow,
            state,
            scope="openid account_email profile_nickname",
            nonce=flow.nonce,
        )

    def claims(self, flow: Flow, code: str) -> Claims:
        """See `Provider`."""
        metadata = self._metadata()
        tokens = self._requests.tokens(
            str(metadata["token_endpoint"]), self._settings.client_id, self._back, flow, code
        )
        keys = self._requests.json(str(metadata["jwks_uri"]))
        token = self._id_token(str(tokens.get("id_token", "")), keys, flow.nonce)
        info = self._requests.json(str(metadata["userinfo_endpoint"]), tokens)
        if str(info.get("sub")) != str(token["sub"]):
            raise self._requests.refused("userinfo is of somebody else than the ID token")
        return _claims(
            KAKAO, token["sub"], info.get("email"), info.get("email_verified") is True,
            info.get("nickname") or info.get("name"),
        )  # fmt: skip

    def _id_token(self, text: str, keys: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Check an ID token as OpenID Connect Core, section 3.1.3.7, says; return its claims."""
        from joserfc import jwt  # noqa: PLC0415 - of the extra market
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        expected = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            known = KeySet.import_key_set({"keys": keys["keys"]})
            token = jwt.decode(text, known, algorithms=ALGORITHMS)
            expected.validate(token.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise self._requests.refused(f"its ID token does not hold: {error}") from None
        return token.claims

    def _metadata(self) -> Mapping[str, Any]:
        """Where the service says its endpoints are; read anew after an hour."""
        if self._known is None or time.monotonic() - self._known[0] > METADATA_S:
            issuer = self._settings.issuer
            found = self._requests.json(f"{issuer}/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                raise self._requests.refused("it calls itself by another name")
            self._known = time.monotonic(), found
        return self._known[1]


class NaverProvider:
    """OAuth 2.0, as Naver has it. It does not say whether an e-mail address was checked."""

    def __init__(self, settings: Naver, url: str, client: FetchClient) -> None:
        self._settings = settings
        self._back = _way_back(url, NAVER)
        self._requests = _Requests(client, NAVER)

    def address(self, flow: Flow, state: str) -> str:
        """See `Provider`."""
        address = f"{self._settings.issuer}/oauth2.0/authorize"
        return _grant_address(address, self._settings.client_id, self._back, flow, state)

    def claims(self, flow: Flow, code: str) -> Claims:
        """See `Provider`."""
        address = f"{self._settings.issuer}/oauth2.0/token"
        tokens = self._requests.tokens(address, self._settings.client_id, self._back, flow, code)
        found = self._requests.json(f"{self._settings.api}/v1/nid/me", tokens)
        person = found.get("response")
        if found.get("resultcode") != "00" or not isinstance(person, dict):
            raise self._requests.refused("it gives no profile")
        return _claims(NAVER, person.get("id"), person.get("email"), False, person.get("name"))


class _Requests:
    """Requests to one provider."""

    def __init__(self, client: FetchClient, provider: str) -> None:
        self._client = client
        self._provider = provider
        self._secret = os.environ.get(f"SATCHEL_{provider.upper()}_SECRET", "")

    def tokens(
        self, address: str, client_id: str, back: str, flow: Flow, code: str
    ) -> Mapping[str, Any]:
        """Exchange a code (RFC 6749, section 4.1.3)."""
        from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

        body = prepare_token_request(
            "authorization_code",
            redirect_uri=back,
            code=code,
            code_verifier=flow.verifier,
            client_id=client_id,
            client_secret=self._secret,
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._answer("POST", address, headers, body.encode())

    def json(self, address: str, tokens: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Read a JSON object, with an access token if there is one."""
        bearer = {} if tokens is None else {"Authorization": f"Bearer {tokens['access_token']}"}
        return self._answer("GET", address, bearer, None)

    def refused(self, reason: str) -> AccountError:
        """The error for an answer that cannot be used."""
        return AccountError(
            f"the log-in by {TITLES[self._provider]} failed: {reason}; try again", "provider"
        )

    def _answer(
        self, method: str, address: str, headers: Mapping[str, str], content: bytes | None
    ) -> Mapping[str, Any]:
        try:
            answer = self._client.request(method, address, headers=headers, content=content)
            found = json.loads(answer.body)
        except (FetchError, ValueError) as error:
            raise self.refused(str(error)) from None
        if answer.status != 200 or not isinstance(found, dict):
            raise self.refused(f"it answers {answer.status}")
        if content is not None and not isinstance(found.get("access_token"), str):
            raise self.refused(f"it gives no token ({str(found.get('error'))[:80]})")
        return found


def _way_back(url: str, provider: str) -> str:
    return f"{url}/login/{provider}/back"


def _grant_address(
    address: str, client_id: str, back: str, flow: Flow, state: str, **more: str
) -> str:
    """Return the address of the authorization request (RFC 6749, 4.1.1, and RFC 7636, 4.3)."""
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415
    from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415

    challenge = create_s256_code_challenge(flow.verifier)
    return str(
        prepare_grant_uri(
            address,
            client_id,
            "code",
            redirect_uri=back,
            state=state,
            code_challenge=challenge,
            code_challenge_method="S256",
            **more,
        )
    )


def _claims(provider: str, subject: Any, email: Any, verified: bool, name: Any) -> Claims:
    if not isinstance(subject, str | int) or not 0 < len(str(subject)) <= MAX_SUBJECT_CHARS:
        raise AccountError(f"{TITLES[provider]} does not say who you are; try again", "provider")
    return Claims(
        provider,
        str(subject),
        email if isinstance(email, str) else None,
        verified and isinstance(email, str),
        name if isinstance(name, str) else "",
    )
