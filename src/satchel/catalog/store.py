"""The catalogue: products, photos, vectors and decisions in one database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from satchel.catalog.annotation_tasks import AnnotationTaskStore
from satchel.catalog.annotations import AnnotationStore
from satchel.catalog.curation import CurationStore
from satchel.catalog.database import open_database, take_lock, writing
from satchel.catalog.facet_store import FacetStore
from satchel.catalog.feedback import FeedbackStore
from satchel.catalog.lookalikes import LookAlikeStore
from satchel.catalog.products import ProductStore
from satchel.catalog.review import PhotoReview
from satchel.catalog.training import KeptPhoto, kept_photos
from satchel.catalog.vectors import VectorStore
from satchel.catalog.writer import CatalogueWriter


class Catalogue(ProductStore):
    """The catalogue's database: queries of products, and one store for each other table.

    Attributes:
        vectors: embeddings of photos.
        curation: measurements of photos, and the states that curation gives them.
        review: photos in review, and people's decisions on them.
        facets: the attributes that products are filtered by.
        feedback: what people said of answers.
        look_alikes: groups of look-alikes, and people's decisions on them.
        annotations: boxes on photos.
        annotation_tasks: tasks in annotation tools.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.vectors = VectorStore(engine)
        self.curation = CurationStore(engine)
        self.review = PhotoReview(engine)
        self.look_alikes = LookAlikeStore(engine)
        self.facets = FacetStore(engine)
        self.feedback = FeedbackStore(engine)
        self.annotations = AnnotationStore(engine)
        self.annotation_tasks = AnnotationTaskStore(engine)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Catalogue:
        """Open the SQLite database at `path`; see `open_database`."""
        return cls(open_database(path, create=create))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def take_lock(self, *, wait_ms: int) -> None:
        """See `satchel.catalog.database.take_lock`."""
        take_lock(self._engine, wait_ms=wait_ms)

    def kept_photos(self, encoder: str) -> list[KeptPhoto]:
        """Return every kept photo of every product, with what training needs; see `KeptPhoto`."""
        return kept_photos(self._engine, encoder)

    def writing(self) -> CatalogueWriter:
        """Begin a transaction in which everything is written, or nothing."""
        return CatalogueWriter(writing(self._engine))
