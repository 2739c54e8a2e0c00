"""Candidates as people see them, and their decisions on those that have brought no photo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from sqlalchemy import Connection, delete, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import (
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
    now,
)
from satchel.collect.records import Decision, State
from satchel.collect.tables import CandidateRow
from satchel.errors import CatalogueError

SCHEMES: Final = ("http", "https")
GROUPS: Final[dict[str, tuple[State, ...]]] = {
    "fetched": (State.FETCHED, State.STORED, State.DUPLICATE),
    "waiting": (State.WAITING, State.SPARE),
    "refused": (State.REFUSED, State.FAILED, State.REJECTED),
}
"""What a list of candidates can be narrowed to."""
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
        """Return candidates found for a code, by id, from the first one beyond `after` on.

        Args:
            group: of `GROUPS`; default, all.
            source: that named them.
        """
        wanted = [CandidateRow.code == code, CandidateRow.id > after]
        if group is not None:
            wanted.append(CandidateRow.state.in_(GROUPS[group]))
        if source is not None:
            wanted.append(CandidateRow.source == source)
        return self._read(*wanted, limit=limit)

    def named(self, ids: Collection[int]) -> list[SeenCandidate]:
        """Return these candidates.

        Raises:
            CatalogueError: one of them is not there.
        """
        found = self._read(CandidateRow.id.in_(ids), limit=len(ids))
        if missing := set(ids) - {one.id for one in found}:
            raise CatalogueError(f"there is no candidate {min(missing)}; open the page again")
        return found

    def _read(self, *wanted: Any, limit: int) -> list[SeenCandidate]:
        chosen = select(CandidateRow.__table__).where(*wanted).order_by(CandidateRow.id)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.limit(limit)).all()
            codes = self._codes_today({row.code for row in rows})
            photos = _photos(connection, set(codes.values()), [row.sha256 for row in rows])
        return [_seen(row, codes[row.code], photos) for row in rows]

    def _codes_today(self, codes: Collection[str]) -> dict[str, str]:
        standing = self._catalogue.edits.standing()
        return {code: standing.current(code, self._catalogue.has_product)[0] for code in codes}

    # -- decisions --------------------------------------------------------------------------

    def accept(self, ids: Collection[int], by: str | None = None) -> None:
        """Let candidates be fetched next, whatever became of them so far."""
        with writing(self._engine) as connection:
            _decide(connection, ids, Decision.ACCEPT, State.WAITING, by)
            connection.commit()

    def reject(self, ids: Collection[int], by: str | None = None) -> None:
        """Let candidates never be fetched."""
        with writing(self._engine) as connection:
            _decide(connection, ids, Decision.REJECT, State.REJECTED, by)
            connection.commit()

    def move(self, ids: Collection[int], code: str, by: str | None = None) -> None:
        """Reject candidates here, and have them fetched next for another code."""
        with writing(self._engine) as connection:
            for row in connection.execute(_these(ids)).all():
                twin = connection.scalar(
                    select(CandidateRow.id).where(
                        CandidateRow.code == code, CandidateRow.url == row.url
                    )
                )
                if twin is None:
                    copied = {name: getattr(row, name) for name in _COPIED}
                    made = {"code": code, "round": row.round, "state": State.WAITING}
                    decided = {"decision": Decision.ACCEPT, "decided_by": by}
                    connection.execute(insert(CandidateRow).values(**copied, **made, **decided))
            _decide(connection, ids, Decision.REJECT, State.REJECTED, by, moved_to=code)
            connection.commit()

    def undo(self, ids: Collection[int]) -> None:
        """Restore what was before the last decision on each of these; others stay as they are.

        What a move made for another code is deleted, unless it was fetched or decided on since.
        """
        with writing(self._engine) as connection:
            for row in connection.execute(_these(ids)).all():
                if row.decision is None or row.state_before is None:
                    continue
                if row.decision == Decision.ACCEPT and row.state != State.WAITING:
                    raise CatalogueError(
                        f"candidate {row.id} was fetched since it was accepted; decide on its photo"
                    )
                if row.moved_to is not None:
                    connection.execute(
                        delete(CandidateRow).where(
                            CandidateRow.code == row.moved_to,
                            CandidateRow.url == row.url,
                            CandidateRow.state == State.WAITING,
                            CandidateRow.decision == Decision.ACCEPT,
                            CandidateRow.state_before.is_(None),
                        )
                    )
                before = {"state": row.state_before, "reason": row.reason_before}
                blank = ("decision", "decided_by", "moved_to", "state_before", "reason_before")
                connection.execute(
                    update(CandidateRow)
                    .where(CandidateRow.id == row.id)
                    .values(**before, **dict.fromkeys(blank), changed_at=now())
                )
            connection.commit()


def _these(ids: Collection[int]) -> Any:
    return select(CandidateRow.__table__).where(CandidateRow.id.in_(ids)).order_by(CandidateRow.id)


def _decide(
    connection: Connection,
    ids: Collection[int],
    decision: Decision,
    state: State,
    by: str | None,
    *,
    moved_to: str | None = None,
) -> None:
    connection.execute(
        update(CandidateRow)
        .where(CandidateRow.id.in_(ids))
        .values(
            state_before=CandidateRow.state,
            reason_before=CandidateRow.reason,
            state=state,
            reason=None,
            attempts=0,
            decision=decision,
            decided_by=by,
            moved_to=moved_to,
            changed_at=now(),
        )
    )


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
