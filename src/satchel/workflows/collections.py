"""How far a collection is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from satchel.collect.records import Counts
from satchel.collect.sources import FILES
from satchel.collect.store import CandidateStore
from satchel.files import is_locked
from satchel.workflows.collect import LOCK
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether something is collected now, and when something last was, in UTC without a zone."""

    running: bool
    last: datetime | None


def activity(workspace: Workspace) -> Activity:
    """Return whether something is collected, without counting anything."""
    store = CandidateStore(workspace.catalogue.engine)
    return Activity(is_locked(workspace.folder / FILES / LOCK), store.last_activity())


def total(counts: Sequence[Counts]) -> Counts:
    """Return the sums."""
    names = [one.name for one in fields(Counts)]
    return Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})
