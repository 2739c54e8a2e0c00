"""`satchel serve`: one process, one socket, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from satchel.config import Serve
from satchel.web import logs
from satchel.web.addresses import Networks
from satchel.web.app import create_app
from satchel.web.connections import Connections, affordable, limit_files
from satchel.web.listening import listen, names_of, network_url_of, url_of
from satchel.web.middleware.record import Recorded
from satchel.web.protocol import Deadlines, PatientProtocol
from satchel.web.state import ServerState
from satchel.workspace import Workspace

GRACE_S: Final = 10
"""Seconds that requests in progress may take once the server is to stop."""
REPEAT_S: Final = 60
"""Seconds after which an error that goes on is logged again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is reached.

    Attributes:
        url: from this machine.
        network_url: from other machines, None where it listens on this one alone.
    """

    url: str
    network_url: str | None


def serve(workspace: Workspace, host: str, port: int, *, on_ready: Callable[[Place], None]) -> None:
    """Serve a workspace until Ctrl-C.

    Args:
        host: address to listen on.
        port: 0 lets the system choose.
        on_ready: called with where the server is once it answers.

    Raises:
        PortInUse: another program listens there.
        UsageError: the address cannot be listened on.
        EncoderError: the model file is missing or altered.
    """
    with listen(host, port) as listening:  # first: a taken port fails before loading
        app = create_app(workspace, names=names_of(host, listening))
        logs.configure(workspace.settings.serve.log)
        place = Place(url_of(listening), network_url_of(listening))
        server = Server(app, lambda: on_ready(place))
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn stops in order, then passes it on
            server.run(sockets=[listening])


def configuration(app: FastAPI) -> uvicorn.Config:
    """How an application of `create_app` is served.

    By h11, also where httptools is installed: it bounds the size of headers, and refuses a request
    with several or no Host headers or with contradicting lengths.
    """
    state = app.state.server
    assert isinstance(state, ServerState)
    settings = state.workspace.settings.serve
    connections = _connections(settings)
    state.metrics.follow(connections)
    protocol = partial(
        PatientProtocol,
        connections=connections,
        deadlines=Deadlines(
            settings.header_seconds, settings.body_seconds, settings.answer_seconds
        ),
    )
    return uvicorn.Config(
        Recorded(app, state.metrics),
        http=protocol,  # type: ignore[arg-type] # it is called as the class would be
        ws="none",
        log_config=None,  # see `satchel.web.logs`
        log_level="error",  # a warning is something that a client did
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=1,  # after those of `Server`
    )


class Server(uvicorn.Server):
    """Uvicorn's server, which answers what it has begun before it stops.

    Meanwhile new requests are refused with 503.
    """

    def __init__(self, app: FastAPI, on_started: Callable[[], None] = lambda: None) -> None:
        super().__init__(configuration(app))
        self._state: ServerState = app.state.server
        self._on_started = on_started
        self._ends_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start up, and call back once the server is ready."""
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: once the server is to stop and all that was begun is answered."""
        if not await super().on_tick(counter):
            return False
        self._state.stopping = True
        now = time.monotonic()
        self._ends_at = self._ends_at or now + GRACE_S
        return self.force_exit or now >= self._ends_at or not self.server_state.tasks


class LoopErrors:
    """Logs errors of an event loop: one that connections cannot be accepted once a minute.

    asyncio reports it for each connection that waits, over and over.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._again_at = -1.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one error."""
        message = str(context.get("message"))
        if "_start_serving" in message:  # it would have accepted again, but the server has ended
            return
        if "socket.accept()" not in message:
            loop.default_exception_handler(context)
        elif self._clock() >= self._again_at:
            self._again_at = self._clock() + REPEAT_S
            log.error(
                "cannot accept connections: %s; lower max_connections under [serve] in "
                "satchel.toml, or allow this program more open files",
                context.get("exception"),
            )


def _connections(settings: Serve) -> Connections:
    most = affordable(settings.max_connections, limit_files)
    if most < settings.max_connections:
        log.warning(
            "the system allows too few open files for %d connections (max_connections): at most "
            "%d are open at once",
            settings.max_connections,
            most,
        )
    return Connections(most, settings.max_connections_per_address, Networks(settings.proxies))
