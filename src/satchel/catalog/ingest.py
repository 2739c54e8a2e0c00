"""Ingest of catalogue rows: photos are cleaned and stored, products and links written.

A few threads read, hash, clean and store photos; rows are written in their order, one transaction
a batch. After a kill the written batches are whole, and the next run recognises their photos by
the hash of the received bytes and resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from typing import Final

from satchel.catalog.brands import Brands
from satchel.catalog.headers import CODE, PHOTO
from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.reconcile import FileContents
from satchel.catalog.rows import AddressRow, CatalogueRow, Row, RowProblem
from satchel.catalog.standing_edits import StandingEdits
from satchel.catalog.store import Catalogue
from satchel.catalog.writer import CatalogueWriter, Linked
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.errors import DecoderError, PhotoError, StorageError, WorkspaceError
from satchel.images import CleanPhoto, read_photo
from satchel.parallel import batched, cores, map_in_order
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT, Progress
from satchel.records import PRODUCT_FIELDS

BATCH_ROWS: Final = 200


@dataclass(slots=True)
class ImportCount:
    """Result of an import, in rows.

    Attributes:
        differing: of the unchanged rows, those with values that `update` would have taken.
        redirected: rows of codes that were renamed or merged, which went to the code of today.
        addresses: rows whose photo is an address, of which nothing is imported.
        moved: photos that left a code under which the file does not name them.
        emptied: products of which a field was emptied.
        uncertain: refused rows of unknown code, because of which nothing was moved or emptied.
    """

    added: int = 0
    unchanged: int = 0
    differing: int = 0
    problems: int = 0
    redirected: int = 0
    addresses: int = 0
    new_products: int = 0
    moved: int = 0
    emptied: int = 0
    uncertain: int = 0

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self.added + self.unchanged + self.problems + self.addresses

    def add(self, other: ImportCount) -> None:
        """Add the counts of another part of the import."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True, slots=True)
