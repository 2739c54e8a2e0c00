"""`satchel webhooks`: programs that are informed of what happens on the market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.jobs import MAX_ID
from satchel.cli.shared import (
    AsJson,
    AsJsonLines,
    Yes,
    confirm,
    open_workspace,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from satchel.market.webhooks.records import Delivery, Webhook
    from satchel.market.webhooks.store import WebhookStore

WebhookId = Annotated[
    int, typer.Argument(min=0, max=MAX_ID, metavar="WEBHOOK", help="Number of the webhook.")
]

webhooks = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Addresses that are informed of what happens on the market; `satchel worker` sends.",
)


@webhooks.command("list")
def list_(context: typer.Context, as_json: AsJsonLines = False) -> None:
    """List webhooks, those that are switched off too."""
    found = _store(context).all()
    if as_json:
        for hook in found:
            print_json(_webhook(hook))
    elif found:
        from rich.table import Table

        table = Table("webhook", "address", "events", "state")
        for hook in found:
            state = "on" if hook.active else f"off: {hook.disabled_because or 'by a person'}"
            if hook.active and hook.failing_since:
                state = f"fails since {hook.failing_since:%Y-%m-%d %H:%M} UTC"
            table.add_row(str(hook.id), hook.url, " ".join(hook.events), state)
        print_table(table)
    else:
        say("there are no webhooks; add one with `satchel webhooks add ADDRESS`")


@webhooks.command()
def add(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Where messages go: https://…")],
    event: Annotated[
        list[str] | None, typer.Option(help="An event, several times; default, all of them.")
    ] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Add a webhook, and show the secret with which its messages are signed."""
    _show(_store(context).add(address, event or ["*"]), as_json, with_secret=True)


@webhooks.command()
def secret(context: typer.Context, webhook: WebhookId, as_json: AsJsonLines = False) -> None:
    """Give a webhook a new secret, and show it."""
    _show(_store(context).replace_secret(webhook), as_json, with_secret=True)


@webhooks.command()
def on(context: typer.Context, webhook: WebhookId, as_json: AsJsonLines = False) -> None:
    """Switch a webhook on again."""
    _show(_store(context).set_active(webhook, True), as_json)


@webhooks.command()
def off(context: typer.Context, webhook: WebhookId, as_json: AsJsonLines = False) -> None:
    """Switch a webhook off: nothing is sent to it, what waits neither."""
    _show(_store(context).set_active(webhook, False), as_json)


@webhooks.command()
def remove(
    context: typer.Context, webhook: WebhookId, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Delete a webhook and what was sent to it."""
    store = _store(context)
    confirm(f"webhook {webhook} ({store.webhook(webhook).url}) will be deleted", yes=yes)
    store.remove(webhook)
    if as_json:
        print_json({"removed": [webhook]})
    say(f"webhook {webhook} is deleted")


@webhooks.command()
def ping(context: typer.Context, webhook: WebhookId, as_json: AsJsonLines = False) -> None:
    """Let a worker send a trial message."""
    _show_deliveries([_store(context).ping(webhook)], as_json)


@webhooks.command()
def deliveries(
    context: typer.Context,
    webhook: Annotated[int | None, typer.Option(min=0, max=MAX_ID, help="Only of this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Listed, at most.")] = 50,
    as_json: AsJsonLines = False,
) -> None:
    """List what was sent and what is to be sent, the latest first."""
    found = _store(context).deliveries(webhook, limit=limit)
    _show_deliveries(found, as_json)
    if not found:
        say("nothing was sent yet")


@webhooks.command()
def replay(
    context: typer.Context,
    delivery: Annotated[str, typer.Argument(help="Id of the delivery: msg_…")],
    as_json: AsJsonLines = False,
) -> None:
    """Let a worker send a delivery again, under the same id."""
    _show_deliveries([_store(context).replay(delivery)], as_json)


def _store(context: typer.Context) -> WebhookStore:
    from satchel.workflows.jobs import webhooks_of

    return webhooks_of(open_workspace(context))


def _show(hook: Webhook, as_json: bool, *, with_secret: bool = False) -> None:
    if as_json:
        print_json(_webhook(hook, with_secret=with_secret))
        return
    say(f"webhook {hook.id} ({hook.url}) is {'on' if hook.active else 'off'}")
    if with_secret:
        print(hook.secret)
        say("give this secret to the receiver; it is not shown again")


def _show_deliveries(found: list[Delivery], as_json: bool) -> None:
    from satchel.webhook_schemas import DeliveryRecord

    if as_json:
        for one in found:
            print_json(DeliveryRecord.of(one).model_dump(mode="json"))
    elif found:
        from rich.table import Table

        table = Table("delivery", "webhook", "event", "state", "attempts", "last error")
        for one in found:
            row = one.id, str(one.webhook_id), one.event, one.state, str(one.attempts)
            table.add_row(*row, one.last_error or "")
        print_table(table)


def _webhook(hook: Webhook, *, with_secret: bool = False) -> dict[str, Any]:
    from satchel.webhook_schemas import WebhookRecord

    found = WebhookRecord.of(hook, with_secret=with_secret).model_dump(mode="json")
    return found if with_secret else {k: v for k, v in found.items() if k != "secret"}
