"""The catalogue: products, photos, vectors and decisions in one database."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, insert, select

from satchel.catalog.annotation_tasks import AnnotationTaskStore
from satchel.catalog.annotations import AnnotationStore
from satchel.catalog.brands import FILE_NAME, Brands
from satchel.catalog.cases import CaseStore
from satchel.catalog.curation import CurationStore
from satchel.catalog.database import limit_lock_wait, open_database, take_lock, writing
from satchel.catalog.edits import CatalogueEdits
from satchel.catalog.exporters import CatalogueExport
from satchel.catalog.facet_store import read_facets
from satchel.catalog.feedback import FeedbackStore
from satchel.catalog.lookalikes import LookAlikeStore
from satchel.catalog.product_columns import FollowsColumns
from satchel.catalog.products import ProductStore
from satchel.catalog.purge import PurgeStore
from satchel.catalog.review import PhotoReview
from satchel.catalog.tables import Base
from satchel.catalog.training import KeptPhoto, kept_photos
from satchel.catalog.vectors import VectorStore
from satchel.catalog.writer import CatalogueWriter

COPIED_AT_ONCE: Final = 5_000


class Catalogue(ProductStore):
    """The catalogue's database: queries of products, and one store for each other table.

    Attributes:
        vectors: embeddings of photos.
        curation: measurements of photos, and the states that curation gives them.
        review: photos in review, and people's decisions on them.
        facets: the attributes that products are filtered by.
        feedback: what people said of answers.
        cases: answers on which people chose, as they were reported.
        look_alikes: groups of look-alikes, and people's decisions on them.
        annotations: boxes on photos.
        annotation_tasks: tasks in annotation tools.
        edits: people's edits of products and photos.
        exports: the catalogue as rows of a file.
        purges: what was deleted, to be erased for good.
    """

    def __init__(self, engine: Engine, brands: Brands) -> None:
        super().__init__(engine, brands)
        self.vectors = VectorStore(engine)
        self.curation = CurationStore(engine)
        self.review = PhotoReview(engine)
        self.look_alikes = LookAlikeStore(engine)
        self.facets = FollowsColumns(engine, brands, read_facets)
        self.feedback = FeedbackStore(engine)
        self.cases = CaseStore(engine)
        self.annotations = AnnotationStore(engine)
        self.annotation_tasks = AnnotationTaskStore(engine)
        self.edits = CatalogueEdits(engine)
        self.exports = CatalogueExport(engine)
        self.purges = PurgeStore(engine)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Catalogue:
        """Open the SQLite database at `path`, with the brands next to it; see `open_database`."""
        brands = Brands(path.with_name(FILE_NAME))
        return cls(open_database(path, create=create), brands)

    @property
    def engine(self) -> Engine:
        """The database, for rooms with tables of their own."""
        return self._engine

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def take_lock(self, *, wait_ms: int) -> None:
        """See `satchel.catalog.database.take_lock`."""
        take_lock(self._engine, wait_ms=wait_ms)

    def limit_lock_wait(self, wait_ms: int) -> None:
        """See `satchel.catalog.database.limit_lock_wait`."""
        limit_lock_wait(self._engine, wait_ms)

    def kept_photos(self, encoder: str) -> list[KeptPhoto]:
        """Return every kept photo of every product, with what training needs; see `KeptPhoto`."""
        return kept_photos(self._engine, encoder)

    def copy_to(self, other: Catalogue, tables: Iterable[type[Base]]) -> None:
        """Copy the rows of some tables into an empty catalogue.

        Args:
            tables: those that others refer to come first.
        """
        with self._engine.connect() as source, writing(other._engine) as target:
            paged = source.execution_options(yield_per=COPIED_AT_ONCE)
            for table in tables:
                for rows in paged.execute(select(table.__table__)).mappings().partitions():
                    target.execute(insert(table), [dict(row) for row in rows])
            target.commit()

    def writing(self) -> CatalogueWriter:
        """Begin a transaction in which everything is written, or nothing."""
        return CatalogueWriter(writing(self._engine))
