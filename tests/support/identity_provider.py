"""A local identity provider: OpenID Connect as Kakao has it, and OAuth 2.0 as Naver has it.

It checks what a real one checks (client, redirect address, PKCE, codes used once) and can be made
to lie. ID tokens are signed with `cryptography` alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT_ID, SECRET = "shop-1", "shop's secret"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Person:
    """Who is logged in at the provider."""

    subject: str = "4711"
    email: str | None = "mina@example.com"
    verified: bool = True
    name: str = "미나"


@dataclass
class Provider:
    """What the provider knows, and how it lies.

    Attributes:
        claims: that the ID token has in place of the true ones.
        forged: whether the ID token is signed with a key that is not published.
    """

    url: str = ""
    person: Person = field(default_factory=Person)
    claims: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    forged: bool = False
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    def agree(self, address: str) -> str:
        """What a person's browser does: the address to which it is sent back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        asked = self.codes.pop(form["code"])
        challenge = base64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert challenge == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, SECRET)
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        answer = {"access_token": token, "token_type": "bearer"}
        return answer | ({"id_token": self.id_token(asked)} if "nonce" in asked else {})

    def id_token(self, asked: Mapping[str, str]) -> str:
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": self.person.subject,
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
            "nonce": asked["nonce"],
        } | self.claims
        header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        key = self.key
        if self.forged:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"

    def published(self) -> dict[str, Any]:
        numbers = self.key.public_key().public_numbers()
        n, e = (
            number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.n, numbers.e)
        )
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256"}
        return {"keys": [{**key, "n": base64url(n), "e": base64url(e)}]}

    def answers(self) -> dict[str, Any]:
        person = self.person
        openid = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/oauth/authorize",
            "token_endpoint": f"{self.url}/oauth/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
        }
        info = {
            "sub": person.subject,
            "email": person.email,
            "email_verified": person.verified,
            "nickname": person.name,
        } | self.info
        profile = {"id": person.subject, "email": person.email, "name": person.name}
        return {
            "/.well-known/openid-configuration": openid,
            "/keys": self.published(),
            "/userinfo": info,
            "/v1/nid/me": {"resultcode": "00", "message": "success", "response": profile},
        }


class Handler(BaseHTTPRequestHandler):
    """Answers as `Provider` says."""

    @property
    def provider(self) -> Provider:
        provider: Provider = self.server.provider  # type: ignore[attr-defined]
        return provider

    def do_GET(self) -> None:
        if self.path in ("/userinfo", "/v1/nid/me"):
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in self.provider.tokens:
                self.answer(401, {"error": "invalid_token"})
                return
        found = self.provider.answers().get(self.path)
        self.answer(404 if found is None else 200, found or {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        try:
            self.answer(200, self.provider.exchange(form))
        except (KeyError, AssertionError):
            self.answer(400, {"error": "invalid_grant"})

    def answer(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    server.provider = provider  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
