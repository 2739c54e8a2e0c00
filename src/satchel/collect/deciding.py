"""Candidates as people see them, and their decisions on them, each undone as a whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from sqlalchemy import Connection, delete, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.decisions import CANDIDATE_CHOICES, Choice, mark_undone, record, take_back
from satchel.catalog.review import decide_on_photos, undo_on_photos
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import (
    DecisionRow,
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
    now,
)
from satchel.collect.records import HAVE_PHOTO, CandidateChoice, Decision, State
from satchel.collect.tables import CandidateDecisionRow, CandidateRow
from satchel.errors import CatalogueError

SCHEMES: Final = ("http", "https")
GROUPS: Final[dict[str, tuple[State, ...]]] = {
    "fetched": HAVE_PHOTO,
    "waiting": (State.WAITING, State.SPARE),
    "refused": (State.REFUSED, State.FAILED, State.REJECTED),
}
"""What a list of candidates can be narrowed to."""
_ON_PHOTOS: Final[dict[CandidateChoice, Choice]] = {
    "accept": Choice.KEEP,
    "reject": Choice.DROP,
    "move": Choice.MOVE,
}
_COPIED: Final = ("url", "host", "source", "query", "rank", "page", "license", "title", "thumbnail")


@dataclass(frozen=True, slots=True)
class BroughtPhoto:
    """The product's photo that a candidate brought, or that it had already; as in the review."""

    link_id: int
    sha256: str
    state: str
    reasons: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SeenCandidate:
    """A candidate, as people see it.

    Attributes:
        code: of the product today.
        source, query, rank: what named it; see `CandidateRow`.
        link: page that shows the photo, or the photo's URL; None where neither is on the web.
        reason: why it was refused or failed.
        photo: None where it has brought none, or the product no longer has it.
    """

    id: int
    code: str
    url: str
    host: str
    source: str
    query: str | None
    rank: int | None
    title: str | None
    link: str | None
    state: State
    reason: str | None
    decision: Decision | None
    decided_by: str | None
    photo: BroughtPhoto | None


