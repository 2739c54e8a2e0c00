"""`satchel admin`: accounts of the resale service; the first admin is made here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import AsJson, AsJsonLines, open_workspace, print_json, say
from satchel.extras import need_extra

if TYPE_CHECKING:
    from satchel.market.accounts.records import Account
    from satchel.market.accounts.store import AccountStore
    from satchel.market.roles import Role

admin = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make, list and disable accounts of the resale service ([market] in satchel.toml).",
)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address of the account.")]
RoleName = Annotated[str, typer.Option("--role", help="seller, expert or admin.")]


@admin.command()
def create(
    context: typer.Context,
    email: Email,
    role: RoleName = "admin",
    name: Annotated[str, typer.Option(help="Shown to others.")] = "",
    language: Annotated[str, typer.Option(help="Of e-mails: en or ko.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Make an account. Its password is asked for, or read from the first line of stdin."""
    need_extra("market")
    from satchel.market.accounts.emails import normal_email
    from satchel.market.accounts.passwords import Passwords, require_good

    store = _store(context)
    wanted, address = _role(role), normal_email(email)
    password = _password()
    require_good(password, address, name)
    hashed = Passwords().hash(password)
    made = store.create(address, name=name, role=wanted, password_hash=hashed, locale=language)
    if as_json:
        print_json(_row(made))
    say(f"made the account {made.email} with the role {made.role.value}")


@admin.command("list")
def list_(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Part of an e-mail address or a name.")] = "",
    role: Annotated[str, typer.Option(help="Only of this role.")] = "",
    as_json: AsJsonLines = False,
) -> None:
    """List accounts, the newest first: e-mail address, role, state, name."""
    from satchel.market.accounts.store import PAGE

    store, wanted = _store(context), _role(role) if role else None
    offset, total = 0, 1
    while offset < total:
        total, accounts = store.page(query, role=wanted, offset=offset)
        for one in accounts:
            if as_json:
                print_json(_row(one))
            else:
                print(f"{one.email}\t{one.role.value}\t{_state(one)}\t{one.name}")
        offset += PAGE


@admin.command()
def role(
    context: typer.Context,
    email: Email,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="seller, expert or admin.")],
    as_json: AsJson = False,
) -> None:
    """Give an account another role."""
    changed = _store(context).set_role(email, _role(role))
    if as_json:
        print_json(_row(changed))
    say(f"{changed.email} has the role {changed.role.value} now")


@admin.command()
def disable(context: typer.Context, email: Email, as_json: AsJson = False) -> None:
    """Let an account do nothing from now on, and log it out everywhere."""
    changed = _store(context).disable(email)
    if as_json:
        print_json(_row(changed))
    say(f"{changed.email} is disabled; `satchel admin enable {changed.email}` undoes it")


@admin.command()
def enable(context: typer.Context, email: Email, as_json: AsJson = False) -> None:
    """Let a disabled account log in again."""
    changed = _store(context).enable(email)
    if as_json:
        print_json(_row(changed))
    say(f"{changed.email} can log in again")


def _row(account: Account) -> dict[str, str]:
    """An account as JSON."""
    own = {"email": account.email, "role": account.role.value, "name": account.name}
    return own | {"state": _state(account)}


def _state(account: Account) -> str:
    if not account.email_confirmed_at:
        return "unconfirmed"
    return "disabled" if account.disabled_at else "active"


def _store(context: typer.Context) -> AccountStore:
    from satchel.market.accounts.store import AccountStore

    return AccountStore(open_workspace(context).catalogue.engine)


def _role(name: str) -> Role:
    from satchel.errors import UsageError
    from satchel.market.roles import Role

    try:
        return Role(name)
    except ValueError:
        raise UsageError(f"expected one of {', '.join(Role)} as the role, got {name!r}") from None


def _password() -> str:
    """Ask for a password twice, unseen; or read it from stdin where that is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
