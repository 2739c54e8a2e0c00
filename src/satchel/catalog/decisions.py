"""People's decisions on photos: what is in question, what was decided, and taking it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, update

from satchel.catalog.database import count_up, writing
from satchel.catalog.tables import DecisionRow, PhotoRow, ProductPhotoRow, ProductRow
from satchel.errors import CatalogueError

DECIDED: Final = "decided"
"""Kind of the one reason of a photo that a person decided on."""


class Choice(StrEnum):
    """What a person says of a photo of a product."""

    KEEP = "keep"
    DROP = "drop"
    MOVE = "move"
    KEEP_BOTH = "keep_both"


@dataclass(frozen=True, slots=True)
class ReviewPhoto:
    """A photo of a product, with its state and what speaks against it.

    Attributes:
        link_id: of "this photo shows this product".
        reasons: each a JSON object with a `kind`; see `satchel.curate.decide`.
    """

    link_id: int
    code: str
    sha256: str
    width: int
    height: int
    state: str
    reasons: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that a person did; `undone` where it was taken back.

    Attributes:
        action: its number, by which it is undone.
        photos: (code, SHA-256, state it was given) of every photo that it changed.
        by: who, where that was told.
        at: when, UTC, without a time zone.
    """

    action: int
    kind: Choice
    photos: tuple[tuple[str, str, str], ...]
    by: str | None
    at: datetime
    undone: bool