class CandidateReview:
    """The table of candidates, for those who look at them and decide."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue, self._engine = catalogue, catalogue.engine

    def of_product(
        self,
        code: str,
        *,
        group: str | None = None,
        source: str | None = None,
        after: int = 0,
        limit: int,
    ) -> list[SeenCandidate]:
        """Return candidates of a product, by id, from the first one beyond `after` on.

        Those that were found under its former codes are among them.

        Args:
            group: of `GROUPS`; default, all.
            source: that named them.
        """
        wanted = [CandidateRow.code.in_(self.codes_of(code)), CandidateRow.id > after]
        if group is not None:
            wanted.append(CandidateRow.state.in_(GROUPS[group]))
        if source is not None:
            wanted.append(CandidateRow.source == source)
        with self._engine.connect() as connection:
            return self._read(connection, *wanted, limit=limit)

    def codes_of(self, code: str) -> list[str]:
        """Return the codes under which candidates of a product were found."""
        return self._catalogue.edits.standing().former(code, self._catalogue.has_product)

    def _named(self, connection: Connection, ids: Collection[int]) -> list[SeenCandidate]:
        found = self._read(connection, CandidateRow.id.in_(ids), limit=len(ids))
        if missing := set(ids) - {one.id for one in found}:
            raise CatalogueError(f"there is no candidate {min(missing)}; open the page again")
        return found

    def _read(self, connection: Connection, *wanted: Any, limit: int) -> list[SeenCandidate]:
        chosen = select(CandidateRow.__table__).where(*wanted).order_by(CandidateRow.id)
        rows = connection.execute(chosen.limit(limit)).all()
        codes = self._codes_today({row.code for row in rows})
        photos = _photos(connection, set(codes.values()), [row.sha256 for row in rows])
        return [_seen(row, codes[row.code], photos) for row in rows]

    def _codes_today(self, codes: Collection[str]) -> dict[str, str]:
        standing = self._catalogue.edits.standing()
        return {code: standing.current(code, self._catalogue.has_product)[0] for code in codes}

    # -- decisions --------------------------------------------------------------------------

    def decide(
        self,
        choice: CandidateChoice,
        ids: Collection[int],
        *,
        code: str | None = None,
        by: str | None = None,
    ) -> list[int]:
        """Accept, reject or move candidates: all of them, or none.

        Photos that they brought are kept, dropped or moved as in the review, so that no run
        overrules it. What has brought no photo is fetched next, never fetched, or rejected here
        and fetched next for the other code, unless its photo was fetched for that one already. A
        photo that two candidates brought is decided on once.

        Args:
            code: of the product that moved candidates show.
            by: who decides.

        Returns:
            ids of decisions in the ledger, as `undo` wants them: on photos, and on the others.

        Raises:
            CatalogueError: a candidate or the code does not exist, a candidate is to be moved to
                the code that it has, or its photo is being stored or was removed.
        """
        with writing(self._engine) as connection:
            seen = self._named(connection, ids)
            _check(connection, seen, code if choice == "move" else None)
            links = list(dict.fromkeys(one.photo.link_id for one in seen if one.photo))
            without = [one.id for one in seen if not one.photo]
            decisions = []
            if links:
                on_photos = decide_on_photos(
                    connection, _ON_PHOTOS[choice], links, code=code, by=by
                )
                decisions.append(on_photos)
            if without:
                decisions.append(_decide(connection, choice, without, code or "", by))
            connection.commit()
        return decisions

    def undo(self, decisions: Collection[int], *, by: str | None = None) -> None:
        """Undo decisions: what they were on is again as it was before them.

        A candidate on which there is a later decision keeps that one.

        Raises:
            CatalogueError: there is no such decision, it was undone before, or a candidate was
                fetched since; nothing is undone then.
        """
        with writing(self._engine) as connection:
            for decision in sorted(decisions, reverse=True):
                kind = connection.scalar(select(DecisionRow.kind).where(DecisionRow.id == decision))
                if kind == Choice.CANDIDATES:
                    _undo(connection, decision, by)
                else:
                    undo_on_photos(connection, decision, by)
            connection.commit()


# -- inside a transaction -------------------------------------------------------------------------


def _check(connection: Connection, seen: Sequence[SeenCandidate], code: str | None) -> None:
    """Check that candidates can be decided on, or moved to a code."""
    for one in seen:
        if code == one.code:
            raise CatalogueError(f"the photo belongs to {code!r} already; name another code")
        if one.photo is None and one.state in (State.STORED, State.DUPLICATE):
            raise CatalogueError(
                f"the photo of candidate {one.id} was removed: nothing to decide on"
            )
        if one.state is State.FETCHED:
            raise CatalogueError(f"the photo of candidate {one.id} is being stored: try again soon")
    known = select(ProductRow.id).where(ProductRow.code == code)
    if code is not None and connection.scalar(known) is None:
        raise CatalogueError(
            f"no product has the code {code!r}; search the catalogue for a part of it"
        )


def _decide(
    connection: Connection, choice: CandidateChoice, ids: Collection[int], code: str, by: str | None
) -> int:
    """Decide on candidates that have brought no photo."""
    decision = record(connection, Choice.CANDIDATES, (), by=by, why=None)
    these = select(CandidateRow.__table__).where(CandidateRow.id.in_(ids)).order_by(CandidateRow.id)
    for row in connection.execute(these).all():
        if choice == "move":
            _accept_for(connection, decision, row, code, by)
        _set(
            connection,
            decision,
            row,
            Decision.ACCEPT if choice == "accept" else Decision.REJECT,
            by,
        )
    return decision


def _accept_for(connection: Connection, decision: int, row: Any, code: str, by: str | None) -> None:
    """Accept a candidate's URL for another code, of which it may be a candidate already."""
    twin = connection.execute(
        select(CandidateRow.__table__).where(CandidateRow.code == code, CandidateRow.url == row.url)
    ).one_or_none()
    if twin is None:
        copied = {name: getattr(row, name) for name in _COPIED}
        made = {"code": code, "round": row.round, "state": State.WAITING}
        decided = {"decision": Decision.ACCEPT, "decided_by": by}
        number = inserted_id(connection, insert(CandidateRow).values(**copied, **made, **decided))
        about = {"decision_id": decision, "candidate_id": number}
        connection.execute(insert(CandidateDecisionRow).values(**about))
    elif twin.state not in HAVE_PHOTO:
        _set(connection, decision, twin, Decision.ACCEPT, by)


