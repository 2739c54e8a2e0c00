"""Report of a curation run: one self-contained HTML page in English and Korean."""

from __future__ import annotations

import base64
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from satchel.catalog.photos import PhotoStore
from satchel.curate.summary import CurationSummary, Unfindable
from satchel.errors import CatalogueError, PhotoError
from satchel.images import thumbnail
from satchel.translations import translatable, translations

THUMBNAIL_PX: Final = 160
SHORT_SHOWN: Final = 500

MEANINGS: Final = {
    "copy": translatable("A copy of another photo of its product"),
    "two_codes": translatable("The same photo under several codes"),
    "beyond_best": translatable(
        "A good photo, and its product has enough better or more varied ones"
    ),
    "too_small": translatable("Resolution too low"),
    "wrong_aspect": translatable("A banner or a strip"),
    "blank": translatable("A blank photo"),
    "text_screenshot": translatable("A page of text"),
    "collage": translatable("A collage of several photos"),
    "blurred": translatable("Not sharp"),
    "too_dark": translatable("Too dark"),
    "too_bright": translatable("Too bright"),
    "far_from_product": translatable("Unlike the product's other photos"),
    "isolated": translatable("No photo of the product is near it"),
    "other_product": translatable("Nearer to another product's photos"),
    "partial_view": translatable("A detail or a part of the product"),
    "other_colours": translatable("Of other colours than the product's other photos"),
    "decided": translatable("A person decided this"),
    "faces": translatable("Faces cover much of the photo"),
    "watermark": translatable("A mark is stamped over it"),
    "several_objects": translatable("Several objects in one photo"),
    "few_photos": translatable("The product has too few photos to judge this one by"),
    "last_photo": translatable("Still searched, as its product has no better photo"),
}

UNFINDABLE: Final = {
    Unfindable.NO_PHOTO: translatable("It has no photo"),
    Unfindable.BY_PEOPLE: translatable("People left out all of its photos"),
    Unfindable.UNREADABLE: translatable("Those of its photos that are not left out cannot be read"),
}

STATES: Final = {
    "kept": translatable("in the gallery"),
    "doubtful": translatable(
        "to be reviewed (satchel serve); searched where its product has no kept photo"
    ),
    "dropped": translatable("out of the gallery"),
}


def render_report(summary: CurationSummary, store: PhotoStore) -> str:
    """Return the page: counts by state and reason, examples with their pictures, short products.

    Args:
        summary: what a run decided.
        store: of the examples' photos; one that is gone is left out.
    """
    environment = Environment(
        loader=PackageLoader("satchel.curate", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        summary=summary,
        total=sum(summary.photos.values()),
        both=both,
        meanings=MEANINGS,
        states=STATES,
        pictures={
            kind: [
                (example, _picture(store, example.sha256), _picture(store, example.other))
                for example in examples
            ]
            for kind, examples in summary.examples.items()
        },
        short=list(summary.short.items())[:SHORT_SHOWN],
        unfindable=[(code, UNFINDABLE[why]) for code, why in summary.unfindable.items()][
            :SHORT_SHOWN
        ],
    )


def both(english: str, **values: str) -> Markup:
    """Return a text in English and Korean; the page shows the reader's language."""
    korean = translations("ko").gettext(english)
    texts = (words % values if values else words for words in (english, korean))
    return Markup('<span lang="en">{}</span><span lang="ko">{}</span>').format(*texts)


def _picture(store: PhotoStore, sha256: str | None) -> str | None:
    """Return a thumbnail as a data URL."""
    if sha256 is None:
        return None
    try:
        small = thumbnail(store.read(sha256), THUMBNAIL_PX)
    except (CatalogueError, PhotoError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()
