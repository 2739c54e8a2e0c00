"""Detection of several pictures in one: recall on collages, false alarms on clean studio photos.

    python -m benchmarks.collages [dev|test] [LABEL]    # LABEL of the figures, default "after"

Clean photos are the galleries of Luma and of `clutter`, as they are and as shops prepare them:
padded to a square and trimmed to the object. A pair, and one good from two sides on one ground, are
clean, too: they show one product. Collages are made of the same photos: grids with and without
gutters, and a detail in a corner. A photo is flagged where curation finds more than one panel or
several objects. Halves are by product; thresholds were chosen on `dev`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.datasets import SHARED
from benchmarks.pictures import rgb
from benchmarks.reporting import RESULTS, print_table, write_json
from satchel.arrays import Floats
from satchel.curate.content import measure_content
from satchel.curate.faces import FaceFinder
from satchel.curate.integrity import measure
from satchel.images import RGB, decode, encode_jpeg

CELL_PX: Final = 360
MADE: Final = 120
"""Collages of each kind."""

SHARE: Final = 0.02
"""Share of collages among photos at which precision is stated: about what a crawl holds."""

Photos = dict[str, list[RGB]]
"""Code → its photos."""


class NoFaces(FaceFinder):
    """Finds no face, and takes no time for it."""

    def __init__(self) -> None:
        """Load nothing."""

    def find(self, pixels: RGB) -> Floats:
        """No boxes."""
        return np.empty((0, 4), np.float32)


def galleries(split: str) -> dict[str, Photos]:
    """The studio photos of one half of the products, as curation decodes them."""
    odd = ("dev", "test").index(split)
    shops: dict[str, Photos] = {"Luma": {}, "clutter": {}}
    for shop, table, key in (
        ("Luma", "photos.csv", "style"),
        ("clutter", "catalogue.csv", "code"),
    ):
        folder = SHARED / shop.lower()
        with (folder / table).open() as file:
            for row in csv.DictReader(file):
                if hashlib.sha256(row[key].encode()).digest()[0] % 2 == odd:
                    pixels = decode((folder / row["photo"]).read_bytes(), min_side_px=512)
                    shops[shop].setdefault(row["code"], []).append(pixels)
    return shops


def saved(pixels: RGB) -> RGB:
    """Recompress a made picture as JPEG."""
    return decode(encode_jpeg(np.ascontiguousarray(pixels), 90), min_side_px=None)


# -- clean photos --------------------------------------------------------------------------------


def is_cut_out(pixels: RGB) -> bool:
    """Whether the photo has a white ground all around."""
    rim = (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:])
    return all(side.min() > 225 for side in rim)


def object_of(pixels: RGB) -> RGB:
    """The box of what is on a white ground."""
    rows, columns = np.nonzero(pixels.min(2) < 235)
    return pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def squared(pixels: RGB) -> RGB:
    """Pad a photo with white to a square, as marketplaces demand."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def side_by_side(pictures: Sequence[RGB]) -> RGB:
    """Objects on one white ground."""
    ground = np.full((400, 640, 3), 255, np.uint8)
    for left, picture in zip((30, 350), pictures, strict=True):
        thing = object_of(picture)
        scale = 260 / max(thing.shape[:2])
        thing = rgb(cv2.resize(thing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        ground[70 : 70 + thing.shape[0], left : left + thing.shape[1]] = thing
    return ground


def clean_photos(shops: dict[str, Photos]) -> Iterator[tuple[str, list[RGB]]]:
    """Photos that nothing is wrong with, by kind."""
    for shop, photos in shops.items():
        pictures = [picture for own in photos.values() for picture in own]
        cut_out = [picture for picture in pictures if is_cut_out(picture)]
        yield f"{shop}: as it is", pictures
        yield f"{shop}: padded to a square", [saved(squared(one)) for one in pictures]
        if shop == "clutter":  # in Luma, people wear it
            trimmed = [object_of(picture) for picture in cut_out]
            yield f"{shop}: trimmed", [saved(one) for one in trimmed]
            yield f"{shop}: trimmed, padded", [saved(squared(one)) for one in trimmed]
            pairs = [side_by_side((one, rgb(one[:, ::-1]))) for one in cut_out]
            yield f"{shop}: a pair", [saved(one) for one in pairs]
            both = [
                side_by_side(own[:2])
                for own in photos.values()
                if len(own) > 1 and all(map(is_cut_out, own[:2]))
            ]
            yield f"{shop}: one good from two sides", [saved(one) for one in both]


# -- collages ------------------------------------------------------------------------------------


def cell(picture: RGB) -> RGB:
    """A picture cut to a square, its middle kept."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb(
        cv2.resize(
            picture[top : top + side, left : left + side],
            (CELL_PX, CELL_PX),
            interpolation=cv2.INTER_AREA,
        )
    )


def grid(
    pictures: Sequence[RGB], columns: int, gutter_px: int = 0, colour: tuple[int, ...] = (255,) * 3
) -> RGB:
    """Pictures in a grid, with gutters of one colour between them."""
    rows = []
    for first in range(0, len(pictures), columns):
        row: list[RGB] = []
        for picture in pictures[first : first + columns]:
            row += [np.full((CELL_PX, gutter_px, 3), colour, np.uint8), cell(picture)]
        joined = np.hstack(row[1:])
        rows += [np.full((gutter_px, joined.shape[1], 3), colour, np.uint8), joined]
    return np.vstack(rows[1:])


def with_detail(pictures: Sequence[RGB], frame_px: int) -> RGB:
    """A picture with another one in its corner, a third of the side long."""
    picture = cv2.resize(cell(pictures[0]), (720, 720), interpolation=cv2.INTER_CUBIC)
    detail = cell(pictures[1])[60:300, 60:300]
    if frame_px:
        frame = (frame_px,) * 4
        detail = rgb(cv2.copyMakeBorder(detail, *frame, cv2.BORDER_CONSTANT, value=(40, 40, 40)))
    picture[-len(detail) - 8 : -8, -len(detail) - 8 : -8] = detail
    return rgb(picture)


GREY: Final = (200, 200, 200)
BLACK: Final = (0, 0, 0)
COLLAGES: Final[dict[str, tuple[int, Callable[[Sequence[RGB]], RGB]]]] = {
    "2 × 1": (2, lambda some: grid(some, 2)),
    "1 × 2": (2, lambda some: grid(some, 1)),
    "2 × 2": (4, lambda some: grid(some, 2)),
    "3 × 1": (3, lambda some: grid(some, 3)),
    "2 × 1, white gutter": (2, lambda some: grid(some, 2, 10)),
    "2 × 1, grey gutter": (2, lambda some: grid(some, 2, 10, GREY)),
    "2 × 2, black gutter": (4, lambda some: grid(some, 2, 6, BLACK)),
    "3 × 1, white gutter": (3, lambda some: grid(some, 3, 10)),
    "a detail in the corner": (2, lambda some: with_detail(some, 0)),
    "a detail in the corner, framed": (2, lambda some: with_detail(some, 3)),
}
"""Kind → how many pictures it takes, and how it is made."""


def collages(shops: dict[str, Photos]) -> Iterator[tuple[str, list[RGB]]]:
    """Collages of different products' photos, by shop and kind."""
    for shop, photos in shops.items():
        pictures = [own[0] for own in photos.values()]
        for kind, (count, made) in COLLAGES.items():
            rng = np.random.default_rng(len(kind))
            chosen = [rng.permutation(len(pictures))[:count] for _ in range(MADE)]
            yield f"{shop}: {kind}", [saved(made([pictures[i] for i in some])) for some in chosen]


# -- the report ----------------------------------------------------------------------------------


def flagged(pictures: Sequence[RGB]) -> dict[str, Any]:
    """How many are flagged: for panels, for several objects, for either."""
    finder = NoFaces()
    panels = np.array([measure(p, width=p.shape[1], height=p.shape[0]).panels for p in pictures])
    objects = np.array([measure_content(p, finder).objects for p in pictures])
    return {
        "photos": len(pictures),
        "panels": int((panels > 1).sum()),
        "objects": int((objects > 1).sum()),
        "either": int(((panels > 1) | (objects > 1)).sum()),
    }


def rates(clean: dict[str, Any], made: dict[str, Any]) -> dict[str, float]:
    """Recall, false alarms, and the precision that they give where `SHARE` are collages."""

    def share(found: dict[str, Any], of: str) -> float:
        return sum(one[of] for one in found.values()) / sum(one["photos"] for one in found.values())

    figures: dict[str, float] = {}
    for of in ("panels", "either"):
        recall, alarms = share(made, of), share(clean, of)
        right = SHARE * recall
        figures |= {
            f"{of}: recall": recall,
            f"{of}: false alarms": alarms,
            f"{of}: precision at {SHARE:.0%}": right / (right + (1 - SHARE) * alarms),
        }
    return {name: round(value, 4) for name, value in figures.items()}


def main(split: str, label: str) -> None:
    """Print and write the figures of one half under a label, next to those of others."""
    cv2.setNumThreads(1)
    shops = galleries(split)
    clean = {kind: flagged(pictures) for kind, pictures in clean_photos(shops)}
    made = {kind: flagged(pictures) for kind, pictures in collages(shops)}
    for title, found in (("clean", clean), ("collages", made)):
        rows = [(kind, *one.values()) for kind, one in found.items()]
        print_table(f"{title}, flagged ({split}, {label})", ("", *next(iter(found.values()))), rows)
    overall = rates(clean, made)
    print_table(f"{split}, {label}", tuple(overall), [tuple(overall.values())])
    path = RESULTS / f"collages-{split}.json"
    known = json.loads(path.read_text())["figures"] if path.exists() else {}
    write_json(path.stem, {**known, label: {"clean": clean, "collages": made, "overall": overall}})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev", sys.argv[2] if len(sys.argv) > 2 else "after")
