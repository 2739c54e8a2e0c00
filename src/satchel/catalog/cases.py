"""Cases in the database: answers on which a person chose, as they were reported.

A case stays readable when the catalogue changes: it holds candidates and confidences, not links to
products. Its photos are files (`satchel.catalog.case_photos`), and only where they were to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, delete, func, insert, or_, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import CaseRow, now
from satchel.errors import CatalogueError
from satchel.records import Box

PAGE: Final = 200


class CaseState(StrEnum):
    """What is known of a case."""

    OPEN = "open"
    """An expert was asked and has not answered."""
    NAMED = "named"
    """It is one product, as `Case.code` says."""
    NONE = "none"
    """It is none of the candidates."""


@dataclass(frozen=True, slots=True)
class CaseCandidate:
    """A candidate as it was shown.

    Attributes:
        title: brand, name, colour and size, as one line.
        photo: SHA-256 of the reference photo.
        confidence: as in `satchel.records.Candidate`.
    """

    code: str
    title: str
    photo: str
    confidence: float
    likely: bool


@dataclass(frozen=True, slots=True)
class CasePhoto:
    """A photo of the item: its name, and the box around the item."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, and what was chosen.

    Attributes:
        token: the case's id, which cannot be guessed.
        answer: token of the answer; each has one case at most.
        code: the right product's, where the state is `NAMED`.
        expert: whether an expert was asked.
        note, by: what a person wrote, and who; empty for none.
        verdict: value of the answer's `satchel.records.Verdict`.
        photo_bytes: of the photos that were kept; 0 where none was.
        at: when the choice was made first; UTC, without a time zone, as the next.
        changed_at: when it was made last.
    """

    token: str
    answer: str
    state: CaseState
    code: str | None
    expert: bool
    note: str
    by: str
    verdict: str
    candidates: tuple[CaseCandidate, ...]
    photos: tuple[CasePhoto, ...]
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    photo_bytes: int = 0
    at: datetime = field(default_factory=now)
    changed_at: datetime = field(default_factory=now)


class CaseStore:
    """Reads and writes cases."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, case: Case) -> None:
        """Store a case, in place of the one with its token."""
        with writing(self._engine) as connection:
            connection.execute(delete(CaseRow).where(CaseRow.token == case.token))
            connection.execute(insert(CaseRow).values(_columns(case)))
            connection.commit()

    def choose(self, token: str, code: str | None, *, note: str, by: str) -> Case:
        """Say of a case which product it is, or none of its candidates; return it.

        Raises:
            CatalogueError: there is no such case.
        """
        state = CaseState.NONE if code is None else CaseState.NAMED
        return self._update(token, state=state.value, code=code, note=note, by=by)

    def annotate(self, token: str, *, note: str, by: str) -> Case:
        """Write a note on a case; return it.

        Raises:
            CatalogueError: there is no such case.
        """
        return self._update(token, note=note, by=by)

    def remove(self, token: str) -> bool:
        """Delete a case; return whether it was there."""
        with writing(self._engine) as connection:
            found = connection.execute(delete(CaseRow).where(CaseRow.token == token)).rowcount
            connection.commit()
        return bool(found)

    def case(self, token: str) -> Case:
        """Return a case.

        Raises:
            CatalogueError: there is none.
        """
        found = self._first(CaseRow.token == token)
        if found is None:
            raise CatalogueError("there is no such case, or not any more")
        return found

    def of_answer(self, answer: str) -> Case | None:
        """Return the case of an answer; None where nothing was chosen yet."""
        return self._first(CaseRow.answer == answer)

    def count(self, state: CaseState | None = None) -> int:
        """Count the cases, or those in one state."""
        chosen = select(func.count()).select_from(CaseRow)
        if state:
            chosen = chosen.where(CaseRow.state == state.value)
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def photo_bytes(self) -> int:
        """Return the bytes of all photos that were kept."""
        with self._engine.connect() as connection:
            return connection.scalar(select(func.sum(CaseRow.photo_bytes))) or 0

    def recent(
        self,
        state: CaseState | None = None,
        *,
        query: str = "",
        offset: int = 0,
        limit: int = PAGE,
    ) -> list[Case]:
        """Return cases, the last one first.

        Args:
            query: a part of the code, the note or the name of who chose; empty for all.
        """
        chosen = select(CaseRow.__table__).order_by(CaseRow.at.desc(), CaseRow.id.desc())
        if state:
            chosen = chosen.where(CaseRow.state == state.value)
        if query:
            columns = (CaseRow.code, CaseRow.note, CaseRow.by)
            chosen = chosen.where(or_(*(one.icontains(query, autoescape=True) for one in columns)))
        with self._engine.connect() as connection:
            return [_case(row) for row in connection.execute(chosen.offset(offset).limit(limit))]

    def all(self, state: CaseState | None = None, *, query: str = "") -> Iterator[Case]:
        """Yield cases, the last one first; holds no transaction between pages."""
        offset = 0
        while page := self.recent(state, query=query, offset=offset):
            yield from page
            offset += len(page)

    def outdated(self, before: datetime, *, most: int) -> list[str]:
        """Return the tokens of the cases that are not to be kept any longer.

        Args:
            before: those that were last changed before this time.
            most: cases that are kept at most, those that were changed last.
        """
        old = select(CaseRow.token).where(CaseRow.changed_at < before)
        newest_first = (CaseRow.changed_at.desc(), CaseRow.id.desc())
        beyond = select(CaseRow.token).order_by(*newest_first).offset(most)
        with self._engine.connect() as connection:
            return list(dict.fromkeys([*connection.scalars(old), *connection.scalars(beyond)]))

    def _update(self, token: str, **values: Any) -> Case:
        changed = update(CaseRow).where(CaseRow.token == token).values(**values, changed_at=now())
        with writing(self._engine) as connection:
            connection.execute(changed)
            connection.commit()
        return self.case(token)

    def _first(self, is_it: ColumnElement[bool]) -> Case | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(CaseRow.__table__).where(is_it)).first()
        return None if row is None else _case(row)


def _columns(case: Case) -> dict[str, Any]:
    return {
        **{name: getattr(case, name) for name in _PLAIN},
        "state": case.state.value,
        "candidates": [asdict(one) for one in case.candidates],
        "photos": [{"name": one.name, "box": list(one.box.xyxy)} for one in case.photos],
        "filter": {name: list(values) for name, values in case.where.items()},
    }


def _case(row: Any) -> Case:
    return Case(
        **{name: getattr(row, name) for name in _PLAIN},
        state=CaseState(row.state),
        candidates=tuple(CaseCandidate(**one) for one in row.candidates),
        photos=tuple(CasePhoto(one["name"], Box(*one["box"])) for one in row.photos),
        where=row.filter,
    )


_PLAIN: Final = (
    "token",
    "answer",
    "code",
    "expert",
    "note",
    "by",
    "verdict",
    "photo_bytes",
    "at",
    "changed_at",
)
