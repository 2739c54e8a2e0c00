"""`satchel learn`: what experts decided improves the gallery and the confidences.

Photos of certified goods, whose sellers agree, become photos of their products and are found at
once; those of a revoked certificate leave again. Then confidences are fitted on the decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from satchel.arrays import Bytes
from satchel.catalog.decisions import Choice
from satchel.catalog.importers import RowSource
from satchel.catalog.rows import CatalogueRow
from satchel.confidence.figures import Measured
from satchel.confidence.fit import FEWEST_QUERIES
from satchel.confidence.outcomes import NOT_THERE
from satchel.confidence.stored import Calibration
from satchel.curate.garbage import Reason
from satchel.errors import PhotoError, UsageError
from satchel.evaluate.offline import Query, rank_pairs
from satchel.identify import MAX_ITEM_PHOTOS, Identifier
from satchel.market.desk.seen import source_of
from satchel.market.learning.decided import (
    TakenPhoto,
    absent_listings,
    certified_listings,
    taken_photos,
)
from satchel.market.listings.records import Listing
from satchel.progress import SILENT, Progress
from satchel.records import ProductPhoto
from satchel.search.indexing import open_index
from satchel.served import load_embedder
from satchel.workflows.calibrate import fit_calibration
from satchel.workflows.curate import curate_catalogue
from satchel.workflows.import_ import ImportResult, import_catalogue
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace

ROLE = "seller"
LICENSE = "seller's consent"
BY = "market"
ABOUT_ITS_PRODUCT: Final = frozenset(Reason)
"""Reasons of curation that only doubt which product a photo shows."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the gallery took from certified listings.

    Attributes:
        listings: whose photos are new.
        added, removed: photos.
    """

    listings: int
    added: int
    removed: int


def take_photos(workspace: Workspace, *, progress: Progress = SILENT) -> Taken:
    """Let the catalogue have the photos of certified listings, and no others.

    Photos of a listing that is no longer certified, or whose seller no longer agrees, or that is
    certified as another product now, are taken out; that can be undone like every edit.

    Raises:
        StorageError: photos or rows cannot be written.
    """
    engine = workspace.catalogue.engine
    listings = certified_listings(engine)
    known = taken_photos(engine)
    wanted = {(one.public_id, one.code) for one in listings}
    removed = _take_out(workspace, [one for one in known if (one.listing, one.code) not in wanted])
    have = {one.listing for one in known if (one.listing, one.code) in wanted}
    new = [one for one in listings if one.public_id not in have]
    if not new:
        return Taken(0, 0, removed)
    done = _import(workspace, new, progress)
    return Taken(len(new), done.count.added, removed)


def learn_photos(workspace: Workspace, *, progress: Progress = SILENT) -> Taken:
    """Take photos as `take_photos` does; then curate and index, where anything changed.

    Raises:
        StorageError: photos or rows cannot be written.
    """
    taken = take_photos(workspace, progress=progress)
    if taken.added or taken.removed:
        curate_catalogue(workspace, workspace.settings.curate, progress=progress)
        if _keep_certified(workspace):
            index_catalogue(workspace, progress=progress)
    return taken


def calibrate_on_decisions(
    workspace: Workspace, source: str, *, progress: Progress = SILENT
) -> tuple[Calibration, Measured, Counter[str]]:
    """Fit the confidences of answers on decided listings, each an item of all its photos.

    A certified listing shows the product that was certified; one that was rejected since the
    catalogue does not have the good is an item that is not there. An item is ranked without its own
    photos, where the gallery has them.

    Args:
        source: name of the decisions, for the record.
        progress: two stages of one step for each listing.

    Returns:
        the calibration, its figures, and how many listings were left out for which reason.

    Raises:
        UsageError: fewer than `FEWEST_QUERIES` certified listings are of products in the index.
        IndexMissing: there is nothing to search.
    """
    embedder = load_embedder(workspace, threads=1)
    space, settings = embedder.space, workspace.settings
    index = open_index(workspace.catalogue, space, workspace.index_path, settings.search)
    identifier = Identifier.of(workspace, embedder, index)
    products = np.unique(index.gallery.products)
    rows = _rows_of_listings(workspace, index.gallery.photos)
    decided = _decided(workspace)
    queries: list[Query] = []
    rights: list[int] = []
    left_out = Counter[str]()
    progress.begin("embed", len(decided))
    for listing, right in decided:
        if right is None or (right != NOT_THERE and right not in products):
            left_out["of products that the index does not have"] += 1
        else:
            try:
                queries.append(_query(workspace, identifier, listing, rows))
                rights.append(right)
            except PhotoError:
                left_out["with photos that cannot be read"] += 1
        progress.advance(1)
    certified = sum(right != NOT_THERE for right in rights)
    if certified < FEWEST_QUERIES or len(products) < 2:
        aside = "; ".join(f"{count:,} {why}" for why, count in left_out.items())
        raise UsageError(
            f"expected {FEWEST_QUERIES} or more certified listings of products in the index, whose "
            f"sellers let the photos help, and two or more products; got {certified:,} and "
            f"{len(products):,} (left out: {aside or 'none'}); nothing was changed"
        )
    progress.begin("calibrate", len(queries))
    pairs = rank_pairs(identifier.searcher, queries, rights, progress=progress)
    usable = [pair for pair in pairs if pair.there and pair.without]
    calibration, measured = fit_calibration(workspace, space, usable, source, len(products))
    return calibration, measured, left_out


def _decided(workspace: Workspace) -> list[tuple[Listing, int | None]]:
    """Listings with the id of their product; None where it has left the catalogue."""
    ids = workspace.catalogue.ids_of_codes()
    engine = workspace.catalogue.engine
    certified: list[tuple[Listing, int | None]]
    certified = [(one, ids.get(one.code or "")) for one in certified_listings(engine)]
    return certified + [(one, NOT_THERE) for one in absent_listings(engine)]


def _keep_certified(workspace: Workspace) -> int:
    """Keep photos whose product alone curation doubts; return how many.

    A worn good differs from the studio photos of its product, which is why it is worth having; and
    what an expert certified, no run overrules. Copies and damaged photos stay out.
    """
    review = workspace.catalogue.review
    taken = {(one.code, one.sha256) for one in taken_photos(workspace.catalogue.engine)}
    kept = [
        photo.link_id
        for code in {code for code, _ in taken}
        for photo in workspace.catalogue.photos_of(code)
        if (code, photo.sha256) in taken and photo.reasons and _only_its_product(photo)
    ]
    if kept:
        review.decide(Choice.KEEP, kept, by=BY, why="an expert certified the product")
    return len(kept)


def _only_its_product(photo: ProductPhoto) -> bool:
    return {reason["kind"] for reason in photo.reasons} <= ABOUT_ITS_PRODUCT


def _query(
    workspace: Workspace, identifier: Identifier, listing: Listing, rows: dict[str, list[int]]
) -> Query:
    """Embed a listing's photos as identification does, with the boxes that its seller drew."""
    shown = listing.photos[:MAX_ITEM_PHOTOS]
    photos = [workspace.market_photos.read(photo.sha256) for photo in shown]
    first, *others = identifier.embed(photos, [photo.box for photo in shown])
    return Query(first, without_rows=rows.get(listing.public_id, ()), further=others)


