"""Fetched photos become photos of their products, as in an import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import select

from satchel.catalog.ingest import import_rows
from satchel.catalog.photos import PhotoStore
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import ProductPhotoRow, ProductRow
from satchel.collect.records import Candidate, Change, State
from satchel.collect.store import CandidateStore
from satchel.decoding.decoder import Decoder
from satchel.photo_header import PhotoLimits

ROLE: Final = "crawl"


def store(
    fetched: Sequence[Candidate],
    folder: Path,
    candidates: CandidateStore,
    catalogue: Catalogue,
    photos: PhotoStore,
    *,
    limits: PhotoLimits,
    decoder: Decoder,
) -> None:
    """Store fetched photos, and say of each candidate what became of it.

    Killed in between, it may be run again: a photo that this candidate has brought counts as new.

    Args:
        folder: where their bytes lie, under the candidates' ids; they are deleted at the end.

    Raises:
        StorageError, WorkspaceError, DecoderError: as `import_rows` does.
    """
    problems: dict[int, RowProblem] = {}
    import_rows(
        (_row(one, folder) for one in fetched),
        catalogue,
        photos,
        limits=limits,
        decoder=decoder,
        on_problem=lambda problem: problems.update({problem.line: problem}),
    )
    for one in fetched:  # one by one: of two in a batch with one photo, the second is a duplicate
        problem = problems.get(one.id)
        if problem is not None:
            candidates.change([Change(one.id, State.REFUSED, problem.reason)])
        else:
            candidates.change([_result(one, candidates, catalogue)])
        photo_path(folder, one.id).unlink(missing_ok=True)


def photo_path(folder: Path, candidate_id: int) -> Path:
    """Where the bytes of a fetched candidate lie until they are stored."""
    return folder / f"{candidate_id}.photo"


def left_over(folder: Path) -> Iterator[Path]:
    """Yield the files of fetched candidates that are there."""
    yield from folder.glob("*.photo")
    yield from folder.glob(".*.tmp")


def _source(candidate: Candidate) -> str:
    return candidate.page or candidate.url


def _row(candidate: Candidate, folder: Path) -> CatalogueRow:
    link = {"role": ROLE, "source": _source(candidate)}
    if candidate.license:
        link["license"] = candidate.license
    path = photo_path(folder, candidate.id)
    return CatalogueRow(candidate.id, candidate.code, path, link=link)


def _result(candidate: Candidate, candidates: CandidateStore, catalogue: Catalogue) -> Change:
    """Whether a candidate has brought its photo, or the product had it before."""
    assert candidate.sha256 is not None
    photo = catalogue.photo_from(candidate.sha256)
    assert photo is not None
    code, _ = catalogue.edits.standing().current(candidate.code, catalogue.has_product)
    chosen = (
        select(ProductPhotoRow.role, ProductPhotoRow.source)
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .where(ProductRow.code == code, ProductPhotoRow.photo_id == photo[0])
    )
    with catalogue.engine.connect() as connection:
        link = connection.execute(chosen).one_or_none()
    own = link is not None and tuple(link) == (ROLE, _source(candidate))
    if own and not candidates.stored_elsewhere(candidate, photo[0]):
        return Change(candidate.id, State.STORED)
    return Change(candidate.id, State.DUPLICATE)
