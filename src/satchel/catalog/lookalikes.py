"""Look-alikes in the database: proposals, queries, and people's decisions on groups.

A group is proposed by `satchel.lookalikes.groups`, and confirmed or rejected by a person, as a
whole or in part. A decision is in force until it is undone: a later proposal keeps confirmed groups
together and never proposes rejected ones again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select, update

from satchel.catalog.database import writing
from satchel.catalog.decisions import (
    GROUP_CHOICES,
    Choice,
    Decision,
    Decisions,
    mark_undone,
    read_decision,
    record,
)
from satchel.catalog.lookalike_groups import (
    Decided,
    GroupState,
    LookAlikeGroup,
    Proposal,
    add_group,
    disjoint,
    numbers_in,
    numbers_of,
    read_decided,
    read_group,
    read_groups,
    read_members,
    set_group_state,
)
from satchel.catalog.tables import (
    DecisionRow,
    LookAlikeGroupRow,
    LookAlikeMemberRow,
    ProductRow,
)
from satchel.errors import CatalogueError, UsageError

_TAKEN_APART: Final = select(LookAlikeGroupRow.taken_from).where(
    LookAlikeGroupRow.taken_from.is_not(None)
)
"""Numbers of groups of which a part was confirmed."""

_SEVERAL: Final = (
    select(LookAlikeMemberRow.group_id)
    .group_by(LookAlikeMemberRow.group_id)
    .having(func.count() > 1)
)
"""Numbers of groups that have not lost all but one product: others were deleted or merged."""


class LookAlikeStore(Decisions):
    """Queries of groups, proposals of them, and decisions on them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, GROUP_CHOICES)

    # -- queries ----------------------------------------------------------------------------

    def count(self, state: GroupState) -> int:
        """Count the groups in this state, as `in_state` gives them."""
        chosen = (
            select(func.count())
            .select_from(LookAlikeGroupRow)
            .where(LookAlikeGroupRow.state == state)
            .where(LookAlikeGroupRow.id.not_in(_TAKEN_APART), LookAlikeGroupRow.id.in_(_SEVERAL))
        )
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def group(self, number: int) -> LookAlikeGroup:
        """Return the group of this number.

        Raises:
            CatalogueError: there is none.
        """
        with self._engine.connect() as connection:
            return read_group(connection, number)

    def in_state(
        self, state: GroupState, *, after: int = 0, limit: int | None = None
    ) -> list[LookAlikeGroup]:
        """Return groups in this state by number, from the first one beyond `after` on.

        A group of which a part was confirmed is not among the rejected.
        """
        chosen = (
            select(LookAlikeGroupRow.id)
            .where(LookAlikeGroupRow.state == state, LookAlikeGroupRow.id > after)
            .where(LookAlikeGroupRow.id.not_in(_TAKEN_APART), LookAlikeGroupRow.id.in_(_SEVERAL))
            .order_by(LookAlikeGroupRow.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return read_groups(connection, list(connection.scalars(chosen)))

    def of_products(
        self, products: Collection[int], states: Collection[GroupState]
    ) -> list[tuple[int, ...]]:
        """Return the groups in one of these states that hold one of these products.

        Returns:
            ids of their products, ascending; no two groups share a product, and a confirmed group
            precedes a proposed one.
        """
        with self._engine.connect() as connection:
            # In two steps: in one query, SQLite scans every group.
            rows = list(read_members(connection, numbers_of(connection, list(products))))
        found: dict[tuple[bool, int], list[int]] = {}
        for number, state, product in rows:
            if state in states:
                found.setdefault((state != GroupState.CONFIRMED, number), []).append(product)
        several = [one for one in found if len(found[one]) > 1]  # others were deleted
        order = sorted(several, key=lambda one: (one[0], -len(found[one]), one[1]))
        return disjoint([tuple(sorted(found[one])) for one in order])

    def confirmed_of(self, code: str) -> tuple[int, ...]:
        """Return the ids of the confirmed group that holds this code; empty where there is none."""
        with self._engine.connect() as connection:
            product = connection.scalar(select(ProductRow.id).where(ProductRow.code == code))
        found = self.of_products([] if product is None else [product], [GroupState.CONFIRMED])
        return found[0] if found else ()

    def decided(self) -> Decided:
        """Return all standing decisions."""
        with self._engine.connect() as connection:
            return read_decided(connection)

    # -- proposals --------------------------------------------------------------------------

    def propose(self, proposals: Iterable[Proposal]) -> None:
        """Replace the proposed groups by these.

        A group that was proposed before keeps its number; one that is decided is left
        out.
        """
        with writing(self._engine) as connection:
            before = {
                group.products: group.number
                for group in read_groups(connection, numbers_in(connection, GroupState.PROPOSED))
            }
            decided = read_decided(connection)
            wanted = {one.products: one for one in proposals if decided.leaves_open(one.products)}
            for number in (before[products] for products in before if products not in wanted):
                connection.execute(delete(LookAlikeGroupRow).where(LookAlikeGroupRow.id == number))
            for products, proposal in wanted.items():
                if products not in before:
                    add_group(connection, proposal)
            connection.commit()

    # -- decisions --------------------------------------------------------------------------

    def decide(
        self,
        choice: Choice,
        number: int,
        codes: Collection[str] | None = None,
        *,
        by: str | None = None,
        why: str | None = None,
    ) -> Decision:
        """Confirm or reject a proposed group.

        Of a part that is confirmed, the rest counts as different from it and from each other.

        Args:
            choice: `CONFIRM_GROUP` or `REJECT_GROUP`.
            number: of the group.
            codes: those that look the same; default, all of the group.
            by, why: who decides and why, if they say.

        Returns:
            the decision; its `group` is a new one where a part was confirmed.

        Raises:
            CatalogueError: there is no such group.
            UsageError: there is a decision on it; fewer than two of its codes are named, or others
                are; or one of them is in another confirmed group, which would be torn apart.
        """
        confirm = choice is Choice.CONFIRM_GROUP
        state = GroupState.CONFIRMED if confirm else GroupState.REJECTED
        with writing(self._engine) as connection:
            group = _proposed(connection, number)
            chosen = _chosen(group, codes) if confirm else group.products
            if confirm:
                _require_whole_groups(read_decided(connection), chosen)
            decided = number
            if chosen != group.products:
                set_group_state(connection, number, GroupState.REJECTED)
                decided = add_group(connection, _part(group, chosen), taken_from=number)
            set_group_state(connection, decided, state)
            subjects = [
                {"product_id": product, "state": state, "state_before": GroupState.PROPOSED}
                for product in chosen
            ]
            decision = record(connection, choice, subjects, group=decided, by=by, why=why)
            found = read_decision(connection, decision)
            connection.commit()
            return found

    def undo(self, decision: int, *, by: str | None = None) -> Decision:
        """Undo a decision: the group is proposed again, as it was.

        Returns:
            the decision; its `group` is the whole one where only a part had been confirmed.

        Raises:
            CatalogueError: there is no such decision, or it was undone before.
        """
        with writing(self._engine) as connection:
            number = mark_undone(connection, decision, GROUP_CHOICES, by)[0].group_id
            whole = connection.scalar(
                select(LookAlikeGroupRow.taken_from).where(LookAlikeGroupRow.id == number)
            )
            if whole is not None:
                here = DecisionRow.id == decision
                connection.execute(update(DecisionRow).where(here).values(group_id=whole))
                connection.execute(delete(LookAlikeGroupRow).where(LookAlikeGroupRow.id == number))
                number = whole
            set_group_state(connection, number, GroupState.PROPOSED)
            found = read_decision(connection, decision)
            connection.commit()
            return found

    def decision_on(self, number: int) -> int:
        """Return the id of the standing decision on a group.

        Raises:
            CatalogueError: there is none.
        """
        chosen = select(DecisionRow.id).where(
            DecisionRow.group_id == number, DecisionRow.undone_at.is_(None)
        )
        with self._engine.connect() as connection:
            decision = connection.scalar(chosen)
        if decision is None:
            raise CatalogueError(f"there is no decision on group {number} that could be undone")
        return decision


def _proposed(connection: Connection, number: int) -> LookAlikeGroup:
    group = read_group(connection, number)
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


def _require_whole_groups(decided: Decided, chosen: tuple[int, ...]) -> None:
    """Raise UsageError where a confirmed group is only partly among the chosen products."""
    for other in decided.same:
        if set(other) & set(chosen) and not set(other) <= set(chosen):
            raise UsageError(
                "some of these codes are in a confirmed group already, and not all of it "
                "is among them; take the whole of it, or undo that decision first"
            )


def _part(group: LookAlikeGroup, chosen: tuple[int, ...]) -> Proposal:
    photos = dict(zip(group.products, group.photos, strict=True))
    return Proposal(chosen, group.likeness, tuple(photos[product] for product in chosen))
