"""Background rebuild of the index after decisions, debounced."""

from __future__ import annotations

import logging
from threading import Lock, Timer
from typing import Final

from satchel.errors import SatchelError
from satchel.workflows.edit import refresh_index
from satchel.workspace import Workspace

QUIET_S: Final = 2.0
"""Seconds without a decision before the index is rebuilt: a reviewer decides once a second."""

log = logging.getLogger(__name__)


class Reindexing:
    """Rebuilds the index on request, at most every `quiet_s` seconds, one rebuild at a time."""

    def __init__(self, workspace: Workspace, *, quiet_s: float = QUIET_S) -> None:
        self._workspace = workspace
        self._quiet_s = quiet_s
        self._timer: Timer | None = None
        self._changing = Lock()
        self._building = Lock()

    def soon(self) -> None:
        """Rebuild once there was no request for `quiet_s`."""
        with self._changing:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = Timer(self._quiet_s, self._rebuild)
            self._timer.daemon = True
            self._timer.start()

    def finish(self) -> None:
        """Rebuild now if a rebuild is due, and wait for one in progress."""
        with self._changing:
            waiting, self._timer = self._timer, None
        if waiting is not None:
            waiting.cancel()
            self._rebuild()

    def _rebuild(self) -> None:
        with self._building:
            workspace = self._workspace
            try:
                refresh_index(workspace)
            except (SatchelError, OSError) as error:
                # The decision is kept; `satchel index` or the next decision tries again.
                log.warning("the index could not be rebuilt after a decision: %s", error)
