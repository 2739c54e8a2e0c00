"""What the server logs, on stderr: requests and errors, as lines for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from satchel.config import LogStyle

REQUESTS: Final = "satchel.requests"
SECURITY: Final = "satchel.security"
QUIET: Final = ("python_multipart", "PIL")
"""Loggers whose warnings are about what a client sent."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being answered; empty outside of one."""


def configure(style: LogStyle) -> None:
    """Log in this style from now on; for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(REQUESTS).setLevel(logging.WARNING if style == "errors" else logging.INFO)
    logging.getLogger(SECURITY).setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


class LineFormatter(logging.Formatter):
    """One line a record: time in UTC, level, message, request id; then a traceback, if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        parts = [_time(record), f"{record.levelname:7}", _printable(record.getMessage())]
        if identity := request_id.get():
            parts.append(f"[{identity}]")
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(LineFormatter):
    """One JSON object a line; a request's figures are keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identity := request_id.get():
            entry["request_id"] = identity
        entry |= getattr(record, "figures", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    """A text on one line, without characters that move a terminal's cursor."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
