"""How far a collection is, and people's decisions on its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from satchel.catalog.decisions import Choice
from satchel.collect.deciding import CandidateReview, SeenCandidate
from satchel.collect.records import Counts, State
from satchel.collect.sources import FILES
from satchel.collect.store import CandidateStore
from satchel.errors import CatalogueError
from satchel.files import is_locked
from satchel.workflows.collect import LOCK
from satchel.workspace import Workspace

CandidateChoice = Literal["accept", "reject", "move"]
_CHOICES = {"accept": Choice.KEEP, "reject": Choice.DROP, "move": Choice.MOVE}


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether something is collected now, and when something last was, in UTC without a zone."""

    running: bool
    last: datetime | None


@dataclass(frozen=True, slots=True)
class CandidatesDecided:
    """What a decision was on, as `undo` wants it.

    Attributes:
        decision: id of the one on photos; None where there were none.
        candidates: ids of those that had brought no photo.
    """

    decision: int | None
    candidates: tuple[int, ...]


def activity(workspace: Workspace) -> Activity:
    """Return whether something is collected, without counting anything."""
    store = CandidateStore(workspace.catalogue.engine)
    return Activity(is_locked(workspace.folder / FILES / LOCK), store.last_activity())


def total(counts: Sequence[Counts]) -> Counts:
    """Return the sums."""
    names = [one.name for one in fields(Counts)]
    return Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})


def decide(
    workspace: Workspace,
    choice: CandidateChoice,
    ids: Sequence[int],
    *,
    code: str | None = None,
    by: str | None = None,
) -> CandidatesDecided:
    """Accept, reject or move candidates.

    Photos that they brought are kept, dropped or moved as in the review, so that no run overrules
    it. What has brought no photo is fetched next, never fetched, or fetched next for the other
    code. A photo that two candidates brought is decided on once.

    Args:
        code: of the product that moved candidates show.
        by: who decides.

    Raises:
        CatalogueError: a candidate or the code does not exist, a candidate is to be moved to the
            code that it has, or its photo is being stored or was removed; nothing is decided then.
    """
    catalogue = workspace.catalogue
    review = CandidateReview(catalogue)
    seen = review.named(ids)
    for one in seen:
        _check(one, code if choice == "move" else None)
    if choice == "move" and not catalogue.has_product(code or ""):
        raise CatalogueError(
            f"no product has the code {code!r}; search the catalogue for a part of it"
        )
    links = list(dict.fromkeys(one.photo.link_id for one in seen if one.photo))
    others = tuple(one.id for one in seen if not one.photo)
    decision = None
    if links:
        decision = catalogue.review.decide(_CHOICES[choice], links, code=code, by=by).id
    if others and choice == "move":
        review.move(others, code or "", by)
    elif others:
        (review.accept if choice == "accept" else review.reject)(others, by)
    return CandidatesDecided(decision, others)


def _check(one: SeenCandidate, code: str | None) -> None:
    if code == one.code:
        raise CatalogueError(f"the photo belongs to {code!r} already; name another code")
    if one.photo is None and one.state in (State.STORED, State.DUPLICATE):
        raise CatalogueError(f"the photo of candidate {one.id} was removed: nothing to decide on")
    if one.state is State.FETCHED:
        raise CatalogueError(f"the photo of candidate {one.id} is being stored: try again soon")


def undo(
    workspace: Workspace,
    decision: int | None,
    candidates: Sequence[int],
    *,
    by: str | None = None,
) -> None:
    """Undo what `decide` did.

    Raises:
        CatalogueError: there is no such decision, it was undone before, or an accepted candidate
            was fetched since.
    """
    CandidateReview(workspace.catalogue).undo(candidates)
    if decision is not None:
        workspace.catalogue.review.undo(decision, by=by)
