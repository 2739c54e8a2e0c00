"""Groups of products that photos cannot tell apart: what was proposed, and what people decided.

A group is proposed by `satchel.lookalikes.groups`, and confirmed or rejected by a person, as a
whole or in part. A decision stays until it is undone: a later proposal holds confirmed groups
together and never brings rejected ones back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import LookAlikeGroupRow, LookAlikeMemberRow, ProductRow
from satchel.errors import CatalogueError, UsageError
from satchel.parallel import batched

AT_ONCE: Final = 500
"""Values in one statement, at most: SQLite allows 999 in its older versions."""


class GroupState(StrEnum):
    """What has become of a group."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Products that are thought to look alike.

    Attributes:
        products: database ids, ascending, two or more.
        likeness: least cosine of two members; see `satchel.lookalikes.groups`.
        photos: SHA-256 of the picture of each to look at first; None where any will do.
    """

    products: tuple[int, ...]
    likeness: float
    photos: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class LookAlikeGroup:
    """Products that look alike, or are thought to.

    Attributes:
        number: its name in the database, never given to another.
        products: database ids, ascending, at least two.
        codes: of the products, in the same order.
        likeness, photos: as in `Proposal`.
        by: who decided, where that was told.
        at: when, UTC, without a time zone.
    """

    number: int
    state: GroupState
    products: tuple[int, ...]
    codes: tuple[str, ...]
    likeness: float
    photos: tuple[str | None, ...]
    by: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What people said of look-alikes.

    Attributes:
        same: confirmed groups, as ids of their products; no two share one.
        different: pairs of ids, the smaller first, that must not come into one group.
    """

    same: tuple[tuple[int, ...], ...] = ()
    different: frozenset[tuple[int, int]] = frozenset()


