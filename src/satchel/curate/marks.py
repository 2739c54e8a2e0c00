"""Watermarks of shops: searched for in many photos of a shop together.

In one photo a mark over the product resembles a print on it. What photos of different products
have in common at one place is a mark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from satchel.catalog.curation import CurationStore, GalleryPhotos
from satchel.catalog.photos import PhotoStore
from satchel.curate.shop_mark import (
    MARK_PHOTOS,
    MAX_MARK_PHOTOS,
    Mark,
    find_mark,
    mark_share,
)
from satchel.images import RGB, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress

COMMIT_PHOTOS = 256
Shop = tuple[str, float]
"""Host that photos come from, and their aspect: width ÷ height."""


def shops_to_search(photos: GalleryPhotos) -> dict[Shop, list[int]]:
    """Return the rows of each shop that has unsearched photos, and enough to find its mark.

    Photos without a source belong to no shop.
    """
    rows: dict[Shop, list[int]] = defaultdict(list)
    for row, (source, figures) in enumerate(zip(photos.sources, photos.figures, strict=True)):
        if source:
            shop = urlsplit(source).hostname or source
            rows[shop, round(figures["width"] / figures["height"], 2)].append(row)
    return {
        shop: own
        for shop, own in rows.items()
        if len(own) >= MARK_PHOTOS and any("mark" not in photos.contents[row] for row in own)
    }


def measure_marks(
    curation: CurationStore,
    store: PhotoStore,
    photos: GalleryPhotos,
    shops: Mapping[Shop, Sequence[int]],
    *,
    progress: Progress = SILENT,
) -> None:
    """Find each shop's mark and store what share of it every photo of the shop carries.

    The share is added to the photos' `contents`, too, which then need not be read again.
    """
    progress.begin("marks", sum(map(len, shops.values())))

    def pixels(row: int) -> RGB:
        return decode(store.read(photos.sha256[row]))

    for own in shops.values():
        mark = find_mark([pixels(row) for row in _mixed(photos, own)])

        def share(row: int, mark: Mark | None = mark) -> float:
            return round(mark_share(pixels(row), mark), 3) if mark is not None else 0.0

        for batch in batched(own, COMMIT_PHOTOS):
            shares = map_in_order(share, batch, workers=cores())
            for row, carried in zip(batch, shares, strict=True):
                photos.contents[row]["mark"] = carried
            curation.put_content(
                "mark", {photos.sha256[row]: photos.contents[row]["mark"] for row in batch}
            )
        progress.advance(len(own))


def _mixed(photos: GalleryPhotos, rows: Sequence[int]) -> list[int]:
    """Return at most `MAX_MARK_PHOTOS` rows, a photo of each product in turn."""
    by_product: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_product[int(photos.products[row])].append(row)
    turns = sorted(
        (turn, product, row) for product, own in by_product.items() for turn, row in enumerate(own)
    )
    return [row for _, _, row in turns[:MAX_MARK_PHOTOS]]
