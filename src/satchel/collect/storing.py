"""Fetched photos become photos of their products, as in an import."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import select

from satchel.catalog.ingest import import_rows
from satchel.catalog.photos import PhotoStore, sha256
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
    refused = [Change(id, State.REFUSED, one.reason) for id, one in problems.items()]
    taken = [one for one in fetched if one.id not in problems]
    candidates.change([*refused, *_results(taken, candidates, catalogue)])
    for one in fetched:
        photo_path(folder, one.id).unlink(missing_ok=True)


def photo_path(folder: Path, candidate_id: int) -> Path:
    """Where the bytes of a fetched candidate lie until they are stored."""
    return folder / f"{candidate_id}.photo"


def is_whole(candidate: Candidate, folder: Path) -> bool:
    """Whether the bytes of a fetched candidate lie there as they were received."""
    try:
        return sha256(photo_path(folder, candidate.id).read_bytes()) == candidate.sha256
    except FileNotFoundError:
        return False


def left_over(folder: Path) -> Iterator[Path]:
    """Yield the files of fetched candidates that are there."""
    yield from folder.glob("*.photo")


def _source(candidate: Candidate) -> str:
    return candidate.page or candidate.url


def _row(candidate: Candidate, folder: Path) -> CatalogueRow:
    link = {"role": ROLE, "source": _source(candidate)}
    if candidate.license:
        link["license"] = candidate.license
    path = photo_path(folder, candidate.id)
    return CatalogueRow(candidate.id, candidate.code, path, link=link)


def _results(
    taken: Sequence[Candidate], candidates: CandidateStore, catalogue: Catalogue
) -> list[Change]:
    """Whether candidates have brought their photos, or the products had them before.

    Of two with one photo, the first has brought it.
    """
    standing = catalogue.edits.standing()
    photos = candidates.photos_from([one.sha256 for one in taken if one.sha256])
    links = _links(set(photos.values()), catalogue)
    brought = candidates.stored_before(taken)
    changes = []
    for one in taken:
        assert one.sha256 is not None
        photo = photos[one.sha256]
        code, _ = standing.current(one.code, catalogue.has_product)
        own = links.get((code, photo)) == (ROLE, _source(one))
        stored = own and (one.code, photo) not in brought
        if stored:
            brought.add((one.code, photo))
        changes.append(Change(one.id, State.STORED if stored else State.DUPLICATE))
    return changes


def _links(
    photos: Collection[int], catalogue: Catalogue
) -> dict[tuple[str, int], tuple[str | None, str | None]]:
    """Return role and source of each product's code and photo, of these photos."""
    chosen = (
        select(
            ProductRow.code,
            ProductPhotoRow.photo_id,
            ProductPhotoRow.role,
            ProductPhotoRow.source,
        )
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .where(ProductPhotoRow.photo_id.in_(photos))
    )
    with catalogue.engine.connect() as connection:
        return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(chosen)}
