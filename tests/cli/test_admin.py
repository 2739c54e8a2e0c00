"""`satchel admin`: accounts by the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from satchel.cli.app import app
from satchel.errors import AccountError, UsageError
from satchel.market.accounts.entry import Entry
from satchel.market.accounts.outbox import Jobs
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.store import AccountStore
from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.cli import satchel
from support.market import PASSWORD


def create(workspace: Workspace, *arguments: str, password: str = PASSWORD):
    return CliRunner().invoke(
        app,
        ["--workspace", str(workspace.folder), "admin", "create", *arguments],
        input=f"{password}\n",
        catch_exceptions=True,
    )


def test_the_first_admin_can_log_in(workspace: Workspace) -> None:
    done = create(workspace, "Boss@example.com")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    entry = Entry(workspace.catalogue.engine, Passwords(), post=Jobs())
    assert entry.check_password("boss@example.com", PASSWORD).role is Role.ADMIN


def test_roles_change_and_accounts_are_disabled(workspace: Workspace) -> None:
    create(workspace, "boss@example.com")
    create(workspace, "mina@example.com", "--role", "seller", "--name", "Mina")
    assert satchel(workspace.folder, "admin", "role", "mina@example.com", "expert").returncode == 0
    assert satchel(workspace.folder, "admin", "disable", "mina@example.com").returncode == 0
    listed = satchel(workspace.folder, "admin", "list").stdout.splitlines()
    assert listed == [
        "mina@example.com\texpert\tdisabled\tMina",
        "boss@example.com\tadmin\tactive\tboss",
    ]
    assert satchel(workspace.folder, "admin", "enable", "mina@example.com").returncode == 0
    assert AccountStore(workspace.catalogue.engine).by_email("mina@example.com").disabled_at is None
    only = satchel(workspace.folder, "admin", "list", "--role", "admin").stdout
    assert only.startswith("boss@")


@pytest.mark.parametrize(
    ("arguments", "password", "error"),
    [
        (("a@example.com", "--role", "king"), PASSWORD, UsageError),
        (("no address",), PASSWORD, AccountError),
        (("a@example.com",), "short", AccountError),
    ],
)
def test_what_cannot_be_is_refused(workspace, arguments, password, error) -> None:
    done = create(workspace, *arguments, password=password)
    assert isinstance(done.exception, error)
    assert satchel(workspace.folder, "admin", "list").stdout == ""


def test_no_password_is_taken_from_the_command_line(workspace: Workspace) -> None:
    """Other users of the machine see it there."""
    assert satchel(workspace.folder, "admin", "create", "a@b.example", "--password", "x").returncode
    assert satchel(workspace.folder, "admin", "create", "a@b.example", PASSWORD).returncode == 2
