"""`satchel serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import open_workspace, say

if TYPE_CHECKING:
    from satchel.web.server import Place


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address; default from satchel.toml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default from satchel.toml; 0 picks one.")
    ] = None,
    qr: Annotated[
        bool | None,
        typer.Option(
            "--qr/--no-qr", help="Show a QR code of the address for phones; default: on terminals."
        ),
    ] = None,
) -> None:
    """Serve the page and the HTTP API until Ctrl-C."""
    from satchel.web.server import serve as serve_web

    workspace = open_workspace(context)
    settings = workspace.settings.serve
    serve_web(
        workspace,
        host if host is not None else settings.host,
        port if port is not None else settings.port,
        on_ready=lambda place: _announce(place, qr=qr),
    )


def _announce(place: Place, *, qr: bool | None) -> None:
    """Say where the server is; where other machines reach it, also to phones and with a warning."""
    from satchel.cli.qr import can_show, qr_code

    say(f"Satchel is at {place.url} (Ctrl-C stops it)")
    if place.network_url is None:
        say("For phones and others in your network: satchel serve --host 0.0.0.0")
        return
    say(f"In this network, for phones too, it is at {place.network_url}")
    if can_show() if qr is None else qr:
        say(qr_code(place.network_url))
    say(
        "Warning: there are no accounts. Whoever reaches this address sees the catalogue and can "
        "decide in review. For more than your own network, put it behind a proxy that asks for a "
        "password: docs/guide/serve.md"
    )
