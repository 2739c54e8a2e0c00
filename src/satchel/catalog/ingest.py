"""`satchel import`: rows → photos cleaned and stored → products and links in the database.

Photos are read, hashed, cleaned and stored by a few threads; rows are written in their order, a
batch a transaction. Killed at any moment, the batches that were written are whole, and the next
run recognises their photos by the hash of the received bytes and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.catalog.importers import CatalogueRow
from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.store import Catalogue
from satchel.catalog.writer import CatalogueWriter
from satchel.errors import PhotoError, RowError, StorageError, WorkspaceError
from satchel.images import CleanPhoto, PhotoLimits, clean, read_photo
from satchel.parallel import batched, cores, map_in_order

BATCH_ROWS: Final = 200


@dataclass(slots=True)
class ImportCount:
    """What an import did, in rows."""

    added: int = 0
    unchanged: int = 0
    problems: int = 0
    new_products: int = 0

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self.added + self.unchanged + self.problems

    def add(self, other: ImportCount) -> None:
        """Count what another part of the import did, too."""
        self.added += other.added
        self.unchanged += other.unchanged
        self.problems += other.problems
        self.new_products += other.new_products


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A row whose photo is in the store. `photo_id` where the database knows it already."""

    row: CatalogueRow
    source_sha256: str
    photo_id: int | None
    stored: CleanPhoto | None
    stored_sha256: str


def import_rows(
    rows: Iterable[CatalogueRow | RowError],
    catalogue: Catalogue,
    store: PhotoStore,
    *,
    limits: PhotoLimits,
    update: bool = False,
    on_problem: Callable[[RowError], None],
    on_progress: Callable[[int], None],
) -> ImportCount:
    """Put rows into the catalogue; rows that cannot be taken go to `on_problem`.

    Args:
        rows: a stream; never held as a whole.
        update: let values that differ from a product's known ones replace them, instead of
            refusing the row.
        on_progress: called after each batch with the number of rows read in it.

    Raises:
        StorageError: photos cannot be written at all, as on a full disk.
        WorkspaceError: the database cannot be written at all.
    """
    count = ImportCount()

    def prepare(row: CatalogueRow | RowError) -> _Prepared | RowError:
        return row if isinstance(row, RowError) else _prepare(row, catalogue, store, limits)

    prepared = map_in_order(prepare, rows, workers=cores(), ahead=8)
    for batch in batched(prepared, BATCH_ROWS):
        done, problems = _write_batch(batch, catalogue, update=update)
        count.add(done)
        for problem in problems:
            on_problem(problem)
        on_progress(len(batch))
    return count


def _prepare(
    row: CatalogueRow, catalogue: Catalogue, store: PhotoStore, limits: PhotoLimits
) -> _Prepared | RowError:
    try:
        data = read_photo(row.photo, limits)
        source = sha256(data)
        known = catalogue.photo_from(source)
        if known is not None and store.path(known[1]).exists():
            return _Prepared(row, source, known[0], None, "")
        stored = clean(data, limits)
    except PhotoError as error:
        return RowError(row.line, "photo", str(row.photo), str(error))
    except (StorageError, WorkspaceError):  # the disk or the database itself
        raise
    except Exception as error:  # whatever one row raises must not cost the others
        return _unexpected(row, error)
    return _Prepared(row, source, None, stored, store.put(stored.data))


def _unexpected(row: CatalogueRow, error: Exception) -> RowError:
    reason = f"cannot be taken: {type(error).__name__}: {error}"
    return RowError(row.line, "row", row.code, reason)


def _write_batch(
    batch: Sequence[_Prepared | RowError], catalogue: Catalogue, *, update: bool
) -> tuple[ImportCount, list[RowError]]:
    """Write a batch in one transaction; if a row breaks it, each row in one of its own."""
    try:
        return _write(batch, catalogue, update=update)
    except WorkspaceError:  # the database itself, not a row
        raise
    except Exception as error:
        if len(batch) > 1:
            return _one_by_one(batch, catalogue, update=update)
        item = batch[0]
        assert isinstance(item, _Prepared)  # nothing is written for the others
        return ImportCount(problems=1), [_unexpected(item.row, error)]


def _one_by_one(
    batch: Sequence[_Prepared | RowError], catalogue: Catalogue, *, update: bool
) -> tuple[ImportCount, list[RowError]]:
    count, problems = ImportCount(), []
    for item in batch:
        done, refused = _write_batch([item], catalogue, update=update)
        count.add(done)
        problems += refused
    return count, problems


def _write(
    batch: Iterable[_Prepared | RowError], catalogue: Catalogue, *, update: bool
) -> tuple[ImportCount, list[RowError]]:
    count, problems = ImportCount(), []
    with catalogue.writing() as writer:
        for item in batch:
            problem = (
                item if isinstance(item, RowError) else _write_row(item, writer, count, update)
            )
            if problem is not None:
                count.problems += 1
                problems.append(problem)
    return count, problems


def _write_row(
    item: _Prepared, writer: CatalogueWriter, count: ImportCount, update: bool
) -> RowError | None:
    row = item.row
    known = writer.product(row.code)
    if known is None:
        product_id = writer.add_product(row.code, row.product)
        count.new_products += 1
        changed = True
    else:
        product_id, fields = known
        conflict = None if update else _conflict(row, fields)
        if conflict is not None:
            return conflict
        new = {name: value for name, value in row.product.items() if fields[name] != value}
        if new:
            writer.set_product(product_id, new)
        changed = bool(new)
    photo_id = _photo_id(item, writer)
    changed |= writer.link(product_id, photo_id, row.link, row.attributes, update=update)
    if changed:
        count.added += 1
    else:
        count.unchanged += 1
    return None


def _photo_id(item: _Prepared, writer: CatalogueWriter) -> int:
    if item.photo_id is not None:
        return item.photo_id
    assert item.stored is not None
    photo_id = writer.add_photo(
        item.stored_sha256, item.stored.width, item.stored.height, len(item.stored.data)
    )
    writer.add_source(item.source_sha256, photo_id)
    return photo_id


def _conflict(row: CatalogueRow, fields: Mapping[str, str | None]) -> RowError | None:
    for name, value in row.product.items():
        known = fields[name]
        if known is not None and known != value:
            return RowError(
                row.line,
                name,
                value,
                f"contradicts {known!r}, which {row.code} already has; "
                "correct the row, or import with --update to let the newer value win",
            )
    return None