class LookAlikeStore:
    """What proposing, deciding and identifying read and write of look-alikes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- asked ------------------------------------------------------------------------------

    def count(self, state: GroupState) -> int:
        """Count the groups in this state, as `in_state` gives them."""
        with self._engine.connect() as connection:
            return (
                connection.scalar(
                    select(func.count())
                    .select_from(LookAlikeGroupRow)
                    .where(LookAlikeGroupRow.state == state)
                    .where(LookAlikeGroupRow.id.not_in(_TAKEN_APART))
                )
                or 0
            )

    def group(self, number: int) -> LookAlikeGroup:
        """Return the group of this number.

        Raises:
            CatalogueError: there is none.
        """
        with self._engine.connect() as connection:
            return _group(connection, number)

    def in_state(
        self, state: GroupState, *, after: int = 0, limit: int | None = None
    ) -> list[LookAlikeGroup]:
        """Return groups in this state by number, from the first one beyond `after` on.

        What was rejected only because a part of it was confirmed is not among the rejected.
        """
        chosen = (
            select(LookAlikeGroupRow.id)
            .where(LookAlikeGroupRow.state == state, LookAlikeGroupRow.id > after)
            .where(LookAlikeGroupRow.id.not_in(_TAKEN_APART))
            .order_by(LookAlikeGroupRow.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return _groups(connection, list(connection.scalars(chosen)))

    def decisions(self, *, limit: int = 50) -> list[LookAlikeGroup]:
        """Return what was decided last, the latest first."""
        chosen = (
            select(LookAlikeGroupRow.id)
            .where(
                LookAlikeGroupRow.decided_at.is_not(None), LookAlikeGroupRow.id.not_in(_TAKEN_APART)
            )
            .order_by(LookAlikeGroupRow.decided_at.desc(), LookAlikeGroupRow.id.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return _groups(connection, list(connection.scalars(chosen)))

    def of_products(
        self, products: Collection[int], states: Collection[GroupState]
    ) -> list[tuple[int, ...]]:
        """Return the groups in one of these states that hold one of these products.

        Returns:
            ids of their products, ascending; no two groups share a product, and a confirmed group
            goes before a proposed one.
        """
        with self._engine.connect() as connection:
            # In two steps: asked in one, SQLite goes through every group there is.
            rows = list(_members(connection, _groups_of(connection, list(products))))
        found: dict[tuple[bool, int], list[int]] = {}
        for number, state, product in rows:
            if state in states:
                found.setdefault((state != GroupState.CONFIRMED, number), []).append(product)
        order = sorted(found, key=lambda one: (one[0], -len(found[one]), one[1]))
        return _disjoint([tuple(sorted(found[one])) for one in order])

    def confirmed_of(self, code: str) -> tuple[int, ...]:
        """Return the ids of the confirmed group that holds this code; empty where there is none."""
        with self._engine.connect() as connection:
            product = connection.scalar(select(ProductRow.id).where(ProductRow.code == code))
        found = self.of_products([] if product is None else [product], [GroupState.CONFIRMED])
        return found[0] if found else ()

    def decided(self) -> Decided:
        """Return everything that people decided."""
        with self._engine.connect() as connection:
            return _decided(connection)

    # -- proposed and decided ---------------------------------------------------------------

    def propose(self, proposals: Iterable[Proposal]) -> None:
        """Let these groups be what is proposed, in place of what was.

        A group that was proposed before keeps its number; one that people have decided on meanwhile
        is passed over.
        """
        with writing(self._engine) as connection:
            before = {
                group.products: group.number
                for group in _groups(connection, _numbers(connection, GroupState.PROPOSED))
            }
            decided = _decided(connection)
            wanted = {one.products: one for one in proposals if _open(one.products, decided)}
            for number in (before[products] for products in before if products not in wanted):
                connection.execute(delete(LookAlikeGroupRow).where(LookAlikeGroupRow.id == number))
            for products, proposal in wanted.items():
                if products not in before:
                    _add(connection, proposal)
            connection.commit()

    def confirm(
        self, number: int, codes: Collection[str] | None = None, *, by: str | None = None
    ) -> int:
        """Say that a proposed group looks the same, or these codes of it do.

        Of a part that is confirmed, the rest is held to be different from it and from each other.

        Returns:
            number of the confirmed group.

        Raises:
            CatalogueError: there is no such group.
            UsageError: it is decided on already, fewer than two of its codes are named, others are,
                or one of them stands in another confirmed group, which would be torn apart.
        """
        with writing(self._engine) as connection:
            group = _proposed(connection, number)
            chosen = _chosen(group, codes)
            for other in _decided(connection).same:
                if set(other) & set(chosen) and not set(other) <= set(chosen):
                    raise UsageError(
                        "some of these codes stand in a confirmed group already, and not all of it "
                        "is among them; take the whole of it, or undo that decision first"
                    )
            if chosen == group.products:
                _decide(connection, number, GroupState.CONFIRMED, by)
                confirmed = number
            else:
                _decide(connection, number, GroupState.REJECTED, by)
                confirmed = _add(connection, _part(group, chosen), taken_from=number)
                _decide(connection, confirmed, GroupState.CONFIRMED, by)
            connection.commit()
            return confirmed

    def reject(self, number: int, *, by: str | None = None) -> None:
        """Say that a proposed group does not look the same: no two of it, unless confirmed before.

        Raises:
            CatalogueError: there is no such group.
            UsageError: it is decided on already.
        """
        with writing(self._engine) as connection:
            _proposed(connection, number)
            _decide(connection, number, GroupState.REJECTED, by)
            connection.commit()

    def undo(self, number: int) -> int:
        """Take a decision back: the group is proposed again, as it was.

        Returns:
            number of the group that is proposed; another one where a part of it had been confirmed.

        Raises:
            CatalogueError: there is no such group, or nothing was decided of it.
        """
        with writing(self._engine) as connection:
            row = connection.execute(
                select(LookAlikeGroupRow.__table__).where(LookAlikeGroupRow.id == number)
            ).one_or_none()
            if row is None or row.state == GroupState.PROPOSED:
                raise CatalogueError(f"there is no decision on group {number} that could be undone")
            whole = number if row.taken_from is None else row.taken_from
            connection.execute(
                delete(LookAlikeGroupRow).where(LookAlikeGroupRow.taken_from == whole)
            )
            connection.execute(
                update(LookAlikeGroupRow)
                .where(LookAlikeGroupRow.id == whole)
                .values(state=GroupState.PROPOSED, decided_by=None, decided_at=None)
            )
            connection.commit()
            return whole


_TAKEN_APART: Final = select(LookAlikeGroupRow.taken_from).where(
    LookAlikeGroupRow.taken_from.is_not(None)
)
"""Numbers of groups of which a part was confirmed."""


# -- inside a transaction -------------------------------------------------------------------


def _numbers(connection: Connection, state: GroupState) -> list[int]:
    return list(
        connection.scalars(select(LookAlikeGroupRow.id).where(LookAlikeGroupRow.state == state))
    )


def _groups_of(connection: Connection, products: Sequence[int]) -> list[int]:
    """Numbers of the groups, in whatever state, that hold one of these products."""
    chosen, column = select(LookAlikeMemberRow.group_id), LookAlikeMemberRow.product_id
    some = (connection.scalars(chosen.where(column.in_(b))) for b in batched(products, AT_ONCE))
    return sorted({number for numbers in some for number in numbers})


def _members(connection: Connection, numbers: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Yield number, state and product of every member of these groups."""
    column = LookAlikeGroupRow.id
    chosen = select(column, LookAlikeGroupRow.state, LookAlikeMemberRow.product_id).join(
        LookAlikeMemberRow, LookAlikeMemberRow.group_id == column
    )
    for some in batched(numbers, AT_ONCE):
        for row in connection.execute(chosen.where(column.in_(some))):
            yield row.id, row.state, row.product_id


