"""Edits of the catalogue by people: columns, codes, merging, deleting; each in the ledger.

An edit takes effect at once. Undoing restores exactly what it changed, in any order that leaves
nothing ambiguous: where a later edit changed the same, that one is to be undone first. A deleted
photo keeps its file, measurements and embeddings until `satchel.catalog.purge` erases them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from satchel.catalog.change_log import ChangeLog, restore
from satchel.catalog.code_holders import follow_listings, rename_listings
from satchel.catalog.columns import (
    link_named,
    links_of,
    product_row,
    set_columns,
    set_photo_columns,
)
from satchel.catalog.database import increment_revision, inserted_id, writing
from satchel.catalog.decisions import EDIT_CHOICES, Choice
from satchel.catalog.dialect import has_item
from satchel.catalog.edit_records import CatalogueEdit, about, read_edits
from satchel.catalog.merging import merge_products
from satchel.catalog.rows import checked_code, checked_values
from satchel.catalog.standing_edits import StandingEdits, read_standing_edits
from satchel.catalog.tables import (
    DecisionRow,
    DecisionSubjectRow,
    FeedbackRow,
    LookAlikeMemberRow,
    ProductPhotoRow,
    ProductRow,
    now,
)
from satchel.errors import CatalogueError, EditConflict, UsageError


class CatalogueEdits:
    """Makes, undoes and lists edits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- edits ------------------------------------------------------------------------------

    def edit(
        self,
        code: str,
        values: Mapping[str, str],
        *,
        photo: str | None = None,
        by: str | None = None,
        why: str | None = None,
    ) -> CatalogueEdit:
        """Set columns of a product, or of one of its photos.

        Brand, name, category, colour and size are the product's. Role, source, licence and the
        further columns are kept with photos: without `photo` they are set on all of them.

        Args:
            values: by the names of columns in a catalogue file; an empty value removes.
            photo: SHA-256 of the photo, or its first digits, `FEWEST_DIGITS` or more.

        Raises:
            CatalogueError: there is no such product or photo.
            UsageError: a name or value cannot be used, or nothing would change.
        """
        wanted = checked_values(values)

        def change(log: ChangeLog, connection: Connection) -> dict[str, Any]:
            product = product_row(connection, code)
            links = links_of(connection, product.id)
            if photo is None:
                before = set_columns(log, product, links, wanted)
                photos = []
            else:
                link = link_named(links, code, photo)
                before = set_photo_columns(log, link, wanted)
                photos = [link.sha256]
            if not len(log):
                raise UsageError(f"{code} has these values already; nothing was changed")
            set_ = {name: [value, wanted[name] or None] for name, value in before.items()}
            return about(product, [code], photos, values=set_)

        return self._make(Choice.EDIT, change, by, why)

    def rename(
        self, code: str, new: str, *, by: str | None = None, why: str | None = None
    ) -> CatalogueEdit:
        """Give a product another code; feedback and listings follow, and rows of later imports.

        Raises:
            CatalogueError: there is no such product.
            UsageError: the new code cannot be used.
            EditConflict: another product has it.
        """
        wanted = checked_code(new)

        def change(log: ChangeLog, connection: Connection) -> dict[str, Any]:
            product = product_row(connection, code)
            taken = select(ProductRow.id).where(ProductRow.code == wanted)
            if connection.scalar(taken) is not None:
                raise EditConflict(
                    f"the code {wanted!r} is taken; choose another, or merge the two products"
                )
            log.update(ProductRow, product.id, {"code": wanted})
            _rename_holders(log, connection, code, wanted)
            return about(product, [code, wanted])

        return self._make(Choice.RENAME, change, by, why)

    def merge(
        self, code: str, into: str, *, by: str | None = None, why: str | None = None
    ) -> CatalogueEdit:
        """Merge a product into another one, which keeps its code and its values.

        Photos, decisions, look-alikes, feedback and listings go over; columns that the other
        product has no value of are filled in.

        Raises:
            CatalogueError: one of them does not exist.
            UsageError: both are the same.
        """
        if code == into:
            raise UsageError(f"expected two products to merge, got {code!r} twice")

        def change(log: ChangeLog, connection: Connection) -> dict[str, Any]:
            old, new = product_row(connection, code), product_row(connection, into)
            merge_products(log, connection, old, new)
            _rename_holders(log, connection, code, into)
            log.delete(ProductRow, ProductRow.id == old.id)
            return about(old, [code, into], into=new.id)

        return self._make(Choice.MERGE, change, by, why, searched=True)

    def delete_product(
        self, code: str, *, by: str | None = None, why: str | None = None
    ) -> CatalogueEdit:
        """Delete a product: it is found no more, and imports leave it out.

        Raises:
            CatalogueError: there is none.
        """

        def change(log: ChangeLog, connection: Connection) -> dict[str, Any]:
            product = product_row(connection, code)
            photos = [link.sha256 for link in links_of(connection, product.id)]
            for table in (LookAlikeMemberRow, DecisionSubjectRow, ProductPhotoRow):
                log.delete(table, table.product_id == product.id)
            log.delete(ProductRow, ProductRow.id == product.id)
            return about(product, [code], photos)

        return self._make(Choice.DELETE_PRODUCT, change, by, why, searched=True)

    def delete_photos(
        self, code: str, photos: Sequence[str], *, by: str | None = None, why: str | None = None
    ) -> CatalogueEdit:
        """Take photos out of a product; imports leave them out of that product.

        Args:
            photos: SHA-256, or its first digits, `FEWEST_DIGITS` or more; at least one.

        Raises:
            CatalogueError: there is no such product or photo; nothing is deleted then.
            UsageError: the digits are too few, or fit several photos.
        """

        def change(log: ChangeLog, connection: Connection) -> dict[str, Any]:
            product = product_row(connection, code)
            links = links_of(connection, product.id)
            chosen = {link.id: link.sha256 for link in (link_named(links, code, p) for p in photos)}
            for link in chosen:
                log.delete(ProductPhotoRow, ProductPhotoRow.id == link)
            return about(product, [code], [*chosen.values()])

        return self._make(Choice.DELETE_PHOTO, change, by, why, searched=True)

    def undo(self, decision: int, *, by: str | None = None) -> CatalogueEdit:
        """Undo an edit: what it changed is as it was before.

        What was purged does not come back; `not_restored` counts it. Undoing a purge lets imports
        take the photos in again, and brings nothing back.

        Raises:
            CatalogueError: there is no such edit, or it was undone before.
            EditConflict: a later change is in the way; nothing is undone then.
        """
        with writing(self._engine) as connection:
            standing = select(DecisionRow.id).where(
                DecisionRow.id == decision,
                DecisionRow.kind.in_(EDIT_CHOICES),
                DecisionRow.undone_at.is_(None),
            )
            if connection.scalar(standing) is None:
                raise CatalogueError(
                    f"there is no edit {decision} that could be undone; `satchel catalog history` "
                    "lists them"
                )
            lost = restore(connection, decision)
            follow_listings(connection)
            connection.execute(
                update(DecisionRow)
                .where(DecisionRow.id == decision)
                .values(undone_at=now(), undone_by=by)
            )
            increment_revision(connection)
            found = read_edits(connection, [decision], not_restored=lost)[0]
            connection.commit()
            return found

    def _make(
        self,
        kind: Choice,
        change: Callable[[ChangeLog, Connection], dict[str, Any]],
        by: str | None,
        why: str | None,
        *,
        searched: bool = False,
    ) -> CatalogueEdit:
        """Make an edit in one transaction; `searched`: it changes what queries are compared with.

        Args:
            change: makes the changes, and returns what the edit is about.
        """
        with writing(self._engine) as connection:
            log = ChangeLog(connection)
            subject = change(log, connection)
            decision = inserted_id(
                connection,
                insert(DecisionRow).values(kind=kind, decided_by=by, why=why, about=subject),
            )
            log.save(decision)
            if searched:
                increment_revision(connection)
            found = read_edits(connection, [decision])[0]
            connection.commit()
            return found

    def standing(self) -> StandingEdits:
        """Return what imports must know of the edits that are in force."""
        return read_standing_edits(self._engine)

    # -- history ----------------------------------------------------------------------------

    def history(self, *, limit: int = 50, code: str | None = None) -> list[CatalogueEdit]:
        """Return the last edits, the latest first.

        Args:
            code: only those that name this code.
        """
        chosen = select(DecisionRow.id).where(DecisionRow.kind.in_(EDIT_CHOICES))
        if code is not None:
            chosen = chosen.where(has_item(DecisionRow.about, "codes", code))
        with self._engine.connect() as connection:
            last = connection.scalars(chosen.order_by(DecisionRow.id.desc()).limit(limit))
            return read_edits(connection, last.all())


def _rename_holders(log: ChangeLog, connection: Connection, old: str, new: str) -> None:
    """Let feedback and listings follow a code."""
    rename_listings(log, connection, old, new)
    follow_listings(connection)
    for number in list(connection.scalars(select(FeedbackRow.id).where(FeedbackRow.code == old))):
        log.update(FeedbackRow, number, {"code": new})
