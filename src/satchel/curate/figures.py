"""Measurements of stored photos: taken once for each photo, thresholds are applied later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from satchel.catalog.curation import MeasuredPhoto
from satchel.catalog.photos import PhotoStore
from satchel.catalog.store import Catalogue
from satchel.curate.content import measure_content
from satchel.curate.faces import FaceFinder
from satchel.curate.hashing import perceptual_hash, pixel_digest
from satchel.curate.integrity import measure
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.errors import CatalogueError, PhotoError
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import Problem

COMMIT_PHOTOS: Final = 128


def measure_photos(
    catalogue: Catalogue,
    store: PhotoStore,
    *,
    decoder: Decoder = IN_PROCESS,
    progress: Progress = SILENT,
    on_problem: Callable[[Problem], None],
) -> None:
    """Measure every photo that has no measurements yet; an interrupted run resumes.

    Args:
        decoder: what decodes the photos.
        on_problem: called with each stored photo that cannot be read.
    """
    faces = FaceFinder.load()

    def work(photo: tuple[int, str, int, int]) -> MeasuredPhoto | Problem:
        photo_id, sha256, width, height = photo
        try:
            pixels = decoder.decode(store.read(sha256))
        except (PhotoError, CatalogueError) as error:
            return Problem(catalogue.describe_photo(sha256), str(error))
        hashed = perceptual_hash(pixels)
        return MeasuredPhoto(
            photo_id,
            pixel_digest(pixels),
            hashed.bits.tobytes(),
            hashed.informative,
            asdict(measure(pixels, width=width, height=height)),
            asdict(measure_content(pixels, faces)),
        )

    progress.begin("measure", catalogue.curation.count_unmeasured())
    done = map_in_order(work, catalogue.curation.unmeasured(), workers=cores(), ahead=8)
    for batch in batched(done, COMMIT_PHOTOS):
        catalogue.curation.put_figures(p for p in batch if isinstance(p, MeasuredPhoto))
        for photo in batch:
            if isinstance(photo, Problem):
                on_problem(photo)
        progress.advance(len(batch))
