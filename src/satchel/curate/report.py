"""The report of a curation run: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from satchel.catalog.photos import PhotoStore
from satchel.curate.summary import CurationSummary
from satchel.errors import CatalogueError, PhotoError
from satchel.images import thumbnail

THUMBNAIL_PX: Final = 160
SHORT_SHOWN: Final = 500

MEANINGS: Final = {
    "copy": "the same picture as another photo of its product, which has more pixels",
    "two_codes": "the same picture stands under several codes",
    "beyond_best": "a good photo, and its product has enough better or more varied ones",
    "too_small": "too few pixels to tell anything",
    "wrong_aspect": "a banner or a strip",
    "blank": "nothing in it",
    "text_screenshot": "a page of text",
    "collage": "several pictures in one",
    "blurred": "not sharp",
    "too_dark": "underexposed",
    "too_bright": "overexposed",
    "far_from_product": "unlike the product's other photos",
    "isolated": "no photo of the product is near it",
    "other_product": "nearer to another product's photos",
    "background": "like photos that show no product",
    "partial_view": "a detail or a part of the product",
    "decided": "a person decided",
    "faces": "faces take more of it than the product",
    "watermark": "a mark is stamped over it",
    "several_objects": "several things in one picture",
    "few_photos": "the product has too few photos to judge this one by",
}


def render_report(summary: CurationSummary, store: PhotoStore) -> str:
    """Return the page: counts by state and reason, examples with their pictures, short products.

    Args:
        summary: what a run decided.
        store: where the examples' photos lie; one that is gone is left out.
    """
    environment = Environment(
        loader=PackageLoader("satchel.curate", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        summary=summary,
        total=sum(summary.photos.values()),
        meanings=MEANINGS,
        pictures={
            kind: [(code, _picture(store, sha256)) for code, sha256 in examples]
            for kind, examples in summary.examples.items()
        },
        short=list(summary.short.items())[:SHORT_SHOWN],
    )


def _picture(store: PhotoStore, sha256: str) -> str | None:
    """Return a small copy as a data address."""
    try:
        small = thumbnail(store.read(sha256), THUMBNAIL_PX)
    except (CatalogueError, PhotoError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()
