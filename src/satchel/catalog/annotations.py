"""Boxes on photos in the database: what people drew, and what models proposed.

A photo has at most one labelling that counts: the last one of a person, else the last pre-label.
Importing or pulling the same boxes again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, Select, delete, func, insert, or_, select
from sqlalchemy.orm import aliased

from satchel.catalog.database import by_photo_id, inserted_id, writing
from satchel.catalog.dialect import MAX_PARAMETERS
from satchel.catalog.products import shows_a_product
from satchel.catalog.tables import (
    AnnotationBoxRow,
    AnnotationRow,
    AnnotationTaskPhotoRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.parallel import batched
from satchel.records import Box, LabelledBox

SAME_BOX: Final = 1e-4
"""Corners that differ by less are of the same box: tools round, and this is a third of a pixel."""

PAGE: Final = 200


class BoxSource(StrEnum):
    """Who drew the boxes of a labelling."""

    PERSON = "person"
    PRE_LABEL = "pre_label"


class NewLabelling(NamedTuple):
    """Boxes to store for one photo; none says that it shows no product."""

    photo_id: int
    boxes: tuple[LabelledBox, ...]


@dataclass(frozen=True, slots=True)
class Labelling:
    """One labelling of a photo.

    Attributes:
        photo: SHA-256.
        width, height: of the photo, in pixels, upright.
        origin: file or task that it is from.
        at: UTC, without a time zone.
    """

    photo: str
    width: int
    height: int
    source: BoxSource
    boxes: tuple[LabelledBox, ...]
    origin: str
    by: str | None
    at: datetime


class ProductOfPhoto(NamedTuple):
    """A photo by its SHA-256, and the product that it shows."""

    photo: str
    code: str
    category: str | None


@dataclass(slots=True)
class LabellingCount:
    """Result of storing labellings, in photos and boxes."""

    photos: int = 0
    boxes: int = 0
    unchanged: int = 0


class AnnotationStore:
    """Reads and writes boxes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- boxes --------------------------------------------------------------------------------

    def put(
        self,
        labellings: Iterable[NewLabelling],
        source: BoxSource,
        *,
        origin: str,
        by: str | None = None,
    ) -> LabellingCount:
        """Store labellings in one transaction; one whose boxes are stored already is passed over.

        Args:
            origin: file or task that they are from.
            by: the person, where no box says who drew it.
        """
        count = LabellingCount()
        with writing(self._engine) as connection:
            for photo_id, boxes in labellings:
                last = _last(connection, photo_id, source)
                if last is not None and _same(_boxes(connection, [last])[last], boxes):
                    count.unchanged += 1
                    continue
                if source is BoxSource.PRE_LABEL:
                    _delete_pre_labels(connection, photo_id)
                who = next((box.who for box in boxes if box.who), by)
                values = {"photo_id": photo_id, "source": source, "origin": origin}
                statement = insert(AnnotationRow).values(annotated_by=who, **values)
                _insert_boxes(connection, inserted_id(connection, statement), boxes)
                count.photos += 1
                count.boxes += len(boxes)
            connection.commit()
        return count

    def current(self, *, source: BoxSource | None = None) -> Iterator[Labelling]:
        """Yield the labelling that counts of every photo that has one, by photo.

        Args:
            source: only labellings of this source; a pre-label counts where no person's is.
        """
        for rows in batched(by_photo_id(self._engine, _current(source), PAGE), PAGE):
            with self._engine.connect() as connection:
                yield from _with_boxes(connection, rows)

    def count(self, *, source: BoxSource | None = None) -> int:
        """Count the photos that have a labelling that counts."""
        chosen = select(func.count()).select_from(_current(source).subquery())
        with self._engine.connect() as connection:
            return connection.scalar(chosen) or 0

    def categories(self, *, source: BoxSource | None = None) -> dict[str, int]:
        """Count the boxes of every category, in labellings that count; by name."""
        current = _current(source).subquery()
        chosen = (
            select(AnnotationBoxRow.category, func.count().label("boxes"))
            .join(current, current.c.labelling == AnnotationBoxRow.annotation_id)
            .group_by(AnnotationBoxRow.category)
            .order_by(AnnotationBoxRow.category)
        )
        with self._engine.connect() as connection:
            return {row.category: row.boxes for row in connection.execute(chosen)}

    def history(self, photo: str) -> list[Labelling]:
        """Return all labellings of a photo, the latest first."""
        chosen = _labellings().where(PhotoRow.sha256 == photo).order_by(AnnotationRow.id.desc())
        with self._engine.connect() as connection:
            return _with_boxes(connection, connection.execute(chosen).all())

    def of_photos(self, photos: Collection[str]) -> dict[str, Labelling]:
        """Return the labelling that counts of these photos, by SHA-256; some have none."""
        found: dict[str, Labelling] = {}
        for names in batched(photos, MAX_PARAMETERS):
            with self._engine.connect() as connection:
                rows = connection.execute(_current(None).where(PhotoRow.sha256.in_(names))).all()
                found |= {one.photo: one for one in _with_boxes(connection, rows)}
        return found

    # -- what to label next -------------------------------------------------------------------

    def unlabelled(self) -> list[ProductOfPhoto]:
        """Return every photo that no person labelled, that is in no task and not dropped, by id."""
        return self._by_product(labelled=False)

    def labelled(self) -> list[ProductOfPhoto]:
        """Return every photo that a person labelled, or that is in a task, by id."""
        return self._by_product(labelled=True)

    def _by_product(self, *, labelled: bool) -> list[ProductOfPhoto]:
        first = (
            select(func.min(ProductPhotoRow.id))
            .where(ProductPhotoRow.state != "dropped")
            .group_by(ProductPhotoRow.photo_id)
        )
        by_person = select(AnnotationRow.id).where(
            AnnotationRow.photo_id == PhotoRow.id, AnnotationRow.source == BoxSource.PERSON
        )
        pushed = select(AnnotationTaskPhotoRow.task_id).where(
            AnnotationTaskPhotoRow.photo_id == PhotoRow.id
        )
        known = or_(by_person.exists(), pushed.exists())
        chosen = (
            select(PhotoRow.sha256, ProductRow.code, ProductRow.category)
            .join(ProductPhotoRow, ProductPhotoRow.photo_id == PhotoRow.id)
            .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
            .where(ProductPhotoRow.id.in_(first), known if labelled else ~known)
            .order_by(PhotoRow.id)
        )
        with self._engine.connect() as connection:
            return [ProductOfPhoto(*row) for row in connection.execute(chosen)]


