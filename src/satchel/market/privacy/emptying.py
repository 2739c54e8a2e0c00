"""Taking what a person said and showed out of a listing, whose row and history stay."""

from __future__ import annotations

from sqlalchemy import Connection, delete, update

from satchel.market.listings.records import Listing
from satchel.market.listings.tables import ListingPhotoRow, ListingRow, PhotoReadingRow


def empty_listing(connection: Connection, listing: Listing, *, certified: bool) -> list[str]:
    """Delete a listing's texts and those read on photos; photos too, unless they are certified.

    Args:
        certified: whether a certificate was ever issued for it.

    Returns:
        SHA-256 of photos whose files may be removed, unless others show them too.
    """
    photos = [photo.id for photo in listing.photos]
    connection.execute(delete(PhotoReadingRow).where(PhotoReadingRow.photo_id.in_(photos)))
    texts: dict[str, object] = {"text": "", "proposed": None, "consent_gallery": False}
    removed: list[str] = []
    if not certified:
        texts |= {"defects": "", "size": "", "machine": None}
        removed = [photo.sha256 for photo in listing.photos]
        gone = delete(ListingPhotoRow).where(ListingPhotoRow.listing_id == listing.id)
        connection.execute(gone)
    connection.execute(update(ListingRow).where(ListingRow.id == listing.id).values(**texts))
    return removed
