"""The database's tables. The migrations of `satchel.catalog.migrations` lead to exactly these."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """The time in UTC, without a time zone, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """Base of all tables."""


class ProductRow(Base):
    """A catalogue model, known to people by its code."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(200), unique=True)
    brand: Mapped[str | None]
    name: Mapped[str | None]
    category: Mapped[str | None]
    colour: Mapped[str | None]
    size: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class PhotoRow(Base):
    """A stored photo: clean JPEG bytes in the photo store, under their SHA-256."""

    __tablename__ = "photos"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)


class PhotoSourceRow(Base):
    """Bytes as they were received → the photo they became.

    Cleaning changes bytes, and another version of a codec may clean to other bytes. With this
    table a repeated import recognises its photos without decoding them.
    """

    __tablename__ = "photo_sources"

    source_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)


class ProductPhotoRow(Base):
    """A photo shows a product. `attributes` holds the further columns of its catalogue row.

    `state` is kept, doubtful or dropped, and `reasons` say why: see `satchel.curate`.
    """

    __tablename__ = "product_photos"
    __table_args__ = (UniqueConstraint("product_id", "photo_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)
    role: Mapped[str | None]
    source: Mapped[str | None]
    license: Mapped[str | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(
        String(16), default="kept", server_default="kept", index=True
    )
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")


class VectorRow(Base):
    """The embedding of one photo by one encoder: the object's box, its vectors and its colours.

    `vector` is of all passes, `whole` of the first alone, `colours` a histogram of the salient
    pixels; all float16, little-endian. `patches` are the local features, one after the other,
    int8; null where the encoder gives none. `query_vector`, `query_colours` and `query_patches` are
    those of the photo as a query, null where a query shows the whole photo.
    `encoder` is the SHA-256 of the model file.
    """

    __tablename__ = "vectors"

    encoder: Mapped[str] = mapped_column(String(64), primary_key=True)
    photo_id: Mapped[int] = mapped_column(
        ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True
    )
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    whole: Mapped[bytes] = mapped_column(LargeBinary)
    colours: Mapped[bytes] = mapped_column(LargeBinary)
    patches: Mapped[bytes | None] = mapped_column(LargeBinary)
    query_vector: Mapped[bytes | None] = mapped_column(LargeBinary)
    query_colours: Mapped[bytes | None] = mapped_column(LargeBinary)
    query_patches: Mapped[bytes | None] = mapped_column(LargeBinary)


class PhotoFiguresRow(Base):
    """Measurements of a photo's pixels, made once; thresholds are applied later.

    `pixel_digest` is of 16 bytes, `hash` of 32; `figures` holds `curate.integrity.PhotoFigures`,
    `content` holds `curate.content.ContentFigures` and, if a shop's mark was searched for, `mark`.
    """

    __tablename__ = "photo_figures"

    photo_id: Mapped[int] = mapped_column(
        ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True
    )
    pixel_digest: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    informative: Mapped[bool]
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class PhotoPairRow(Base):
    """Two photos that were compared, in the order of their SHA-256, and the result."""

    __tablename__ = "photo_pairs"

    first_id: Mapped[int] = mapped_column(
        ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True
    )
    second_id: Mapped[int] = mapped_column(
        ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True
    )
    comparison: Mapped[dict[str, Any]] = mapped_column(JSON)


class DecisionRow(Base):
    """One decision of a person: about photos, a group of look-alikes, candidates, or an edit.

    `kind` is a `satchel.catalog.decisions.Choice`. A decision is never deleted: `undone_at` and
    `undone_by` say when it was undone and by whom. What it was about, and what was before, are
    its subjects. `group_id` is the group that a decision on look-alikes is about. An edit of the
    catalogue has no subjects: `about` names what it was about (`satchel.catalog.edits`), and what
    was before are its `ChangedRow`s; that of candidates is in `satchel.collect.tables`.
    """

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("look_alike_groups.id", ondelete="SET NULL"), index=True
    )
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime] = mapped_column(default=now)
    why: Mapped[str | None]
    undone_by: Mapped[str | None]
    undone_at: Mapped[datetime | None]
    about: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class DecisionSubjectRow(Base):
    """One photo of one product, or one product of a group, that a decision is about.

    `state` is what it was given and `state_before` what it had: null where the decision made the
    photo one of the product's, which undoing takes back.
    """

    __tablename__ = "decision_subjects"
    __table_args__ = (Index("ix_decision_subjects_product_id_photo_id", "product_id", "photo_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), index=True
    )
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(16))
    state_before: Mapped[str | None] = mapped_column(String(16))
    reasons_before: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)


class ChangedRow(Base):
    """One row that an edit of the catalogue changed, as it was before and after.

    `before` is null where the edit added the row, `after` where it deleted it; of an update both
    hold the columns that changed. `row_id` is null for tables without one number as key, and
    `photo_id` names the photo that the row is about, if any. `purged`: what it was before is
    erased for good.
    """

    __tablename__ = "changed_rows"
    __table_args__ = (Index("ix_changed_rows_of_table_row_id", "of_table", "row_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), index=True
    )
    of_table: Mapped[str] = mapped_column(String(32))
    row_id: Mapped[int | None]
    photo_id: Mapped[int | None] = mapped_column(index=True)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    purged: Mapped[bool] = mapped_column(default=False)


class LookAlikeGroupRow(Base):
    """A group of look-alikes: see `satchel.catalog.lookalikes`.

    `state` is proposed, confirmed or rejected; `likeness` is the least cosine of any two members.
    `taken_from` is the proposal of which only these members were confirmed. Ids are never reused:
    a page that is open names a group by its id.
    """

    __tablename__ = "look_alike_groups"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    likeness: Mapped[float]
    taken_from: Mapped[int | None] = mapped_column(
        ForeignKey("look_alike_groups.id", ondelete="CASCADE"), index=True
    )


class LookAlikeMemberRow(Base):
    """A product is one of a group; `photo` is the SHA-256 of its photo to show first."""

    __tablename__ = "look_alike_members"

    group_id: Mapped[int] = mapped_column(
        ForeignKey("look_alike_groups.id", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(
        ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    photo: Mapped[str | None] = mapped_column(String(64))


class AnnotationRow(Base):
    """One labelling of one photo: all boxes on it, which may be none.

    `source` is a `satchel.catalog.annotations.BoxSource`; `origin` names the file or task that it
    is from. A person's labelling is never deleted: of several, the last counts. A pre-label is
    replaced by the next one.
    """

    __tablename__ = "annotations"
    __table_args__ = (Index("ix_annotations_photo_id_source", "photo_id", "source"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str]
    annotated_by: Mapped[str | None]
    annotated_at: Mapped[datetime] = mapped_column(default=now)


class AnnotationBoxRow(Base):
    """One box of a labelling, as fractions of the upright photo; `score` of a pre-label alone."""

    __tablename__ = "annotation_boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotations.id", ondelete="CASCADE"), index=True
    )
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    category: Mapped[str] = mapped_column(String(200), index=True)
    score: Mapped[float | None]
    attributes: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)


class AnnotationTaskRow(Base):
    """A task of photos in an annotation tool.

    `remote_id` is its id on the server at `url`; `pulled` says for each of its parts which state of
    it is in the catalogue, so that only what changed is fetched. `unfinished`: the server may not
    have all of its photos, since the push was killed or still runs.
    """

    __tablename__ = "annotation_tasks"
    __table_args__ = (UniqueConstraint("tool", "url", "remote_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    tool: Mapped[str] = mapped_column(String(16))
    url: Mapped[str]
    remote_id: Mapped[int]
    pushed_at: Mapped[datetime] = mapped_column(default=now)
    pulled: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    unfinished: Mapped[bool] = mapped_column(default=False)


class AnnotationTaskPhotoRow(Base):
    """A photo that was pushed in a task."""

    __tablename__ = "annotation_task_photos"

    task_id: Mapped[int] = mapped_column(
        ForeignKey("annotation_tasks.id", ondelete="CASCADE"), primary_key=True
    )
    photo_id: Mapped[int] = mapped_column(
        ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class FeedbackRow(Base):
    """What a person said of one answer: see `satchel.catalog.feedback`.

    `answer` is the answer's token, `code` the right product's or null for "none of these".
    `encoder` is the SHA-256 of what the embeddings belong to. `candidates` are [code, score,
    confidence] as they were shown, `filter` maps attributes to values. `awaited`: an expert was
    asked and has not answered, so `code` says nothing yet.
    """

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(primary_key=True)
    answer: Mapped[str] = mapped_column(String(64), unique=True)
    code: Mapped[str | None] = mapped_column(String(200))
    encoder: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    in_catalogue: Mapped[float]
    candidates: Mapped[list[Any]] = mapped_column(JSON)
    filter: Mapped[dict[str, Any]] = mapped_column(JSON)
    given_at: Mapped[datetime] = mapped_column(default=now)
    awaited: Mapped[bool] = mapped_column(default=False, server_default=false())


class FeedbackPhotoRow(Base):
    """One photo of the item of a feedback, without the photo: its box and embedding."""

    __tablename__ = "feedback_photos"

    feedback_id: Mapped[int] = mapped_column(
        ForeignKey("feedback.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    by_hand: Mapped[bool]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    colours: Mapped[bytes] = mapped_column(LargeBinary)
    patches: Mapped[bytes | None] = mapped_column(LargeBinary)


class CaseRow(Base):
    """An answer on which a person chose: see `satchel.catalog.cases`.

    `token` is the case's id, `answer` the token of the answer. `candidates` and `photos` are JSON
    of `CaseCandidate` and `CasePhoto`, `filter` maps attributes to values. `photo_bytes` is the
    size of the photos that were kept.
    """

    __tablename__ = "cases"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    answer: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    code: Mapped[str | None] = mapped_column(String(200))
    expert: Mapped[bool]
    note: Mapped[str]
    by: Mapped[str]
    verdict: Mapped[str] = mapped_column(String(32))
    candidates: Mapped[list[Any]] = mapped_column(JSON)
    photos: Mapped[list[Any]] = mapped_column(JSON)
    filter: Mapped[dict[str, Any]] = mapped_column(JSON)
    photo_bytes: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    changed_at: Mapped[datetime] = mapped_column(default=now, index=True)


class RevisionRow(Base):
    """One row. `value` is incremented by every change that an index depends on.

    `columns` is incremented by imports that change what is said of products alone.
    """

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]
    columns: Mapped[int] = mapped_column(default=0, server_default="0")
