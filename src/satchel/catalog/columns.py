"""Setting the columns of a product and of its photos, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from satchel.catalog.change_log import ChangeLog
from satchel.catalog.headers import LINK_FIELDS
from satchel.catalog.tables import PhotoRow, ProductPhotoRow, ProductRow
from satchel.errors import CatalogueError, UsageError
from satchel.records import PRODUCT_FIELDS

FEWEST_DIGITS: Final = 6
"""Digits of a photo's SHA-256 that name it among the photos of a product, at least."""


def product_row(connection: Connection, code: str) -> Any:
    """Return the row of the product of this code.

    Raises:
        CatalogueError: there is none.
    """
    row = connection.execute(
        select(ProductRow.__table__).where(ProductRow.code == code)
    ).one_or_none()
    if row is None:
        raise CatalogueError(
            f"no product has the code {code!r}; search the catalogue for a part of it"
        )
    return row


def links_of(connection: Connection, product: int) -> list[Any]:
    """Return the rows that link a product to its photos, each with the photo's `sha256`."""
    return list(
        connection.execute(
            select(ProductPhotoRow.__table__, PhotoRow.sha256)
            .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
            .where(ProductPhotoRow.product_id == product)
            .order_by(ProductPhotoRow.id)
        )
    )


def link_named(links: Sequence[Any], code: str, photo: str) -> Any:
    """Return the link of the photo whose SHA-256 begins so.

    Raises:
        CatalogueError: there is none.
        UsageError: the digits are too few, or fit several photos.
    """
    if len(photo) < FEWEST_DIGITS:
        raise UsageError(
            f"expected {FEWEST_DIGITS} or more digits of the photo's SHA-256, got {photo!r}; "
            f"`satchel catalog show {code}` lists the photos"
        )
    found = [link for link in links if link.sha256.startswith(photo)]
    if not found:
        raise CatalogueError(
            f"{code} has no photo {photo!r}; `satchel catalog show {code}` lists its photos"
        )
    if len(found) > 1:
        raise UsageError(f"{len(found)} photos of {code} begin with {photo}; give more digits")
    return found[0]


def set_columns(
    log: ChangeLog, product: Any, links: Sequence[Any], wanted: Mapping[str, str]
) -> dict[str, str | None]:
    """Set columns of a product, and of all its photos.

    Returns:
        the values before of those that changed; None also where the photos differed.

    Raises:
        UsageError: columns that are kept with photos are to be set, and there is no photo.
    """
    own = {name: wanted[name] or None for name in PRODUCT_FIELDS if name in wanted}
    further = {name: value for name, value in wanted.items() if name not in own}
    if further and not links:
        raise UsageError(
            f"{product.code} has no photo, and {', '.join(further)} can only be kept with photos"
        )
    log.update(ProductRow, product.id, own)
    before = {name: getattr(product, name) for name in own if getattr(product, name) != own[name]}
    changed = [set_photo_columns(log, link, further) for link in links] if further else []
    for name in dict.fromkeys(name for of_link in changed for name in of_link):
        values = {of_link.get(name, wanted[name] or None) for of_link in changed}
        before[name] = values.pop() if len(values) == 1 else None
    return before


def set_photo_columns(
    log: ChangeLog, link: Any, wanted: Mapping[str, str]
) -> dict[str, str | None]:
    """Set columns of one photo of a product.

    Returns:
        the values before of those that changed.

    Raises:
        UsageError: one of them is kept with the product.
    """
    wrong = [name for name in PRODUCT_FIELDS if name in wanted]
    if wrong:
        raise UsageError(
            f"{' and '.join(wrong)} are kept with the product, not with a photo: name no photo"
        )
    own = {name: wanted[name] or None for name in LINK_FIELDS if name in wanted}
    further = {name: value for name, value in wanted.items() if name not in own}
    attributes = {**link.attributes, **further}
    kept = {name: value for name, value in attributes.items() if value}
    log.update(ProductPhotoRow, link.id, {**own, "attributes": kept})
    before = {name: getattr(link, name) for name in own} | {
        name: link.attributes.get(name) for name in further
    }
    return {name: value for name, value in before.items() if value != (wanted[name] or None)}
