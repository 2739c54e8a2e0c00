"""Merging a product into another one: photos, columns, look-alikes and decisions go over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from satchel.catalog.change_log import ChangeLog
from satchel.catalog.headers import LINK_FIELDS
from satchel.catalog.tables import (
    DecisionSubjectRow,
    LookAlikeMemberRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.records import PRODUCT_FIELDS


def merge_products(log: ChangeLog, connection: Connection, old: Any, new: Any) -> None:
    """Give all that `old` has to `new`, whose own values stay; the row of `old` is left.

    Args:
        old, new: rows of `ProductRow`.
    """
    gaps = {n: getattr(old, n) for n in PRODUCT_FIELDS if getattr(new, n) is None}
    log.update(ProductRow, new.id, gaps)
    double = _merge_photos(log, _links(connection, old.id), _links(connection, new.id), new.id)
    _merge_decisions(log, connection, old.id, new.id, double)
    _merge_look_alikes(log, connection, old.id, new.id)


def _merge_photos(log: ChangeLog, old: Sequence[Any], new: Sequence[Any], product: int) -> set[int]:
    """Move links to a product; return the ids of the photos that both had.

    What all photos of the product agree on holds for those that come from the other one, if
    these agreed on something else: a handbag of leather stays one.
    """
    own = {link.photo_id: link for link in new}
    agreed = _agreed(new)
    replaced = {name: value for name, value in agreed.items() if name in _agreed(old)}
    for link in old:
        known = own.get(link.photo_id)
        if known is None:
            attributes = {**link.attributes, **replaced}
            log.update(ProductPhotoRow, link.id, {"product_id": product, "attributes": attributes})
            continue
        gaps = {n: getattr(link, n) for n in LINK_FIELDS if getattr(known, n) is None}
        attributes = {**link.attributes, **replaced, **known.attributes}
        log.update(ProductPhotoRow, known.id, {**gaps, "attributes": attributes})
        log.delete(ProductPhotoRow, ProductPhotoRow.id == link.id)
    return {link.photo_id for link in old if link.photo_id in own}


def _agreed(links: Sequence[Any]) -> dict[str, str]:
    """The attributes on which all photos that have them agree."""
    values: dict[str, set[str]] = {}
    for link in links:
        for name, value in link.attributes.items():
            values.setdefault(name, set()).add(value)
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def _merge_decisions(
    log: ChangeLog, connection: Connection, old: int, new: int, double: set[int]
) -> None:
    """Decisions on photos and groups go over; those on photos that both had are the new one's."""
    subjects = DecisionSubjectRow.product_id
    known = set(
        connection.scalars(
            select(DecisionSubjectRow.decision_id).where(
                subjects == new, DecisionSubjectRow.photo_id.is_(None)
            )
        )
    )
    rows = connection.execute(select(DecisionSubjectRow.__table__).where(subjects == old)).all()
    for row in rows:
        of_group = row.photo_id is None
        if row.photo_id in double or (of_group and row.decision_id in known):
            log.delete(DecisionSubjectRow, DecisionSubjectRow.id == row.id)
        else:
            log.update(DecisionSubjectRow, row.id, {"product_id": new})


def _merge_look_alikes(log: ChangeLog, connection: Connection, old: int, new: int) -> None:
    """The other product takes the place in groups that it is not in."""
    members = LookAlikeMemberRow.product_id
    taken = set(connection.scalars(select(LookAlikeMemberRow.group_id).where(members == new)))
    rows = connection.execute(select(LookAlikeMemberRow.__table__).where(members == old)).all()
    log.delete(LookAlikeMemberRow, members == old)
    for row in rows:
        if row.group_id not in taken:
            moved: Mapping[str, Any] = {**row._asdict(), "product_id": new}
            log.insert(LookAlikeMemberRow, moved)


def _links(connection: Connection, product: int) -> list[Any]:
    chosen = select(ProductPhotoRow.__table__).where(ProductPhotoRow.product_id == product)
    return list(connection.execute(chosen.order_by(ProductPhotoRow.id)))
