"""HTTP/1.1 with deadlines: uvicorn's protocol, for clients that may be slow on purpose.

Uvicorn limits only the time between two requests. Here a client must also send headers in time,
send its body at a least rate and take the answer at a least rate, and the number of connections is
limited. An ASGI application cannot do that: it sees a request once its headers are complete, and
an answer as sent once it is buffered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from satchel.translations import NAMES, translatable, translations
from satchel.web.addresses import UNKNOWN, parse_address
from satchel.web.connections import Connections

MIN_BYTES_PER_S: Final = 1_000
"""Rate at which a body must arrive, on average over each period of `body_s`."""
RETRY_AFTER_S: Final = 5
TEXTS: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: translatable(
        "Too many connections are open right now. Wait a few seconds, then try again."
    ),
    HTTPStatus.REQUEST_TIMEOUT: translatable(
        "The connection was too slow, so the server closed it. Try again."
    ),
}
"""For people, in every language: which one the client wishes is not known yet."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for which the server waits for a client.

    Attributes:
        headers_s: for the headers of a request, all together.
        body_s: for the next 1,000 bytes a second of its body, or the end of it.
        answer_s: for the client to take the next part of an answer.
    """

    headers_s: float
    body_s: float
    answer_s: float


class Awaited(Enum):
    """What a connection waits for."""

    HEADERS = auto()
    BODY = auto()
    TAKING = auto()  # the client has to take what was sent


class PatientProtocol(H11Protocol):
    """One connection, which is closed when its client is too slow.

    Attributes:
        waits_since: when it began to wait for its client, in the loop's time; None while the
            server is working for it.
    """

    def __init__(
        self, *args: Any, connections: Connections, deadlines: Deadlines, **named: Any
    ) -> None:
        super().__init__(*args, **named)
        self._all = connections
        self._deadlines = deadlines
        self._awaited: tuple[object, Awaited | None] = (None, None)
        self._deadline: asyncio.TimerHandle | None = None
        self._received_bytes = 0
        self.waits_since: float | None = None

    # -- what happens to the connection ---------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin, unless there are too many connections."""
        super().connection_made(transport)
        address = parse_address(self.client[0]) if self.client else None
        if self.client and address is not None:
            self.client = (str(address), self.client[1])
        if self._all.admit(self, UNKNOWN if address is None else str(address)):
            self._follow()
        else:
            self._close(HTTPStatus.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        """Read what the client sent."""
        self._received_bytes += len(data)
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Wait for the next request, the rest of the body, or the answer to be taken."""
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._follow()

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._all.remove(self)
        self._stop_deadline()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close at once, in favour of another connection."""
        self._stop_deadline()
        self.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # nothing here speaks another protocol: the wish may be passed over (RFC 9110)

    # -- deadlines ------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Start the deadline of what is waited for, where that has changed."""
        awaited = (self.cycle, self._awaits())
        if awaited == self._awaited:
            return
        self._awaited = awaited
        self._stop_deadline()
        self._received_bytes = 0
        self.waits_since = None if awaited[1] is None else self.loop.time()
        match awaited[1]:
            case Awaited.HEADERS:
                self._set_deadline(self._deadlines.headers_s)
            case Awaited.BODY:
                self._set_deadline(self._deadlines.body_s)
            case Awaited.TAKING:
                self._set_deadline(self._deadlines.answer_s)

    def _awaits(self) -> Awaited | None:
        if self.transport.is_closing() or self.flow.write_paused:
            return Awaited.TAKING
        return {h11.IDLE: Awaited.HEADERS, h11.SEND_BODY: Awaited.BODY}.get(self.conn.their_state)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._late)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        awaited, body_s = self._awaited[1], self._deadlines.body_s
        if awaited is Awaited.TAKING:
            self._all.closed["slow"] += 1
            self.transport.abort()
        elif awaited is Awaited.BODY and (
            self.flow.read_paused or self._received_bytes >= MIN_BYTES_PER_S * body_s
        ):
            self._received_bytes = 0
            self._set_deadline(body_s)
        else:
            self._all.closed["slow"] += 1
            self._close(HTTPStatus.REQUEST_TIMEOUT)

    def _close(self, status: HTTPStatus) -> None:
        """Close, with this status unless nothing was requested or an answer is under way."""
        silent = self._awaited[1] is Awaited.HEADERS and self._received_bytes == 0
        if not silent and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._answer(status))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # what the application sends from now on is dropped
            self.cycle.message_event.set()
        self.transport.close()
        self._follow()

    def _answer(self, status: HTTPStatus) -> bytes:
        text = "".join(f"{translations(code).gettext(TEXTS[status])}\n" for code in NAMES).encode()
        headers = [
            *self.server_state.default_headers,
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", b"%d" % len(text)),
            (b"Cache-Control", b"no-store"),
            (b"Retry-After", b"%d" % RETRY_AFTER_S),
            (b"Connection", b"close"),
        ]
        begin = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        events = (begin, h11.Data(data=text), h11.EndOfMessage())
        return b"".join(self.conn.send(event) or b"" for event in events)