class ReviewStore:
    """What the review of photos reads and writes. A decision is kept until it is undone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- asked ------------------------------------------------------------------------------

    def photo(self, link_id: int) -> ReviewPhoto:
        """Return one photo of one product.

        Raises:
            CatalogueError: there is none.
        """
        with self._engine.connect() as connection:
            return _photo(connection, link_id)

    def count(self, state: str) -> int:
        """Count the photos of products in this state."""
        with self._engine.connect() as connection:
            return (
                connection.scalar(
                    select(func.count())
                    .select_from(ProductPhotoRow)
                    .where(ProductPhotoRow.state == state)
                )
                or 0
            )

    def in_state(
        self, state: str, *, kind: str | None = None, after: int = 0, limit: int = 1
    ) -> list[ReviewPhoto]:
        """Return photos in this state by link id, from the first one beyond `after` on.

        Args:
            kind: only those with a reason of this kind.
        """
        chosen = _photos().where(ProductPhotoRow.state == state, ProductPhotoRow.id > after)
        if kind is not None:
            reason = func.json_each(ProductPhotoRow.reasons).table_valued("value")
            found = select(1).select_from(reason)
            chosen = chosen.where(
                found.where(func.json_extract(reason.c.value, "$.kind") == kind).exists()
            )
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(ProductPhotoRow.id).limit(limit)).all()
        return [_review_photo(row) for row in rows]

    def of_product(self, code: str, *, state: str | None = None) -> list[ReviewPhoto]:
        """Return a product's photos, or those of them in a state, in the order they came in."""
        chosen = _photos().where(ProductRow.code == code)
        if state is not None:
            chosen = chosen.where(ProductPhotoRow.state == state)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(ProductPhotoRow.id)).all()
        return [_review_photo(row) for row in rows]

    def by_sha256(self, names: Sequence[str]) -> list[ReviewPhoto]:
        """Return these photos of every product that has them, by code."""
        chosen = _photos().where(PhotoRow.sha256.in_(names)).order_by(ProductRow.code)
        with self._engine.connect() as connection:
            return [_review_photo(row) for row in connection.execute(chosen)]

    def decisions(self, *, limit: int = 50) -> list[Decision]:
        """Return what was decided last, the latest first, undone ones included."""
        last = (
            select(DecisionRow.action)
            .group_by(DecisionRow.action)
            .order_by(DecisionRow.action.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(DecisionRow.__table__, ProductRow.code, PhotoRow.sha256)
                .join(ProductRow, ProductRow.id == DecisionRow.product_id)
                .join(PhotoRow, PhotoRow.id == DecisionRow.photo_id)
                .where(DecisionRow.action.in_(last))
                .order_by(DecisionRow.action.desc(), DecisionRow.id)
            ).all()
        by_action: dict[int, list[Any]] = {}
        for row in rows:
            by_action.setdefault(row.action, []).append(row)
        return [_decision(group) for group in by_action.values()]

    # -- decided ----------------------------------------------------------------------------

    def decide(self, choice: Choice, link_ids: Sequence[int], *, by: str | None = None) -> int:
        """Keep or drop photos, in one action.

        Args:
            choice: `KEEP`, `KEEP_BOTH` (the same, of a photo under several codes) or `DROP`.

        Returns:
            the action's number, by which it can be undone.

        Raises:
            CatalogueError: one of the photos does not exist; nothing is decided then.
        """
        state = "dropped" if choice is Choice.DROP else "kept"
        with writing(self._engine) as connection:
            action = _Action(connection, choice, by)
            for link_id in link_ids:
                action.set_state(link_id, state)
            return action.done()

    def move(self, link_id: int, code: str, *, by: str | None = None) -> int:
        """Say that a photo shows another product: it is dropped here and kept there.

        Returns:
            the action's number, by which it can be undone.

        Raises:
            CatalogueError: the photo or the code does not exist, or the code is the photo's own.
        """
        with writing(self._engine) as connection:
            action = _Action(connection, Choice.MOVE, by)
            photo = _photo(connection, link_id)
            if photo.code == code:
                raise CatalogueError(f"the photo belongs to {code!r} already; name another code")
            product_id = connection.scalar(select(ProductRow.id).where(ProductRow.code == code))
            if product_id is None:
                raise CatalogueError(
                    f"no product has the code {code!r}; search the catalogue for a part of it"
                )
            action.set_state(link_id, "dropped", moved_to=code)
            other, made = _link_of(connection, product_id, link_id, photo.code)
            action.set_state(other, "kept", made=made)
            return action.done()

    def undo(self, action: int) -> None:
        """Take an action back: its photos are again as they were before it.

        A photo that was decided on once more since keeps the later decision.

        Raises:
            CatalogueError: there is no such action, or it was undone before.
        """
        with writing(self._engine) as connection:
            rows = connection.execute(
                select(DecisionRow.__table__).where(
                    DecisionRow.action == action, DecisionRow.undone_at.is_(None)
                )
            ).all()
            if not rows:
                raise CatalogueError(f"there is no decision {action} that could be undone")
            for row in rows:
                _take_back(connection, row)
            count_up(connection)
            connection.commit()


class _Action:
    """Everything that is decided in one go, in one transaction."""

    def __init__(self, connection: Connection, kind: Choice, by: str | None) -> None:
        self._connection = connection
        last = connection.scalar(select(func.max(DecisionRow.action))) or 0
        self._shared = {"action": last + 1, "kind": kind.value, "decided_by": by}

    def set_state(
        self, link_id: int, state: str, *, moved_to: str | None = None, made: bool = False
    ) -> None:
        """Give one photo a state, and remember how it was; `made`: by this action itself."""
        row = self._connection.execute(
            select(ProductPhotoRow.__table__).where(ProductPhotoRow.id == link_id)
        ).one_or_none()
        if row is None:
            raise CatalogueError(f"there is no photo {link_id}; it may have been moved back since")
        self._connection.execute(
            insert(DecisionRow).values(
                **self._shared,
                product_id=row.product_id,
                photo_id=row.photo_id,
                state=state,
                state_before=None if made else row.state,
                reasons_before=row.reasons,
            )
        )
        self._connection.execute(
            update(ProductPhotoRow)
            .where(ProductPhotoRow.id == link_id)
            .values(state=state, reasons=[decided_reason(self._shared["kind"], moved_to)])
        )

    def done(self) -> int:
        """Commit and return the action's number."""
        count_up(self._connection)
        self._connection.commit()
        return int(self._shared["action"] or 0)


def decided_reason(kind: Any, moved_to: str | None = None) -> dict[str, Any]:
    """The reason of a photo's state where a person decided it."""
    reason = {"kind": DECIDED, "choice": str(kind)}
    return reason if moved_to is None else {**reason, "code": moved_to}


def standing_decisions() -> Select[int, int]:
    """Product and photo of every decision that is not undone."""
    return select(DecisionRow.product_id, DecisionRow.photo_id).where(
        DecisionRow.undone_at.is_(None)
    )


def _photos() -> Select[Any]:
    return (
        select(
            ProductPhotoRow.id,
            ProductRow.code,
            PhotoRow.sha256,
            PhotoRow.width,
            PhotoRow.height,
            ProductPhotoRow.state,
            ProductPhotoRow.reasons,
        )
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
    )


def _review_photo(row: Any) -> ReviewPhoto:
    return ReviewPhoto(
        row.id, row.code, row.sha256, row.width, row.height, row.state, tuple(row.reasons)
    )


def _photo(connection: Connection, link_id: int) -> ReviewPhoto:
    row = connection.execute(_photos().where(ProductPhotoRow.id == link_id)).one_or_none()
    if row is None:
        raise CatalogueError(f"there is no photo {link_id}; it may have been moved back since")
    return _review_photo(row)


def _decision(rows: Iterable[Any]) -> Decision:
    rows = list(rows)
    first = rows[0]
    return Decision(
        action=first.action,
        kind=Choice(first.kind),
        photos=tuple((row.code, row.sha256, row.state) for row in rows),
        by=first.decided_by,
        at=first.decided_at,
        undone=first.undone_at is not None,
    )


def _link_of(
    connection: Connection, product_id: int, link_id: int, moved_from: str
) -> tuple[int, bool]:
    """The link of the same photo to another product, and whether it had to be made."""
    photo_id = connection.scalar(
        select(ProductPhotoRow.photo_id).where(ProductPhotoRow.id == link_id)
    )
    known = connection.scalar(
        select(ProductPhotoRow.id).where(
            ProductPhotoRow.product_id == product_id, ProductPhotoRow.photo_id == photo_id
        )
    )
    if known is not None:
        return known, False
    made = connection.execute(
        insert(ProductPhotoRow).values(
            product_id=product_id,
            photo_id=photo_id,
            source=f"moved from {moved_from}",
        )
    ).inserted_primary_key
    assert made is not None
    return int(made[0]), True


def _take_back(connection: Connection, row: Any) -> None:
    """Undo one decision on one photo; the photo follows unless decided on again since."""
    connection.execute(
        update(DecisionRow)
        .where(DecisionRow.id == row.id)
        .values(undone_at=datetime.now(UTC).replace(tzinfo=None))
    )
    mine = (
        DecisionRow.product_id == row.product_id,
        DecisionRow.photo_id == row.photo_id,
        DecisionRow.undone_at.is_(None),
        DecisionRow.id > row.id,
    )
    later = connection.execute(
        select(DecisionRow.id).where(*mine).order_by(DecisionRow.id).limit(1)
    ).scalar()
    before = {"state_before": row.state_before, "reasons_before": row.reasons_before}
    if later is not None:
        # Undoing the later one must then lead to what was before both.
        connection.execute(update(DecisionRow).where(DecisionRow.id == later).values(**before))
        return
    this_photo = (
        ProductPhotoRow.product_id == row.product_id,
        ProductPhotoRow.photo_id == row.photo_id,
    )
    if row.state_before is None:
        connection.execute(delete(ProductPhotoRow).where(*this_photo))
    else:
        connection.execute(
            update(ProductPhotoRow)
            .where(*this_photo)
            .values(state=row.state_before, reasons=row.reasons_before)
        )
