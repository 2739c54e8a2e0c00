"""Whether the server can answer: what an identification and a decision need, one by one."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Final

from satchel.encode.card import read_card
from satchel.encode.registry import serving_card
from satchel.errors import DiskFull, IndexMissing, SatchelError, StorageError
from satchel.locate.registry import configured_locator
from satchel.photo_header import MEGABYTE
from satchel.web.problems import ReadyCheck, problem_of
from satchel.web.state import ServerState

FREE_BYTES: Final = 100 * MEGABYTE
"""Least free space: a decision, a rebuilt index and SQLite's log need some."""

LOCK_WAIT_MS: Final = 2_000
"""An import holds the lock for some tenths of a second at a time."""


def ready_checks(server: ServerState) -> list[ReadyCheck]:
    """Check everything that an answer needs; reasons are for strangers, the log has the rest."""
    return [_checked(name, check, server) for name, check in CHECKS.items()]


def _checked(name: str, check: Callable[[ServerState], object], server: ServerState) -> ReadyCheck:
    try:
        check(server)
    except (SatchelError, OSError) as error:
        logging.getLogger(__name__).warning("not ready: %s: %s", name, error)
        return ReadyCheck(name=name, ok=False, reason=problem_of(error).kind.title)
    return ReadyCheck(name=name, ok=True)


def _disk(server: ServerState) -> None:
    folder = server.workspace.folder
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise DiskFull(f"{folder} has {free // MEGABYTE:,} MB left; free some disk space")
    for path in (folder, folder / "photos", server.workspace.index_path.parent):
        if not os.access(path, os.W_OK):
            raise StorageError(f"{path} cannot be written to: its rights, or a read-only disk")


def _index(server: ServerState) -> None:
    if not server.indexed():
        raise IndexMissing("nothing is indexed; run satchel index")


CHECKS: Final[Mapping[str, Callable[[ServerState], object]]] = {
    "disk": _disk,
    "database": lambda server: server.workspace.catalogue.size(),
    "lock": lambda server: server.workspace.catalogue.take_lock(wait_ms=LOCK_WAIT_MS),
    "encoder": lambda server: read_card(serving_card(server.workspace.models)),
    "locator": lambda server: configured_locator(
        server.workspace.settings.locate, server.workspace.folder
    ),
    "index": _index,
}
