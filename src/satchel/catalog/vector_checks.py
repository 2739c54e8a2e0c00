"""Embeddings that are missing or damaged, of the photos that are searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Engine, and_, delete, select

from satchel.catalog.database import by_photo_id, increment_revision, writing
from satchel.catalog.dialect import MAX_PARAMETERS
from satchel.catalog.tables import PhotoRow, ProductPhotoRow, VectorRow
from satchel.parallel import batched

PAGE: Final = 1_000
OFF_LENGTH: Final = 0.05
"""By how much the length of a vector may differ from 1: float16 differs by less than 0.01."""


def vector_faults(engine: Engine, space: str, dimension: int) -> Iterator[tuple[int, str, str]]:
    """Yield (photo id, SHA-256, what is wrong) of photos without a usable embedding of a space.

    Photos that no product keeps or doubts are left out.
    """
    own = and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == space)
    used = select(ProductPhotoRow.photo_id).where(ProductPhotoRow.state != "dropped")
    chosen = (
        select(PhotoRow.id, PhotoRow.sha256, VectorRow.vector, VectorRow.whole)
        .outerjoin(VectorRow, own)
        .where(PhotoRow.id.in_(used))
    )
    for row in by_photo_id(engine, chosen, PAGE):
        if row.vector is None:
            yield row.id, row.sha256, "is not embedded"
        elif not (_is_vector(row.vector, dimension) and _is_vector(row.whole, dimension)):
            yield row.id, row.sha256, "has a damaged embedding"


def remove_vectors(engine: Engine, space: str, photo_ids: Sequence[int]) -> None:
    """Delete photos' embeddings of a space, so that they are embedded again."""
    with writing(engine) as connection:
        for some in batched(photo_ids, MAX_PARAMETERS):
            own = VectorRow.encoder == space, VectorRow.photo_id.in_(some)
            connection.execute(delete(VectorRow).where(*own))
        increment_revision(connection)
        connection.commit()


def _is_vector(data: bytes, dimension: int) -> bool:
    if len(data) != 2 * dimension:
        return False
    length = float(np.linalg.norm(np.frombuffer(data, "<f2").astype(np.float32)))
    return abs(length - 1) <= OFF_LENGTH  # false for NaN
