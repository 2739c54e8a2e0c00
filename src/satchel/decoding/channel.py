"""Messages between a worker process and the process that started it: one line of JSON each.

Never pickled: what a worker sends is not trusted.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, Final

MAX_MESSAGE_BYTES: Final = 16_384


class Channel:
    """Sends and receives messages over a connected socket, which it owns."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: the other side is gone.
        """
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Wait for a message; None where the other side is gone.

        Raises:
            TimeoutError: nothing came in time.
            ValueError: what came is no message.
        """
        self._connection.settimeout(timeout_s)
        while b"\n" not in self._received:
            try:
                part = self._connection.recv(MAX_MESSAGE_BYTES)
            except ConnectionError:
                part = b""
            if not part:
                return None
            self._received += part
            if len(self._received) > MAX_MESSAGE_BYTES:
                raise ValueError("too long")
        line, _, self._received = self._received.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("no object")
        return message

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()