def _set(
    connection: Connection, decision: int, row: Any, decided: Decision, by: str | None
) -> None:
    """Let a candidate be fetched next, or never, and keep what was before."""
    connection.execute(
        insert(CandidateDecisionRow).values(
            decision_id=decision,
            candidate_id=row.id,
            state_before=row.state,
            reason_before=row.reason,
            decision_before=row.decision,
            decided_by_before=row.decided_by,
        )
    )
    state = State.WAITING if decided is Decision.ACCEPT else State.REJECTED
    values = {"state": state, "reason": None, "attempts": 0, "decision": decided, "decided_by": by}
    _write(connection, row.id, values)


def _undo(connection: Connection, decision: int, by: str | None) -> None:
    mark_undone(connection, decision, CANDIDATE_CHOICES, by)
    rows = connection.execute(
        select(CandidateDecisionRow.__table__)
        .where(CandidateDecisionRow.decision_id == decision)
        .order_by(CandidateDecisionRow.id.desc())
    ).all()
    for row in rows:
        _restore(connection, row)


def _restore(connection: Connection, row: Any) -> None:
    """Restore what was before a decision on a candidate, unless there is a later one on it."""
    before = take_back(connection, CandidateDecisionRow, row, ("candidate_id",))
    if before is None:
        return
    this = CandidateRow.id == row.candidate_id
    if connection.scalar(select(CandidateRow.state).where(this)) in HAVE_PHOTO:
        raise CatalogueError(
            f"candidate {row.candidate_id} was fetched since it was accepted; decide on its photo"
        )
    if before["state"] is None:
        connection.execute(delete(CandidateRow).where(this))
    else:
        _write(connection, row.candidate_id, before)


def _write(connection: Connection, candidate: int, values: Mapping[str, Any]) -> None:
    row = update(CandidateRow).where(CandidateRow.id == candidate)
    connection.execute(row.values(**values, changed_at=now()))


def _photos(
    connection: Connection, codes: Collection[str], received: Sequence[str | None]
) -> dict[tuple[str, str], BroughtPhoto]:
    """Return the photos that received bytes became, by the product's code and their SHA-256."""
    chosen = (
        select(
            ProductRow.code,
            PhotoSourceRow.source_sha256,
            ProductPhotoRow.id,
            PhotoRow.sha256,
            ProductPhotoRow.state,
            ProductPhotoRow.reasons,
        )
        .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
        .join(PhotoSourceRow, PhotoSourceRow.photo_id == PhotoRow.id)
        .where(ProductRow.code.in_(codes))
        .where(PhotoSourceRow.source_sha256.in_([one for one in received if one]))
    )
    return {
        (code, source): BroughtPhoto(link, sha256, state, tuple(reasons))
        for code, source, link, sha256, state, reasons in connection.execute(chosen)
    }


def _seen(row: Any, code: str, photos: dict[tuple[str, str], BroughtPhoto]) -> SeenCandidate:
    return SeenCandidate(
        id=row.id,
        code=code,
        url=row.url,
        host=row.host,
        source=row.source,
        query=row.query,
        rank=row.rank,
        title=row.title,
        link=next((one for one in (row.page, row.url) if _on_the_web(one)), None),
        state=State(row.state),
        reason=row.reason,
        decision=Decision(row.decision) if row.decision else None,
        decided_by=row.decided_by,
        photo=photos.get((code, row.sha256))
        if row.state in (State.STORED, State.DUPLICATE)
        else None,
    )


def _on_the_web(address: str | None) -> bool:
    """Whether it may be a link: lists can name any scheme."""
    try:
        return address is not None and httpx2.URL(address).scheme in SCHEMES
    except httpx2.InvalidURL:
        return False
