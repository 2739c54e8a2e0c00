"""`satchel serve`: serve the pages and the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from satchel.cli.shared import open_workspace, say


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address; default from satchel.toml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default from satchel.toml; 0 picks one.")
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
        on_ready=lambda url: say(f"Satchel is at {url} (Ctrl-C stops it)"),
    )
