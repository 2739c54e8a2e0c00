"""How often identification was right by the experts' decisions, week by week."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, Final

from sqlalchemy import Engine, select

from satchel.catalog.tables import now
from satchel.market.desk.records import OpinionKind
from satchel.market.desk.tables import OpinionRow
from satchel.market.listings.tables import ListingRow
from satchel.records import Verdict

READ_TOGETHER: Final = 1_000
MOST_SHOWN: Final = 20
TOP: Final = 5


@dataclass(frozen=True, slots=True)
class Week:
    """Decisions of one week.

    Attributes:
        monday: its first day, UTC.
        certified, rejected: decisions.
        compared: certified goods of which identification had said something.
        first, in_five: of these, how often its first candidate, or one of five, was certified.
        verdicts: of these, how often what it said of its candidates was true.
        corrected: certified as another product than the seller chose.
        seconds: median of an expert's time; None without decisions.
        hours: median from submission to decision; likewise.
    """

    monday: date
    certified: int
    rejected: int
    compared: int
    first: int
    in_five: int
    verdicts: int
    corrected: int
    seconds: float | None
    hours: float | None


@dataclass(frozen=True, slots=True)
class Missed:
    """A product that identification did not put first.

    Attributes:
        times: how often.
        of: how often it was certified at all.
        instead: what was first most often.
    """

    code: str
    times: int
    of: int
    instead: str | None


@dataclass(frozen=True, slots=True)
class Wanting:
    """A product that sellers proposed, since the catalogue does not have it."""

    brand: str
    name: str
    times: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What decisions say of identification.

    Attributes:
        weeks: the last one first.
        missed: the most often first.
        missing: likewise.
    """

    weeks: tuple[Week, ...]
    missed: tuple[Missed, ...]
    missing: tuple[Wanting, ...]


@dataclass(slots=True)
class _Tally:
    """Counts of one week, while decisions are read."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)

    def week(self, monday: date) -> Week:
        count = self.counts
        return Week(
            monday,
            certified=count["certified"],
            rejected=count["rejected"],
            compared=count["compared"],
            first=count["first"],
            in_five=count["in_five"],
            verdicts=count["verdicts"],
            corrected=count["corrected"],
            seconds=median(self.seconds) if self.seconds else None,
            hours=median(self.hours) if self.hours else None,
        )


def figures(engine: Engine, *, weeks: int = 12) -> Figures:
    """Count decisions of the last weeks, this one included."""
    this = _monday(now())
    since = this - timedelta(weeks=weeks - 1)
    tallies: defaultdict[date, _Tally] = defaultdict(_Tally)
    certified: Counter[str] = Counter()
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in _decisions(engine, datetime.combine(since, datetime.min.time())):
        tally = tallies[_monday(row.at)]
        tally.seconds.append(row.seconds)
        if row.submitted_at is not None:
            tally.hours.append((row.at - row.submitted_at).total_seconds() / 3600)
        if row.kind != OpinionKind.CERTIFY.value:
            tally.counts["rejected"] += 1
            continue
        tally.counts["certified"] += 1
        tally.counts["corrected"] += row.seller_code is not None and row.seller_code != row.code
        certified[row.code] += 1
        codes = _codes(row.machine)
        if codes:
            tally.counts.update(_judged(row.machine, codes, row.code))
            if codes[0] != row.code:
                wrong[row.code][codes[0]] += 1
    missed = [
        Missed(code, others.total(), certified[code], others.most_common(1)[0][0])
        for code, others in wrong.items()
    ]
    return Figures(
        tuple(tallies[monday].week(monday) for monday in sorted(tallies, reverse=True)),
        tuple(sorted(missed, key=lambda one: (-one.times, one.code))[:MOST_SHOWN]),
        _missing(engine),
    )


def _judged(machine: Mapping[str, Any], codes: Sequence[str], right: str) -> Counter[str]:
    """Whether what was said was right, as counts to add."""
    likely = max(1, int(machine.get("likely") or 1))
    verdict = machine.get("verdict")
    if verdict == Verdict.NOT_IN_CATALOGUE:
        is_true = False
    elif verdict in {Verdict.IDENTIFIED, Verdict.PROBABLE}:
        is_true = codes[0] == right
    elif verdict == Verdict.ONE_OF:
        is_true = right in codes[:likely]
    else:
        is_true = True  # "not clear" claims nothing
    return Counter(
        compared=1, first=codes[0] == right, in_five=right in codes[:TOP], verdicts=is_true
    )


def _codes(machine: Mapping[str, Any] | None) -> list[str]:
    return [one["code"] for one in (machine or {}).get("candidates", ())]


def _decisions(engine: Engine, since: datetime) -> Iterator[Any]:
    chosen = (
        select(
            OpinionRow.kind,
            OpinionRow.code,
            OpinionRow.seller_code,
            OpinionRow.machine,
            OpinionRow.seconds,
            OpinionRow.at,
            ListingRow.submitted_at,
        )
        .join(ListingRow, ListingRow.id == OpinionRow.listing_id)
        .where(OpinionRow.at >= since, OpinionRow.kind != OpinionKind.ASK_PHOTOS.value)
        .order_by(OpinionRow.id)
        .execution_options(yield_per=READ_TOGETHER)
    )
    with engine.connect() as connection:
        yield from connection.execute(chosen)


def _missing(engine: Engine) -> tuple[Wanting, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    with engine.connect() as connection:
        for proposed in connection.scalars(
            select(ListingRow.proposed).where(ListingRow.proposed.is_not(None))
        ):
            if proposed:
                counts[proposed.get("brand", ""), proposed.get("name", "")] += 1
    return tuple(Wanting(*key, times) for key, times in counts.most_common(MOST_SHOWN))


def _monday(at: datetime) -> date:
    return at.date() - timedelta(days=at.weekday())
