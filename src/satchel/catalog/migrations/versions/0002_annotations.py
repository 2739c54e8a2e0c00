"""Boxes that people and models draw on photos, and the tasks of annotation tools."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables of annotations."""
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("photo_id", "photos"),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("annotated_by", sa.String),
        sa.Column("annotated_at", sa.DateTime, nullable=False),
        sa.Index("ix_annotations_photo_id_source", "photo_id", "source"),
    )
    op.create_table(
        "annotation_boxes",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("annotation_id", "annotations", index=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("category", sa.String(200), nullable=False, index=True),
        sa.Column("score", sa.Double),
        sa.Column("attributes", sa.JSON, nullable=False),
    )
    op.create_table(
        "annotation_tasks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tool", sa.String(16), nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("remote_id", sa.Integer, nullable=False),
        sa.Column("pushed_at", sa.DateTime, nullable=False),
        sa.Column("pulled", sa.JSON, nullable=False),
        sa.UniqueConstraint("tool", "url", "remote_id"),
    )
    op.create_table(
        "annotation_task_photos",
        _reference("task_id", "annotation_tasks", primary_key=True),
        _reference("photo_id", "photos", primary_key=True, index=True),
    )


def _reference(
    name: str, table: str, *, index: bool = False, primary_key: bool = False
) -> sa.Column[int]:
    key = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Integer, key, nullable=False, index=index, primary_key=primary_key)
