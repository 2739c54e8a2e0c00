"""Photos in review: queries, and people's decisions on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, update

from satchel.catalog.change_log import unused_id
from satchel.catalog.database import increment_revision, inserted_id, writing
from satchel.catalog.decisions import (
    PHOTO_CHOICES,
    Choice,
    Decision,
    Decisions,
    mark_undone,
    read_decision,
    record,
    take_back,
)
from satchel.catalog.dialect import has_item_with
from satchel.catalog.tables import (
    DecisionSubjectRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.errors import CatalogueError

DECIDED: Final = "decided"
"""Kind of the one reason of a photo that a person decided on."""


@dataclass(frozen=True, slots=True)
class ReviewPhoto:
    """A photo of a product, with its state and the reasons for it.

    Attributes:
        link_id: of the product–photo row.
        reasons: each a JSON object with a `kind`; see `satchel.curate.decide`.
    """

    link_id: int
    code: str
    sha256: str
    width: int
    height: int
    state: str
    reasons: tuple[dict[str, Any], ...]


class PhotoReview(Decisions):
    """Queries of photos in review, and decisions on them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, PHOTO_CHOICES)

    # -- queries ----------------------------------------------------------------------------

    def photo(self, link_id: int) -> ReviewPhoto:
        """Return one photo of one product.

        Raises:
            CatalogueError: there is none.
        """
        with self._engine.connect() as connection:
            return _photo(connection, link_id)

    def count(self, state: str) -> int:
        """Count the photos of products in this state."""
        chosen = select(func.count()).where(ProductPhotoRow.state == state)
        with self._engine.connect() as connection:
            return connection.scalar(chosen.select_from(ProductPhotoRow)) or 0

    def in_state(
        self, state: str, *, kind: str | None = None, after: int = 0, limit: int = 1
    ) -> list[ReviewPhoto]:
        """Return photos in this state by link id, from the first one beyond `after` on.

        Args:
            kind: only those with a reason of this kind.
        """
        chosen = _photos().where(ProductPhotoRow.state == state, ProductPhotoRow.id > after)
        if kind is not None:
            chosen = chosen.where(has_item_with(ProductPhotoRow.reasons, "kind", kind))
        return self._read(chosen.order_by(ProductPhotoRow.id).limit(limit))

    def of_product(self, code: str, *, state: str | None = None) -> list[ReviewPhoto]:
        """Return a product's photos, or those of them in a state, in the order of arrival."""
        chosen = _photos().where(ProductRow.code == code)
        if state is not None:
            chosen = chosen.where(ProductPhotoRow.state == state)
        return self._read(chosen.order_by(ProductPhotoRow.id))

    def by_sha256(self, names: Sequence[str]) -> list[ReviewPhoto]:
        """Return these photos of every product that has them, by code."""
        return self._read(_photos().where(PhotoRow.sha256.in_(names)).order_by(ProductRow.code))

    def _read(self, chosen: Select[Any]) -> list[ReviewPhoto]:
        with self._engine.connect() as connection:
            return [_review_photo(row) for row in connection.execute(chosen)]

    # -- decisions --------------------------------------------------------------------------

    def decide(
        self,
        choice: Choice,
        link_ids: Sequence[int],
        *,
        code: str | None = None,
        by: str | None = None,
        why: str | None = None,
    ) -> Decision:
        """Keep, drop or move photos, in one decision.

        Args:
            choice: `KEEP`, `KEEP_BOTH` (the same, of a photo under several codes), `DROP`, or
                `MOVE`: the photos are dropped here and kept under `code`.
            code: of the product that moved photos show.
            by, why: who decides and why, if they say.

        Raises:
            CatalogueError: a photo or the code does not exist, or a photo is to be moved to the
                code that it has; nothing is decided then.
        """
        with writing(self._engine) as connection:
            decision = decide_on_photos(connection, choice, link_ids, code=code, by=by, why=why)
            found = read_decision(connection, decision)
            connection.commit()
            return found

    def undo(self, decision: int, *, by: str | None = None) -> Decision:
        """Undo a decision: its photos are again as they were before it.

        A photo on which there is a later decision keeps that one.

        Raises:
            CatalogueError: there is no such decision, or it was undone before.
        """
        with writing(self._engine) as connection:
            undo_on_photos(connection, decision, by)
            found = read_decision(connection, decision)
            connection.commit()
            return found


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


# -- inside a transaction -------------------------------------------------------------------------