def _groups(connection: Connection, numbers: Sequence[int]) -> list[LookAlikeGroup]:
    """These groups, in this order; those that have lost all but one product are left out."""
    chosen = (
        select(
            LookAlikeGroupRow.__table__,
            ProductRow.id.label("product"),
            ProductRow.code,
            LookAlikeMemberRow.photo,
        )
        .join(LookAlikeMemberRow, LookAlikeMemberRow.group_id == LookAlikeGroupRow.id)
        .join(ProductRow, ProductRow.id == LookAlikeMemberRow.product_id)
        .order_by(ProductRow.id)
    )
    rows: dict[int, list[Any]] = {}
    for some in batched(numbers, AT_ONCE):
        for row in connection.execute(chosen.where(LookAlikeGroupRow.id.in_(some))):
            rows.setdefault(row.id, []).append(row)
    return [_read(rows[number]) for number in numbers if len(rows.get(number, ())) > 1]


def _read(rows: Sequence[Any]) -> LookAlikeGroup:
    return LookAlikeGroup(
        rows[0].id,
        GroupState(rows[0].state),
        tuple(row.product for row in rows),
        tuple(row.code for row in rows),
        rows[0].likeness,
        tuple(row.photo for row in rows),
        rows[0].decided_by,
        rows[0].decided_at,
    )


def _group(connection: Connection, number: int) -> LookAlikeGroup:
    found = _groups(connection, [number])
    if not found:
        raise CatalogueError(
            f"there is no group {number}; proposals are made anew by `satchel lookalikes`"
        )
    return found[0]


def _proposed(connection: Connection, number: int) -> LookAlikeGroup:
    group = _group(connection, number)
    if group.state is not GroupState.PROPOSED:
        raise UsageError(f"group {number} is {group.state} already; undo that first")
    return group


def _chosen(group: LookAlikeGroup, codes: Collection[str] | None) -> tuple[int, ...]:
    if codes is None:
        return group.products
    strangers = set(codes) - set(group.codes)
    chosen = tuple(
        product
        for product, code in zip(group.products, group.codes, strict=True)
        if code in set(codes)
    )
    if strangers or len(chosen) < 2:
        raise UsageError(
            f"expected two or more of {', '.join(group.codes)}; got {', '.join(codes) or 'none'}"
        )
    return chosen


def _part(group: LookAlikeGroup, chosen: tuple[int, ...]) -> Proposal:
    photos = dict(zip(group.products, group.photos, strict=True))
    return Proposal(chosen, group.likeness, tuple(photos[product] for product in chosen))


def _add(connection: Connection, group: Proposal, *, taken_from: int | None = None) -> int:
    key = connection.execute(
        insert(LookAlikeGroupRow).values(
            state=GroupState.PROPOSED, likeness=group.likeness, taken_from=taken_from
        )
    ).inserted_primary_key
    assert key is not None
    number = int(key[0])
    members = [
        {"group_id": number, "product_id": product, "photo": photo}
        for product, photo in zip(group.products, group.photos, strict=True)
    ]
    connection.execute(insert(LookAlikeMemberRow), members)
    return number


def _decide(connection: Connection, number: int, state: GroupState, by: str | None) -> None:
    connection.execute(
        update(LookAlikeGroupRow)
        .where(LookAlikeGroupRow.id == number)
        .values(state=state, decided_by=by, decided_at=datetime.now(UTC).replace(tzinfo=None))
    )


def _decided(connection: Connection) -> Decided:
    confirmed = _groups(connection, _numbers(connection, GroupState.CONFIRMED))
    same = _disjoint(sorted((group.products for group in confirmed), key=lambda ids: -len(ids)))
    home = {product: at for at, group in enumerate(same) for product in group}
    different = {
        (a, b)
        for group in _groups(connection, _numbers(connection, GroupState.REJECTED))
        for a, b in combinations(group.products, 2)
        if home.get(a, -1) != home.get(b, -2)
    }
    return Decided(tuple(sorted(same)), frozenset(different))


def _open(products: tuple[int, ...], decided: Decided) -> bool:
    """Whether people have left open if these products look the same."""
    return products not in decided.same and not any(
        pair in decided.different for pair in combinations(products, 2)
    )


def _disjoint(groups: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Those groups that share no product with an earlier one.

    A confirmed group that another one took in stays in the database, so that undoing leads back.
    """
    taken: set[int] = set()
    kept = []
    for group in groups:
        if taken.isdisjoint(group):
            kept.append(group)
            taken.update(group)
    return kept
