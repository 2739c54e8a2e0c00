"""Photos of listings: cleaned, stored once an upload, ordered, removed.

A photo's file is written in the transaction that writes its row, and removed in one after it: a
kill leaves at worst a file that no row names, which `sweep` removes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine, String, cast, delete, func, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.photos import PhotoStore, sha256
from satchel.curate.hashing import perceptual_hash
from satchel.decoding.decoder import Decoder
from satchel.errors import UnknownListing, UsageError
from satchel.jobs.queue import enqueue
from satchel.market.desk.tables import CertificateRow
from satchel.market.listings.changes import write
from satchel.market.listings.readings import READ_PHOTOS
from satchel.market.listings.records import Listing, ListingPhoto
from satchel.market.listings.states import Actor
from satchel.market.listings.store import editable
from satchel.market.listings.tables import ListingPhotoRow
from satchel.photo_header import PhotoLimits
from satchel.records import Box

MAX_PHOTOS: Final = 20
HASH_SIDE_PX: Final = 256
UPLOAD: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


class ListingPhotos:
    """Adds, orders and removes the photos of listings.

    Args:
        store: of the market's photos, apart from the catalogue's; an attribute too.
        decoder: decodes strangers' photos.
    """

    def __init__(
        self, engine: Engine, store: PhotoStore, decoder: Decoder, limits: PhotoLimits
    ) -> None:
        self._engine = engine
        self.store = store
        self._decoder = decoder
        self._limits = limits

    def add(
        self, public_id: str, upload: str, data: bytes, actor: Actor, *, asked: str | None = None
    ) -> Listing:
        """Store a photo behind the others; an upload that is sent again changes nothing.

        Metadata, position of the camera included, is removed; the file as sent is not kept. A job
        reads what is written on it.

        Args:
            upload: the client's name of this upload, by which it can be sent again.
            asked: what an expert wanted to see on it.

        Raises:
            PhotoError: the photo cannot be used.
            UsageError: the name is malformed, or there are too many photos.
            UnknownListing, Forbidden, StateConflict: see `editable`.
        """
        if not UPLOAD.fullmatch(upload):
            raise UsageError(
                f"expected 8 to 64 letters, digits, - or _ as the upload's name, got {upload!r}"
            )
        with self._engine.connect() as connection:  # refused before anything is decoded
            listing = editable(connection, public_id, actor)
        if any(photo.upload == upload for photo in listing.photos):
            return listing
        clean = self._decoder.clean(data, self._limits)
        pixels = self._decoder.decode(clean.data, min_side_px=HASH_SIDE_PX, limits=self._limits)
        found = perceptual_hash(pixels)
        row = {
            "upload": upload,
            "sha256": sha256(clean.data),
            "width": clean.width,
            "height": clean.height,
            "size_bytes": len(clean.data),
            "hash": found.bits.tobytes() if found.informative else b"",
            "asked": asked,
        }
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor)
            if any(photo.sha256 == row["sha256"] for photo in listing.photos):
                return listing
            if len(listing.photos) >= MAX_PHOTOS:
                raise UsageError(
                    f"expected at most {MAX_PHOTOS} photos of one listing; remove one first"
                )
            last = connection.scalar(
                select(func.max(ListingPhotoRow.position)).where(
                    ListingPhotoRow.listing_id == listing.id
                )
            )
            position = 0 if last is None else last + 1
            self.store.put(clean.data)
            connection.execute(
                insert(ListingPhotoRow).values(**row, listing_id=listing.id, position=position)
            )
            key = f"{READ_PHOTOS}:{public_id}"
            enqueue(connection, READ_PHOTOS, {"listing": public_id}, unique_key=key)
            details = {"sha256": row["sha256"]}
            return write(connection, listing, {}, actor, kind="add_photo", details=details)

    def remove(self, public_id: str, sha256: str, actor: Actor) -> Listing:
        """Remove a photo, and its file where no listing shows it and no certificate names it.

        Raises:
            UnknownListing: the listing has no such photo.
            Forbidden, StateConflict: see `editable`.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor)
            photo = photo_of(listing, sha256)
            connection.execute(delete(ListingPhotoRow).where(ListingPhotoRow.id == photo.id))
            details = {"sha256": photo.sha256}
            after = write(connection, listing, {}, actor, kind="remove_photo", details=details)
        self.forget(photo.sha256)
        return after

    def order(self, public_id: str, hashes: Sequence[str], actor: Actor) -> Listing:
        """Put the photos in this order; the first is the cover.

        Args:
            hashes: SHA-256 of every photo, once.

        Raises:
            UsageError: they are not the listing's photos.
            UnknownListing, Forbidden, StateConflict: see `editable`.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor)
            have = sorted(photo.sha256 for photo in listing.photos)
            if sorted(hashes) != have:
                raise UsageError(
                    f"expected the SHA-256 of each of the {len(have)} photos, once; reload the "
                    "listing"
                )
            for position, sha256 in enumerate(hashes):
                connection.execute(
                    update(ListingPhotoRow)
                    .where(ListingPhotoRow.id == photo_of(listing, sha256).id)
                    .values(position=position)
                )
            return write(connection, listing, {}, actor, kind="order_photos")

    def set_box(self, public_id: str, sha256: str, box: Box | None, actor: Actor) -> Listing:
        """Keep the box that the seller draws around the good; None for none.

        Raises:
            UnknownListing: the listing has no such photo.
            Forbidden, StateConflict: see `editable`.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor)
            photo = photo_of(listing, sha256)
            values = {"box": None if box is None else list(box.xyxy)}
            connection.execute(
                update(ListingPhotoRow).where(ListingPhotoRow.id == photo.id).values(**values)
            )
            return write(connection, listing, {}, actor, kind="box")

    def read(self, sha256: str) -> bytes:
        """Return a photo's clean JPEG.

        Raises:
            CatalogueError: it is gone.
        """
        return self.store.read(sha256)

    def sweep(self) -> list[str]:
        """Remove files of photos that were deleted, also those that a kill left; name them."""
        with self._engine.connect() as connection:
            shown = set(connection.scalars(select(ListingPhotoRow.sha256)))
        there = (path.stem for path in self.store.folder.glob("??/??/*.jpg"))
        return [name for name in there if name not in shown and self.forget(name)]

    def forget(self, sha256: str) -> bool:
        """Remove a photo's file unless somebody needs it; return whether it was removed.

        A listing that shows it does, and a certificate that names it: a seller who revises a
        certified good takes nothing from what was certified. The lock keeps others from adding
        the photo meanwhile.
        """
        shown = select(ListingPhotoRow.id).where(ListingPhotoRow.sha256 == sha256)
        named = select(CertificateRow.id).where(
            cast(CertificateRow.photos, String).contains(sha256, autoescape=True)
        )
        with writing(self._engine) as connection, connection.begin():
            needed = any(connection.scalar(one.limit(1)) is not None for one in (shown, named))
            return not needed and self.store.remove(sha256)


def photo_of(listing: Listing, sha256: str) -> ListingPhoto:
    """Return a photo of a listing.

    Raises:
        UnknownListing: it has no such photo.
    """
    for photo in listing.photos:
        if photo.sha256 == sha256:
            return photo
    raise UnknownListing(f"this listing has no photo {sha256[:12]}…; reload it")