def decide_on_photos(
    connection: Connection,
    choice: Choice,
    link_ids: Sequence[int],
    *,
    code: str | None = None,
    by: str | None = None,
    why: str | None = None,
) -> int:
    """Decide as `PhotoReview.decide`, and return the decision's id."""
    subjects = []
    for link_id in link_ids:
        if choice is Choice.MOVE:
            subjects += _move(connection, link_id, code or "")
        else:
            state = "dropped" if choice is Choice.DROP else "kept"
            subjects.append(_set_state(connection, link_id, state, choice))
    decision = record(connection, choice, subjects, by=by, why=why)
    increment_revision(connection)
    return decision


def undo_on_photos(connection: Connection, decision: int, by: str | None) -> None:
    """Undo as `PhotoReview.undo`."""
    for row in mark_undone(connection, decision, PHOTO_CHOICES, by):
        _restore(connection, row)
    increment_revision(connection)


def _photo(connection: Connection, link_id: int) -> ReviewPhoto:
    row = connection.execute(_photos().where(ProductPhotoRow.id == link_id)).one_or_none()
    if row is None:
        raise _no_photo(link_id)
    return _review_photo(row)


def _no_photo(link_id: int) -> CatalogueError:
    return CatalogueError(f"there is no photo {link_id}; it may have been moved back since")


def _set_state(
    connection: Connection,
    link_id: int,
    state: str,
    choice: Choice,
    *,
    moved_to: str | None = None,
    is_new: bool = False,
) -> dict[str, Any]:
    """Set one photo's state and return the decision's subject; `is_new`: this decision added it."""
    row = connection.execute(
        select(ProductPhotoRow.__table__).where(ProductPhotoRow.id == link_id)
    ).one_or_none()
    if row is None:
        raise _no_photo(link_id)
    reason = {"kind": DECIDED, "choice": choice.value}
    if moved_to is not None:
        reason["code"] = moved_to
    connection.execute(
        update(ProductPhotoRow)
        .where(ProductPhotoRow.id == link_id)
        .values(state=state, reasons=[reason])
    )
    return {
        "product_id": row.product_id,
        "photo_id": row.photo_id,
        "state": state,
        "state_before": None if is_new else row.state,
        "reasons_before": row.reasons,
    }


def _move(connection: Connection, link_id: int, code: str) -> list[dict[str, Any]]:
    """Drop a photo here and keep it under another code; return the decision's subjects."""
    photo = _photo(connection, link_id)
    if photo.code == code:
        raise CatalogueError(f"the photo belongs to {code!r} already; name another code")
    product_id = connection.scalar(select(ProductRow.id).where(ProductRow.code == code))
    if product_id is None:
        raise CatalogueError(
            f"no product has the code {code!r}; search the catalogue for a part of it"
        )
    other, is_new = _link_to(connection, product_id, photo)
    return [
        _set_state(connection, link_id, "dropped", Choice.MOVE, moved_to=code),
        _set_state(connection, other, "kept", Choice.MOVE, is_new=is_new),
    ]


def _link_to(connection: Connection, product_id: int, photo: ReviewPhoto) -> tuple[int, bool]:
    """Return the link of the same photo to another product, and whether it is new."""
    photo_id = connection.execute(
        select(PhotoRow.id).where(PhotoRow.sha256 == photo.sha256)
    ).scalar_one()
    known = connection.scalar(
        select(ProductPhotoRow.id).where(
            ProductPhotoRow.product_id == product_id, ProductPhotoRow.photo_id == photo_id
        )
    )
    if known is not None:
        return known, False
    link = insert(ProductPhotoRow).values(
        id=unused_id(connection, ProductPhotoRow),
        product_id=product_id,
        photo_id=photo_id,
        source=f"moved from {photo.code}",
    )
    return inserted_id(connection, link), True


def _restore(connection: Connection, row: Any) -> None:
    """Restore what was before a decision on one photo, unless there is a later decision on it."""
    before = take_back(connection, DecisionSubjectRow, row, ("product_id", "photo_id"))
    if before is None:
        return
    this_photo = (
        ProductPhotoRow.product_id == row.product_id,
        ProductPhotoRow.photo_id == row.photo_id,
    )
    if before["state"] is None:
        connection.execute(delete(ProductPhotoRow).where(*this_photo))
    else:
        connection.execute(update(ProductPhotoRow).where(*this_photo).values(before))
