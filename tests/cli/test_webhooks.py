"""`satchel webhooks`."""

from __future__ import annotations

import json

from satchel.workspace import Workspace
from support.cli import satchel


def test_a_webhook_is_added_pinged_switched_and_removed(workspace: Workspace):
    def run(*arguments: str):
        return satchel(workspace.folder, "webhooks", *arguments)

    refused = run("add", "http://127.0.0.1:8000/")
    assert (refused.returncode, "expected an address with https" in refused.stderr) == (1, True)
    (workspace.folder / "satchel.toml").write_text(
        '[fetch]\nhttp = true\nnetworks = ["127.0.0.1"]\n', encoding="utf-8"
    )
    assert "there are no webhooks" in run("list").stderr
    added = json.loads(run("add", "http://127.0.0.1:65009/", "--event", "ping", "--json").stdout)
    assert added["secret"].startswith("whsec_")
    [line] = run("list", "--json").stdout.splitlines()
    assert json.loads(line) == {key: added[key] for key in added if key != "secret"}
    sent = json.loads(run("ping", "1", "--json").stdout)
    assert (sent["state"], sent["message"]["type"]) == ("waiting", "ping")
    assert satchel(workspace.folder, "worker", "--once").returncode == 0
    [line] = run("deliveries", "--json").stdout.splitlines()
    tried = json.loads(line)
    assert (tried["state"], tried["attempts"]) == ("waiting", 1)
    assert "cannot be requested" in tried["last_error"]
    assert "fails since" in run("list").stdout
    assert sent["delivery"] in run("replay", sent["delivery"]).stdout
    assert run("replay", "msg_0").returncode == 2
    assert run("off", "1").stderr == "webhook 1 (http://127.0.0.1:65009/) is off\n"
    assert "off: by a person" in run("list").stdout
    assert json.loads(run("on", "1", "--json").stdout)["active"]
    assert run("secret", "1").stdout.startswith("whsec_")
    assert run("remove", "1", "--yes").returncode == 0
    assert run("ping", "1").returncode == 2
