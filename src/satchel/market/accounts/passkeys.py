"""Passkeys (WebAuthn): the person is verified by their device, the server holds a public key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Engine, delete, func, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import AccountError, LogInFailed
from satchel.market.accounts.audit import record
from satchel.market.accounts.letters import LetterKind
from satchel.market.accounts.outbox import Outbox
from satchel.market.accounts.records import Account
from satchel.market.accounts.store import MAX_NAME_CHARS, find
from satchel.market.accounts.tables import PasskeyRow

SITE: Final = "Satchel"
MAX_PASSKEYS: Final = 20
MAX_ID_BYTES: Final = 1023
"""Of a credential id (WebAuthn, section 4)."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an account."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a browser is asked to sign.

    Attributes:
        options: for `navigator.credentials`, as JSON.
    """

    challenge: bytes
    options: Mapping[str, Any]


class PasskeyStore:
    """Registers and checks passkeys.

    Args:
        post: has e-mails sent.
        url: of this server, as browsers see it: passkeys are good for its host alone.
    """

    def __init__(self, engine: Engine, post: Outbox, url: str) -> None:
        self._engine = engine
        self._post = post
        self._origin = url
        self._host = urlsplit(url).hostname or ""

    def registration(self, account: Account) -> Challenge:
        """Ask for a new passkey that the device keeps with the account's name."""
        import webauthn  # noqa: PLC0415 - of the extra market
        from webauthn.helpers import structs  # noqa: PLC0415

        selection = structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        with self._engine.connect() as connection:
            own = connection.scalars(
                select(PasskeyRow.credential_id).where(PasskeyRow.account_id == account.id)
            ).all()
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name=SITE,
            user_id=str(account.id).encode(),
            user_name=account.email,
            user_display_name=account.name,
            authenticator_selection=selection,
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in own],
        )
        return Challenge(options.challenge, json.loads(webauthn.options_to_json(options)))

    def register(
        self,
        account: Account,
        challenge: bytes,
        credential: Mapping[str, Any],
        *,
        name: str,
        address: str = "",
    ) -> Passkey:
        """Keep a new passkey.

        Args:
            credential: what the browser answered to `registration`, as JSON.
            name: to know it by.

        Raises:
            AccountError: the answer does not hold, or there are too many passkeys.
        """
        import webauthn  # noqa: PLC0415

        try:
            found = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except _malformed() as error:
            raise AccountError(f"this passkey cannot be used: {error}", "passkey") from None
        row = {
            "account_id": account.id,
            "credential_id": found.credential_id,
            "public_key": found.credential_public_key,
            "sign_count": found.sign_count,
            "name": " ".join(name.split())[:MAX_NAME_CHARS] or SITE,
        }
        if len(found.credential_id) > MAX_ID_BYTES:
            raise AccountError("this passkey cannot be used: its id is too long", "passkey")
        with writing(self._engine) as connection, connection.begin():
            mine = select(func.count()).where(PasskeyRow.account_id == account.id)
            taken = select(PasskeyRow.id).where(PasskeyRow.credential_id == found.credential_id)
            if (connection.scalar(mine) or 0) >= MAX_PASSKEYS or connection.scalar(taken):
                raise AccountError(
                    f"expected a new passkey, and at most {MAX_PASSKEYS}; remove some", "passkey"
                )
            connection.execute(insert(PasskeyRow).values(**row))
            record(connection, "passkey.add", by=account.id, address=address)
            self._post(connection, LetterKind.ADDED, account.id)
        return self.of(account.id)[0]

    def authentication(self) -> Challenge:
        """Ask for any passkey of this site: who logs in need not say who they are."""
        import webauthn  # noqa: PLC0415
        from webauthn.helpers import structs  # noqa: PLC0415

        options = webauthn.generate_authentication_options(
            rp_id=self._host, user_verification=structs.UserVerificationRequirement.REQUIRED
        )
        return Challenge(options.challenge, json.loads(webauthn.options_to_json(options)))

    def check(
        self, challenge: bytes, credential: Mapping[str, Any], *, address: str = ""
    ) -> Account:
        """Return the account whose passkey has signed a challenge.

        Args:
            credential: what the browser answered to `authentication`, as JSON.

        Raises:
            LogInFailed: no passkey of an account that may log in has.
        """
        import webauthn  # noqa: PLC0415

        try:
            key = webauthn.base64url_to_bytes(str(credential.get("rawId", "")))[:MAX_ID_BYTES]
            with self._engine.connect() as connection:
                row = connection.execute(
                    select(PasskeyRow.__table__).where(PasskeyRow.credential_id == key)
                ).one_or_none()
                account = row and find(connection, id=row.account_id)
            if row is None or not account or account.disabled_at is not None:
                raise _unknown()
            found = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=row.public_key,
                credential_current_sign_count=row.sign_count,
                require_user_verification=True,
            )
        except _malformed():
            with writing(self._engine) as connection, connection.begin():
                record(connection, "session.refuse", address=address, way="passkey")
            raise _unknown() from None
        with writing(self._engine) as connection, connection.begin():
            connection.execute(
                update(PasskeyRow)
                .where(PasskeyRow.id == row.id)
                .values(sign_count=found.new_sign_count, last_used_at=now())
            )
        return Account.of(account)

    def of(self, account_id: int) -> list[Passkey]:
        """Return the passkeys of an account, the newest first."""
        chosen = select(PasskeyRow.__table__).where(PasskeyRow.account_id == account_id)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(PasskeyRow.id.desc()))
            return [Passkey(row.id, row.name, row.created_at, row.last_used_at) for row in rows]

    def remove(self, account_id: int, passkey: int, *, address: str = "") -> bool:
        """Remove a passkey of an account; whether it had one with this id."""
        with writing(self._engine) as connection, connection.begin():
            done = connection.execute(
                delete(PasskeyRow).where(
                    PasskeyRow.id == passkey, PasskeyRow.account_id == account_id
                )
            )
            if done.rowcount:
                record(connection, "passkey.remove", by=account_id, address=address)
        return bool(done.rowcount)


def _malformed() -> tuple[type[Exception], ...]:
    """What the library raises for answers that do not hold."""
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    return WebAuthnException, ValueError, TypeError, KeyError, IndexError


def _unknown() -> LogInFailed:
    return LogInFailed("no account here has this passkey; log in in another way", "no-passkey")
