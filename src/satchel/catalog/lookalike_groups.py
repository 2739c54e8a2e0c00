"""Groups of look-alikes: the records, and reading and writing them inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from satchel.catalog.database import inserted_id
from satchel.catalog.dialect import MAX_PARAMETERS
from satchel.catalog.tables import DecisionRow, LookAlikeGroupRow, LookAlikeMemberRow, ProductRow
from satchel.errors import CatalogueError
from satchel.parallel import batched


class GroupState(StrEnum):
    """State of a group."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Products that the model proposes as look-alikes.

    Attributes:
        products: database ids, ascending, two or more.
        likeness: least cosine of two members; see `satchel.lookalikes.groups`.
        photos: SHA-256 of the photo of each to show first; None where any will do.
    """

    products: tuple[int, ...]
    likeness: float
    photos: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class LookAlikeGroup:
    """A group of look-alikes, proposed or decided on.

    Attributes:
        number: its id, never given to another group.
        products: database ids, ascending, at least two.
        codes: of the products, in the same order.
        likeness, photos: as in `Proposal`.
        by: who decided; None where nobody did, or did not say.
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
    """All standing decisions on look-alikes.

    Attributes:
        same: confirmed groups, as ids of their products; no two share one.
        different: pairs of ids, the smaller first, that must not come into one group.
    """

    same: tuple[tuple[int, ...], ...] = ()
    different: frozenset[tuple[int, int]] = frozenset()

    def leaves_open(self, products: tuple[int, ...]) -> bool:
        """Whether nobody decided if these products look the same."""
        return products not in self.same and not any(
            pair in self.different for pair in combinations(products, 2)
        )


def numbers_in(connection: Connection, state: GroupState) -> list[int]:
    """Return the numbers of the groups in this state."""
    return list(
        connection.scalars(select(LookAlikeGroupRow.id).where(LookAlikeGroupRow.state == state))
    )


def numbers_of(connection: Connection, products: Sequence[int]) -> list[int]:
    """Return the numbers of the groups, in any state, that hold one of these products."""
    chosen, column = select(LookAlikeMemberRow.group_id), LookAlikeMemberRow.product_id
    found = (
        connection.scalars(chosen.where(column.in_(some)))
        for some in batched(products, MAX_PARAMETERS)
    )
    return sorted({number for numbers in found for number in numbers})


def read_members(connection: Connection, numbers: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Yield number, state and product of every member of these groups."""
    column = LookAlikeGroupRow.id
    chosen = select(column, LookAlikeGroupRow.state, LookAlikeMemberRow.product_id).join(
        LookAlikeMemberRow, LookAlikeMemberRow.group_id == column
    )
    for some in batched(numbers, MAX_PARAMETERS):
        for row in connection.execute(chosen.where(column.in_(some))):
            yield row.id, row.state, row.product_id


def read_groups(connection: Connection, numbers: Sequence[int]) -> list[LookAlikeGroup]:
    """Return these groups, in this order, without those that have lost all but one product."""
    standing = and_(DecisionRow.group_id == LookAlikeGroupRow.id, DecisionRow.undone_at.is_(None))
    chosen = (
        select(
            LookAlikeGroupRow.__table__,
            ProductRow.id.label("product"),
            ProductRow.code,
            LookAlikeMemberRow.photo,
            DecisionRow.decided_by,
            DecisionRow.decided_at,
        )
        .join(LookAlikeMemberRow, LookAlikeMemberRow.group_id == LookAlikeGroupRow.id)
        .join(ProductRow, ProductRow.id == LookAlikeMemberRow.product_id)
        .outerjoin(DecisionRow, standing)
        .order_by(ProductRow.id)
    )
    rows: dict[int, list[Any]] = {}
    for some in batched(numbers, MAX_PARAMETERS):
        for row in connection.execute(chosen.where(LookAlikeGroupRow.id.in_(some))):
            rows.setdefault(row.id, []).append(row)
    return [_group(rows[number]) for number in numbers if len(rows.get(number, ())) > 1]


def _group(rows: Sequence[Any]) -> LookAlikeGroup:
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


def read_group(connection: Connection, number: int) -> LookAlikeGroup:
    """Return the group of this number.

    Raises:
        CatalogueError: there is none.
    """
    found = read_groups(connection, [number])
    if not found:
        raise CatalogueError(
            f"there is no group {number}; proposals are made anew by `satchel lookalikes`"
        )
    return found[0]


def read_decided(connection: Connection) -> Decided:
    """Return all standing decisions."""
    confirmed = read_groups(connection, numbers_in(connection, GroupState.CONFIRMED))
    same = disjoint(sorted((group.products for group in confirmed), key=lambda ids: -len(ids)))
    home = {product: at for at, group in enumerate(same) for product in group}
    different = {
        (a, b)
        for group in read_groups(connection, numbers_in(connection, GroupState.REJECTED))
        for a, b in combinations(group.products, 2)
        if home.get(a, -1) != home.get(b, -2)
    }
    return Decided(tuple(sorted(same)), frozenset(different))


def add_group(connection: Connection, group: Proposal, *, taken_from: int | None = None) -> int:
    """Insert a proposed group and return its number."""
    number = inserted_id(
        connection,
        insert(LookAlikeGroupRow).values(
            state=GroupState.PROPOSED, likeness=group.likeness, taken_from=taken_from
        ),
    )
    members = [
        {"group_id": number, "product_id": product, "photo": photo}
        for product, photo in zip(group.products, group.photos, strict=True)
    ]
    connection.execute(insert(LookAlikeMemberRow), members)
    return number


def set_group_state(connection: Connection, number: int, state: GroupState) -> None:
    """Set the state of a group."""
    connection.execute(
        update(LookAlikeGroupRow).where(LookAlikeGroupRow.id == number).values(state=state)
    )


def disjoint(groups: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return those groups that share no product with an earlier one.

    A confirmed group that a larger one took in stays in the database, so that it is in force
    again when the larger one is undone.
    """
    taken: set[int] = set()
    kept = []
    for group in groups:
        if taken.isdisjoint(group):
            kept.append(group)
            taken.update(group)
    return kept
