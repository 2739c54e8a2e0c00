"""Bases of the bodies of the market's API, and those of accounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from satchel.market.accounts import emails, passwords, records
from satchel.market.accounts.store import MAX_NAME_CHARS
from satchel.market.roles import Role, Scope

Email = Annotated[
    str, Field(max_length=emails.MAX_CHARS, description="E-mail address.", examples=["a@b.example"])
]
Password = Annotated[
    str,
    Field(
        max_length=4 * passwords.MAX_CHARS,
        description=f"{passwords.MIN_CHARS} to {passwords.MAX_CHARS} characters.",
    ),
]
Token = Annotated[str, Field(max_length=64, description="Secret of the link in an e-mail.")]
Time = Annotated[datetime, AfterValidator(lambda time: time.replace(tzinfo=UTC))]


class Body(BaseModel):
    """Base of what is sent: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Converted(BaseModel):
    """Base of what has the fields of a record, and is made by `model_validate`."""

    model_config = ConfigDict(from_attributes=True)


class Registering(Body):
    """What a person gives to register."""

    email: Email
    password: Password
    name: str = Field("", max_length=MAX_NAME_CHARS, description="Shown to other people.")
    accept_terms: bool = Field(description="Whether the terms are accepted; they must be.")


class LoggingIn(Body):
    """E-mail address and password."""

    email: Email
    password: Password


class Forgetting(Body):
    """Whose password is forgotten."""

    email: Email


class Confirming(Body):
    """The secret that was sent to an e-mail address."""

    token: Token


class Resetting(Body):
    """The secret of an e-mail, and the new password."""

    token: Token
    password: Password


class AccountChange(Body):
    """What people change of their account."""

    name: str = Field(max_length=MAX_NAME_CHARS, description="Shown to other people.")


class EmailChange(Body):
    """A new e-mail address, which is asked first."""

    email: Email


class PasswordChange(Body):
    """The present password, and the new one."""

    old: Password = ""
    new: Password


class Mailed(BaseModel):
    """An e-mail says how to go on, if the address can be used; the answer does not tell."""

    status: str = Field("mailed", description="Always mailed.")


class Account(BaseModel):
    """An account, as its owner sees it."""

    id: int
    email: str
    name: str
    role: Role
    created_at: Time
    has_password: bool = Field(description="Whether it can log in with a password.")

    @classmethod
    def of(cls, account: records.Account) -> Account:
        """Convert a record."""
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            role=account.role,
            created_at=account.created_at,
            has_password=account.has_password,
        )


class Session(BaseModel):
    """A log-in from one browser or program."""

    id: int
    created_at: Time
    last_seen_at: Time = Field(description="To the minute.")
    expires_at: Time = Field(description="At the latest.")
    user_agent: str = Field(description="What the browser calls itself.")
    address: str = Field(description="IP address that it logged in from.")
    current: bool = Field(description="Whether the request came with it.")

    @classmethod
    def of(cls, session: records.Session, *, current: bool) -> Session:
        """Convert a record."""
        return cls(
            id=session.id,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            user_agent=session.user_agent,
            address=session.address,
            current=current,
        )


class LoggedIn(BaseModel):
    """Who is logged in. The session itself is in a cookie."""

    account: Account
    csrf_token: str = Field(description="Goes into X-CSRF-Token of every request but GET.")


class NewKey(Body):
    """An API key to be made."""

    name: str = Field(max_length=MAX_NAME_CHARS, description="To know it by.")
    scopes: list[Scope] = Field(max_length=len(Scope), description="What it may do.")


class Key(BaseModel):
    """An API key, without its secret."""

    id: int
    name: str
    prefix: str = Field(description="How the key begins.")
    scopes: list[Scope]
    created_at: Time
    last_used_at: Time | None = Field(description="To the minute.")

    @classmethod
    def of(cls, key: records.ApiKey) -> Key:
        """Convert a record."""
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            last_used_at=key.last_used_at,
        )


class KeyMade(BaseModel):
    """A new API key."""

    key: str = Field(description="The key itself: shown now, and never again.")
    record: Key


class Sessions(BaseModel):
    """The log-ins of an account, the last used one first."""

    sessions: list[Session]


class Keys(BaseModel):
    """The API keys of an account, the newest first."""

    keys: list[Key]