class _Written:
    """What a batch became.

    Attributes:
        links: of each row that was written, the ids of its product and its photo.
    """

    count: ImportCount = field(default_factory=ImportCount)
    problems: list[RowProblem] = field(default_factory=list)
    links: list[tuple[CatalogueRow, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Terms:
    """How rows are taken: whether newer values win, and which edits they must respect."""

    update: bool
    standing: StandingEdits


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A row whose photo is in the store; `photo_id` if the database knows it already."""

    row: CatalogueRow
    source_sha256: str
    photo_id: int | None
    stored: CleanPhoto | None
    stored_sha256: str


def import_rows(
    rows: Iterable[Row],
    catalogue: Catalogue,
    store: PhotoStore,
    *,
    limits: PhotoLimits,
    decoder: Decoder = IN_PROCESS,
    update: bool = False,
    on_problem: Callable[[RowProblem], None],
    progress: Progress = SILENT,
) -> ImportCount:
    """Write rows into the catalogue; rows that cannot be imported go to `on_problem`.

    People's edits stand: rows of a code that was renamed or merged go to the code of today, and
    products and photos that were deleted are refused.

    Args:
        rows: a stream; never held as a whole.
        decoder: what decodes the photos.
        update: let values that differ from a product's known ones replace them, instead of
            refusing the row; see also `satchel.catalog.reconcile`.
        progress: advanced after each batch by its number of rows.

    Raises:
        StorageError: photos or rows cannot be written at all, as on a full disk.
        WorkspaceError: the database is damaged or gone.
        DecoderError: nothing can be decoded at all.
    """
    count, contents = ImportCount(), FileContents()
    terms = _Terms(update, catalogue.edits.standing())

    def prepare(row: Row) -> _Prepared | RowProblem:
        if isinstance(row, RowProblem):
            return row
        return _prepare(row, catalogue, store, decoder, limits, standing=terms.standing)

    with closing(map_in_order(prepare, rows, workers=cores(), ahead=8)) as prepared:
        for batch in batched(prepared, BATCH_ROWS):
            done = _write_batch(batch, catalogue, terms)
            count.add(done.count)
            for problem in done.problems:
                contents.refuse(problem)
                code, _ = terms.standing.current(problem.code, catalogue.has_product)
                if code != problem.code:
                    contents.refuse(replace(problem, code=code))
                on_problem(problem)
            if update:
                for link in done.links:
                    contents.add(*link)
            progress.advance(len(batch))
    if update:
        count.moved, count.emptied = contents.apply(catalogue)
        count.uncertain = contents.unknown
    return count


def _prepare(
    row: CatalogueRow,
    catalogue: Catalogue,
    store: PhotoStore,
    decoder: Decoder,
    limits: PhotoLimits,
    *,
    standing: StandingEdits,
) -> _Prepared | RowProblem:
    try:
        data = read_photo(row.photo, limits)
        source = sha256(data)
        if source in standing.purged:
            return _purged(row, standing.purged[source])
        known = catalogue.photo_from(source)
        if known is not None and store.path(known[1]).exists():
            return _Prepared(row, source, known[0], None, known[1])
        stored = decoder.clean(data, limits)
        name = sha256(stored.data)
        if name in standing.purged:
            return _purged(row, standing.purged[name])
    except PhotoError as error:
        return RowProblem.of(row.line, "photo", str(row.photo), str(error), code=row.code)
    except (StorageError, WorkspaceError, DecoderError):  # the machine's fault, not the row's
        raise
    except Exception as error:  # no error of one row may cost the others
        return _unexpected(row, error)
    return _Prepared(row, source, None, stored, store.put(stored.data))


def _purged(row: CatalogueRow, decision: int) -> RowProblem:
    reason = (
        f"was purged from the catalogue by decision {decision}; to take it in again, first "
        f"`satchel catalog undo {decision}`"
    )
    return RowProblem.of(row.line, PHOTO, str(row.photo), reason, code=row.code)


def _deleted(row: CatalogueRow, column: str, value: str, decision: int) -> RowProblem:
    what = "product" if column == CODE else "photo of the product"
    reason = (
        f"was deleted by decision {decision}; to have this {what} again, "
        f"`satchel catalog undo {decision}`"
    )
    return RowProblem.of(row.line, column, value, reason, code=row.code)


def _unexpected(row: CatalogueRow, error: Exception) -> RowProblem:
    reason = f"cannot be imported: {type(error).__name__}: {error}"
    return RowProblem.of(row.line, "row", row.code, reason, code=row.code)


def _write_batch(
    batch: Sequence[_Prepared | RowProblem], catalogue: Catalogue, terms: _Terms
) -> _Written:
    """Write a batch in one transaction; if a row breaks it, one transaction for each row."""
    try:
        return _write(batch, catalogue, terms)
    except (StorageError, WorkspaceError):  # the database itself, not a row
        raise
    except Exception as error:
        if len(batch) > 1:
            return _one_by_one(batch, catalogue, terms)
        item = batch[0]
        assert isinstance(item, _Prepared)  # nothing is written for the others
        return _Written(ImportCount(problems=1), [_unexpected(item.row, error)])


def _one_by_one(
    batch: Sequence[_Prepared | RowProblem], catalogue: Catalogue, terms: _Terms
) -> _Written:
    written = _Written()
    for item in batch:
        one = _write_batch([item], catalogue, terms)
        written.count.add(one.count)
        written.problems.extend(one.problems)
        written.links.extend(one.links)
    return written


def _write(
    batch: Iterable[_Prepared | RowProblem], catalogue: Catalogue, terms: _Terms
) -> _Written:
    written = _Written()
    with catalogue.writing() as writer:
        for item in batch:
            problem = (
                item
                if isinstance(item, RowProblem)
                else _write_row(item, writer, written, catalogue.brands, terms)
            )
            if problem is None:
                continue
            written.problems.append(problem)
            if isinstance(problem, AddressRow):
                written.count.addresses += 1
            else:
                written.count.problems += 1
    return written


def _write_row(
    item: _Prepared, writer: CatalogueWriter, written: _Written, brands: Brands, terms: _Terms
) -> RowProblem | None:
    row, count, standing = item.row, written.count, terms.standing
    code, merged = standing.current(row.code, lambda code: writer.product(code) is not None)
    if merged:  # the other product's values stay
        row = replace(row, product={}, empty=row.empty - frozenset(PRODUCT_FIELDS))
    known = writer.product(code)
    if known is None:
        if code in standing.deleted:
            return _deleted(row, CODE, row.code, standing.deleted[code])
        product_id = writer.add_product(code, row.product)
        count.new_products += 1
        changed = True
    else:
        product_id, fields = known
        if decision := standing.photos.get((product_id, item.stored_sha256)):
            return _deleted(row, PHOTO, str(row.photo), decision)
        new = {name: value for name, value in row.product.items() if fields[name] != value}
        if not terms.update:
            new = {name: v for name, v in new.items() if not _agrees(name, fields[name], v, brands)}
            conflict = _conflict(row, new, fields)
            if conflict is not None:
                return conflict
        if new:
            writer.set_product(product_id, new)
        changed = bool(new)
    photo_id = _photo_id(item, writer)
    linked = writer.link(
        product_id, photo_id, row.link, row.attributes, empty=row.empty, update=terms.update
    )
    written.links.append((row, product_id, photo_id))
    if changed or linked in (Linked.ADDED, Linked.UPDATED):
        count.added += 1
    else:
        count.unchanged += 1
        count.differing += linked is Linked.DIFFERS
    count.redirected += code != row.code
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


def _agrees(name: str, known: str | None, value: str, brands: Brands) -> bool:
    """Whether two values are spellings of one brand."""
    return name == "brand" and known is not None and brands.key(known) == brands.key(value)


def _conflict(
    row: CatalogueRow, new: Mapping[str, str], fields: Mapping[str, str | None]
) -> RowProblem | None:
    for name, value in new.items():
        known = fields[name]
        if known is not None:
            return RowProblem.of(
                row.line,
                name,
                value,
                f"contradicts {known!r}, which {row.code!r} already has; "
                "correct the row, or import with --update to let the newer value win",
                code=row.code,
            )
    return None