def _rows_of_listings(workspace: Workspace, photos: Bytes) -> dict[str, list[int]]:
    """Rows of the index by the listing whose photos they are."""
    places: dict[str, list[int]] = {}
    for row, name in enumerate(photos):
        places.setdefault(name.tobytes().hex(), []).append(row)
    found: dict[str, list[int]] = {}
    for taken in taken_photos(workspace.catalogue.engine):
        found.setdefault(taken.listing, []).extend(places.get(taken.sha256, ()))
    return found


def _take_out(workspace: Workspace, photos: list[TakenPhoto]) -> int:
    by_code: dict[str, list[str]] = {}
    for photo in photos:
        by_code.setdefault(photo.code, []).append(photo.sha256)
    for code, hashes in by_code.items():
        why = "the listing's certificate no longer holds, or its seller no longer agrees"
        workspace.catalogue.edits.delete_photos(code, hashes, by=BY, why=why)
    return len(photos)


def _import(workspace: Workspace, listings: list[Listing], progress: Progress) -> ImportResult:
    def rows() -> Iterator[CatalogueRow]:
        for listing in listings:
            assert listing.code is not None
            link = {"role": ROLE, "source": source_of(listing), "license": LICENSE}
            for photo in listing.photos:
                path = workspace.market_photos.path(photo.sha256)
                yield CatalogueRow(0, listing.code, path, link=link)

    total = sum(len(listing.photos) for listing in listings)
    return import_catalogue(workspace, RowSource(total, rows), "certified", progress=progress)