def _labellings() -> Select[*tuple[Any, ...]]:
    return select(
        PhotoRow.id,
        AnnotationRow.id.label("labelling"),
        AnnotationRow.source,
        AnnotationRow.origin,
        AnnotationRow.annotated_by,
        AnnotationRow.annotated_at,
        PhotoRow.sha256,
        PhotoRow.width,
        PhotoRow.height,
    ).join(PhotoRow, PhotoRow.id == AnnotationRow.photo_id)


def _current(source: BoxSource | None) -> Select[*tuple[Any, ...]]:
    """Labellings that count: no later one of their source, and no person's above a pre-label."""
    other = aliased(AnnotationRow)
    later = select(other.id).where(
        other.photo_id == AnnotationRow.photo_id,
        or_(
            (other.source == AnnotationRow.source) & (other.id > AnnotationRow.id),
            (other.source == BoxSource.PERSON) & (AnnotationRow.source == BoxSource.PRE_LABEL),
        ),
    )
    chosen = _labellings().where(~later.exists(), shows_a_product())
    return chosen if source is None else chosen.where(AnnotationRow.source == source)


def _last(connection: Connection, photo_id: int, source: BoxSource) -> int | None:
    chosen = select(func.max(AnnotationRow.id)).where(
        AnnotationRow.photo_id == photo_id, AnnotationRow.source == source
    )
    return connection.scalar(chosen)


def _delete_pre_labels(connection: Connection, photo_id: int) -> None:
    connection.execute(
        delete(AnnotationRow).where(
            AnnotationRow.photo_id == photo_id, AnnotationRow.source == BoxSource.PRE_LABEL
        )
    )


def _insert_boxes(connection: Connection, labelling: int, boxes: Sequence[LabelledBox]) -> None:
    rows = [
        {
            "annotation_id": labelling,
            **dict(zip(("x0", "y0", "x1", "y1"), one.box.xyxy, strict=True)),
            "category": one.label,
            "score": one.score,
            "attributes": dict(one.attributes),
        }
        for one in boxes
    ]
    if rows:
        connection.execute(insert(AnnotationBoxRow), rows)


def _boxes(connection: Connection, labellings: Sequence[int]) -> dict[int, tuple[LabelledBox, ...]]:
    """Read the boxes of labellings, in the order in which they came."""
    found: dict[int, list[LabelledBox]] = {number: [] for number in labellings}
    for ids in batched(labellings, MAX_PARAMETERS):
        rows = connection.execute(
            select(AnnotationBoxRow.__table__)
            .where(AnnotationBoxRow.annotation_id.in_(ids))
            .order_by(AnnotationBoxRow.id)
        )
        for row in rows:
            box = Box(row.x0, row.y0, row.x1, row.y1)
            labelled = LabelledBox(box, row.category, row.attributes, row.score)
            found[row.annotation_id].append(labelled)
    return {number: tuple(boxes) for number, boxes in found.items()}


def _same(known: Sequence[LabelledBox], new: Sequence[LabelledBox]) -> bool:
    """Whether boxes are equal, but for rounding and for who drew them."""
    return len(known) == len(new) and all(
        one.label == other.label
        and dict(one.attributes) == dict(other.attributes)
        and max(abs(a - b) for a, b in zip(one.box.xyxy, other.box.xyxy, strict=True)) < SAME_BOX
        and (one.score is None) == (other.score is None)
        and abs((one.score or 0) - (other.score or 0)) < SAME_BOX
        for one, other in zip(known, new, strict=True)
    )


def _with_boxes(connection: Connection, rows: Sequence[Any]) -> list[Labelling]:
    boxes = _boxes(connection, [row.labelling for row in rows])
    return [_labelling(row, boxes[row.labelling]) for row in rows]


def _labelling(row: Any, boxes: tuple[LabelledBox, ...]) -> Labelling:
    who = row.annotated_by
    return Labelling(
        row.sha256,
        row.width,
        row.height,
        BoxSource(row.source),
        tuple(LabelledBox(b.box, b.label, b.attributes, b.score, who) for b in boxes),
        row.origin,
        who,
        row.annotated_at,
    )
