"""Candidates in the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, Update, and_, bindparam, func, or_, select, tuple_, update

from satchel.catalog.database import writing
from satchel.catalog.dialect import insert_or_ignore
from satchel.catalog.tables import PhotoSourceRow, ProductPhotoRow, ProductRow, now
from satchel.collect.records import (
    HAVE_PHOTO,
    Candidate,
    Change,
    Counts,
    Decision,
    Fate,
    Found,
    HostCount,
    ReasonCount,
    SourceCount,
    Spare,
    State,
)
from satchel.collect.tables import CandidateRow, SearchRow

PAGE: Final = 100
_CHANGE: Final = (
    update(CandidateRow)
    .where(CandidateRow.id == bindparam("row"))
    .where(CandidateRow.state != State.REJECTED)  # by a person while it was fetched
    .values(
        state=bindparam("state"),
        reason=bindparam("reason"),
        attempts=func.coalesce(bindparam("attempts"), CandidateRow.attempts),
        sha256=func.coalesce(bindparam("sha256"), CandidateRow.sha256),
        changed_at=bindparam("changed_at"),
    )
)
_CHOSEN: Final = func.coalesce(CandidateRow.decision, "") == Decision.ACCEPT
_SCORE: Final = (
    update(CandidateRow).where(CandidateRow.id == bindparam("row")).values(score=bindparam("score"))
)
_CHOOSE: Final = (
    update(CandidateRow)
    .where(CandidateRow.id == bindparam("row"))
    .where(or_(CandidateRow.state == State.WAITING, CandidateRow.state == State.SPARE), ~_CHOSEN)
    .values(state=bindparam("state"))
)
_COLUMNS: Final = tuple(getattr(CandidateRow, name) for name in Candidate.__dataclass_fields__)


class CandidateStore:
    """The table of candidates."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, found: Iterable[tuple[Found, str]], source: str, number: int = 1) -> None:
        """Add candidates with their hosts; those that are known stay as they are.

        Args:
            number: of the round of searches.
        """
        rows = [
            {
                "code": one.code,
                "url": one.url,
                "host": host,
                "source": source,
                "query": one.query,
                "rank": one.rank,
                "page": one.page,
                "license": one.license,
                "title": one.title,
                "thumbnail": one.thumbnail,
                "round": number,
                "state": State.WAITING,
            }
            for one, host in found
        ]
        if not rows:
            return
        with writing(self._engine) as connection:
            connection.execute(insert_or_ignore(CandidateRow), rows)
            connection.commit()

    def known(self, found: Collection[Found]) -> set[tuple[str, str]]:
        """Return codes and URLs of those found, some hundreds at most, that are candidates."""
        pairs = tuple_(CandidateRow.code, CandidateRow.url)
        chosen = select(CandidateRow.code, CandidateRow.url).where(
            pairs.in_([(one.code, one.url) for one in found])
        )
        with self._engine.connect() as connection:
            return {(row[0], row[1]) for row in connection.execute(chosen)}

    def without_photo(self, named: Collection[tuple[str, str]]) -> list[int]:
        """Return the ids of candidates, some hundreds at most, that have brought no photo.

        Args:
            named: their codes and URLs.
        """
        pairs = tuple_(CandidateRow.code, CandidateRow.url)
        chosen = select(CandidateRow.id).where(
            pairs.in_(list(named)), CandidateRow.state.not_in(HAVE_PHOTO)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(chosen))

    def waiting_hosts(self, *, chosen: bool = False) -> dict[str, int]:
        """Return how many candidates of each host wait; `chosen`: of those that people chose."""
        counted = (
            select(CandidateRow.host, func.count())
            .where(CandidateRow.state == State.WAITING)
            .group_by(CandidateRow.host)
        )
        if chosen:
            counted = counted.where(_CHOSEN)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}

    def waiting(self, host: str, *, chosen: bool = False) -> Iterator[list[Candidate]]:
        """Yield the candidates of a host that wait, each once, a page at a time.

        What people have chosen comes first, also what they choose while this runs.

        Args:
            chosen: nothing else.
        """
        wanted = (CandidateRow.state == State.WAITING, CandidateRow.host == host)
        after, yielded = 0, set[int]()
        while True:
            page = self._select(*wanted, _CHOSEN, limit=None)
            if yielded.issuperset(one.id for one in page):
                if chosen:
                    return
                page = self._select(*wanted, CandidateRow.id > after)
                if not page:
                    return
                after = page[-1].id
            if page := [one for one in page if one.id not in yielded]:
                yielded.update(one.id for one in page)
                yield page

    def fetched(self) -> list[Candidate]:
        """Return the next candidates that were fetched and not yet stored."""
        return self._select(CandidateRow.state == State.FETCHED)

    def _select(self, *wanted: Any, limit: int | None = PAGE) -> list[Candidate]:
        chosen = select(*_COLUMNS).where(*wanted).order_by(CandidateRow.id).limit(limit)
        with self._engine.connect() as connection:
            return [Candidate(*row) for row in connection.execute(chosen)]

    def change(self, changes: Sequence[Change]) -> None:
        """Change the states of candidates, all or none."""
        self._update(_CHANGE, [{"row": one.id, **_changed(one)} for one in changes])

    def retry_failed(self) -> int:
        """Let failed candidates wait again, and return how many."""
        again = update(CandidateRow).where(CandidateRow.state == State.FAILED)
        with writing(self._engine) as connection:
            count = connection.execute(
                again.values(state=State.WAITING, attempts=0, reason=None, changed_at=now())
            ).rowcount
            connection.commit()
        return count

    def count(self, state: State) -> int:
        """Count the candidates in a state."""
        chosen = select(func.count()).where(CandidateRow.state == state)
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def photos_of(self, code: str) -> int:
        """Count the photos that were collected for a product, or are about to be stored."""
        chosen = select(func.count()).where(
            CandidateRow.code == code, CandidateRow.state.in_((State.STORED, State.FETCHED))
        )
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def photos_from(self, sources: Sequence[str]) -> dict[str, int]:
        """Return the ids of the photos that received bytes became, by the bytes' SHA-256."""
        chosen = select(PhotoSourceRow.source_sha256, PhotoSourceRow.photo_id).where(
            PhotoSourceRow.source_sha256.in_(sources)
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(chosen)}

    def stored_before(self, fetched: Sequence[Candidate]) -> set[tuple[str, int]]:
        """Return codes and ids of photos that other candidates of these codes have brought."""
        chosen = (
            select(CandidateRow.code, PhotoSourceRow.photo_id)
            .join(PhotoSourceRow, PhotoSourceRow.source_sha256 == CandidateRow.sha256)
            .where(
                CandidateRow.code.in_({one.code for one in fetched}),
                CandidateRow.state == State.STORED,
            )
        )
        with self._engine.connect() as connection:
            return {(row[0], row[1]) for row in connection.execute(chosen)}

    def found_for(self, code: str, source: str, number: int) -> int:
        """Count the candidates of a product that a source was the first to name, in a round."""
        chosen = select(func.count()).where(
            CandidateRow.code == code, CandidateRow.source == source, CandidateRow.round == number
        )
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def spares(self, code: str) -> list[Spare]:
        """Return the candidates of a product that are not fetched yet and nobody chose."""
        columns = [getattr(CandidateRow, name) for name in Spare.__dataclass_fields__]
        chosen = (
            select(*columns)
            .where(CandidateRow.code == code)
            .where(CandidateRow.state.in_((State.WAITING, State.SPARE)), ~_CHOSEN)
            .order_by(CandidateRow.id)
        )
        with self._engine.connect() as connection:
            return [Spare(*row) for row in connection.execute(chosen)]

    def set_scores(self, scores: Mapping[int, float]) -> None:
        """Write the likeness of candidates to their products' photos."""
        rows = [{"row": one, "score": score} for one, score in scores.items()]
        self._update(_SCORE, rows)

    def choose(self, spares: Iterable[Spare], chosen: Collection[int]) -> None:
        """Let the chosen ones of these wait and the others be spare.

        What was decided on since they were read stays as people want it.
        """
        rows = [
            {"row": one.id, "state": State.WAITING if one.id in chosen else State.SPARE}
            for one in spares
        ]
        self._update(_CHOOSE, rows)

    def _update(self, statement: Update, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        with writing(self._engine) as connection:
            connection.execute(statement, rows)
            connection.commit()

    def fates(self) -> list[Fate]:
        """Return what curation made of the photos that candidates brought."""
        columns = ("code", "source", "query", "rank", "title", "round")
        chosen = (
            select(
                *(getattr(CandidateRow, name) for name in columns),
                ProductPhotoRow.state,
                ProductPhotoRow.reasons,
            )
            .join(PhotoSourceRow, PhotoSourceRow.source_sha256 == CandidateRow.sha256)
            .join(ProductRow, ProductRow.code == CandidateRow.code)
            .join(
                ProductPhotoRow,
                and_(
                    ProductPhotoRow.product_id == ProductRow.id,
                    ProductPhotoRow.photo_id == PhotoSourceRow.photo_id,
                ),
            )
            .where(CandidateRow.state == State.STORED)
            .order_by(CandidateRow.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(chosen).all()
        return [
            Fate(**{**row._mapping, "reasons": tuple(one["kind"] for one in row.reasons)})
            for row in rows
        ]

    def counts(self) -> list[HostCount]:
        """Count candidates by host, the host with the most first."""
        states = self._states(CandidateRow.host)
        counted = [HostCount(host=host, **_counts(of)) for (host,), of in states.items()]
        return sorted(counted, key=lambda one: (-one.found, one.host))

    def source_counts(self) -> list[SourceCount]:
        """Count candidates by product and source, in the order of their codes."""
        states = self._states(CandidateRow.code, CandidateRow.source)
        return [
            SourceCount(code=code, source=source, **_counts(of))
            for (code, source), of in sorted(states.items())
        ]

    def counts_by_source(self, codes: Collection[str] | None = None) -> dict[str, Counts]:
        """Count candidates by source, those found for some codes where these are given."""
        wanted = () if codes is None else (CandidateRow.code.in_(codes),)
        states = self._states(CandidateRow.source, wanted=wanted)
        return {source: Counts(**_counts(of)) for (source,), of in sorted(states.items())}

    def counts_by_product(self, after: str, limit: int) -> dict[str, Counts]:
        """Count the candidates of the next products, by codes above `after`, in order."""
        codes = select(CandidateRow.code).where(CandidateRow.code > after).distinct()
        some = codes.order_by(CandidateRow.code).limit(limit)
        with self._engine.connect() as connection:
            listed = connection.scalars(some).all()
        states = self._states(CandidateRow.code, wanted=(CandidateRow.code.in_(listed),))
        return {code: Counts(**_counts(states[code,])) for code in listed}

    def last_activity(self) -> datetime | None:
        """Return when something was last searched or fetched, or decided on a candidate."""
        searched = select(SearchRow.searched_at).order_by(SearchRow.id.desc()).limit(1)
        with self._engine.connect() as connection:
            times = (
                connection.scalar(select(func.max(CandidateRow.changed_at))),
                connection.scalar(searched),
            )
        return max((time for time in times if time is not None), default=None)

    def _states(self, *by: Any, wanted: Sequence[Any] = ()) -> dict[tuple[str, ...], Counter[str]]:
        """Count the states of the wanted candidates of each value of some columns."""
        chosen = select(*by, CandidateRow.state, func.count()).group_by(*by, CandidateRow.state)
        chosen = chosen.where(*wanted)
        found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        with self._engine.connect() as connection:
            for *key, state, count in connection.execute(chosen):
                found[tuple(key)][state] += count
        return found

    def reasons(self, most: int) -> list[ReasonCount]:
        """Return the most frequent reasons of refused and failed candidates."""
        count = func.count()
        chosen = (
            select(CandidateRow.state, CandidateRow.reason, count, func.min(CandidateRow.url))
            .where(CandidateRow.state.in_((State.REFUSED, State.FAILED)))
            .group_by(CandidateRow.state, CandidateRow.reason)
            .order_by(count.desc(), CandidateRow.reason)
            .limit(most)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(chosen).all()
        return [ReasonCount(State(row[0]), row[1] or "", row[2], row[3]) for row in rows]


def _counts(states: Counter[str]) -> dict[str, int]:
    new, duplicate = states[State.STORED], states[State.DUPLICATE]
    return {
        "found": states.total(),
        "waiting": states[State.WAITING] + states[State.SPARE],
        "fetched": states[State.FETCHED] + new + duplicate,
        "refused": states[State.REFUSED] + states[State.REJECTED],
        "failed": states[State.FAILED],
        "new": new,
        "duplicate": duplicate,
    }


def _changed(one: Change) -> dict[str, Any]:
    return {
        "state": one.state,
        "reason": one.reason,
        "attempts": one.attempts,
        "sha256": one.sha256,
        "changed_at": now(),
    }
