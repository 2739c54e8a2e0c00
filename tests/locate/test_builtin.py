"""The built-in detector finds the demo's goods, which it was not trained on as they are here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from satchel.images import decode, shrunk
from satchel.locate.card import CATEGORIES
from satchel.locate.locator import main_detection
from satchel.locate.onnx import OnnxLocator
from satchel.locate.query_share import whole_share
from satchel.locate.registry import BUILTIN_CARD, configured_locator
from satchel.locate.rules import BUILTIN, LocateRules
from satchel.records import Box

DEMO = Path(__file__).parents[2] / "examples" / "maison"
QUERIES, PHOTOS = DEMO / "queries", DEMO / "photos"
MOST_BYTES = 10_000_000

GOODS = {
    "IMG_2041.jpg": Box(0.25, 0.18, 0.83, 0.83),
    "IMG_7713.jpg": Box(0.27, 0.15, 0.78, 0.80),
    "photo_19.jpg": Box(0.30, 0.20, 0.69, 0.80),
    "DSC_0152.jpg": Box(0.17, 0.26, 0.84, 0.69),
}
"""The box of each demo photo's good, as drawn by hand: two bags, a watch, glasses."""


@pytest.fixture(scope="module")
def builtin() -> OnnxLocator:
    file = configured_locator(LocateRules(model=BUILTIN), Path())
    assert file is not None
    return file.load()


def test_the_file_is_small_and_knows_the_categories(builtin: OnnxLocator) -> None:
    assert BUILTIN_CARD.with_name(builtin.card.file).stat().st_size <= MOST_BYTES
    assert builtin.card.class_names == CATEGORIES
    assert builtin.card.main_score is not None


@pytest.mark.parametrize("name", GOODS)
def test_the_main_good_of_a_photo_is_found(builtin: OnnxLocator, name: str) -> None:
    photo = decode((QUERIES / name).read_bytes())
    main = main_detection(builtin.locate([photo])[0])
    assert main is not None
    assert main.box.iou(GOODS[name]) > 0.45
    assert whole_share(photo, main) < 1


def test_of_five_bags_all_are_found_and_one_is_the_main_one(builtin: OnnxLocator) -> None:
    photo = np.full((1000, 1300, 3), 235, np.uint8)
    places = ((20, 60), (450, 40), (880, 70), (220, 540), (680, 560))
    codes = ("MO1101", "MO2204", "MO3310", "MO4330", "MO3418")
    for code, (x, y) in zip(codes, places, strict=True):
        bag = shrunk(decode((PHOTOS / code / "1.jpg").read_bytes(), min_side_px=None), 380)
        photo[y : y + bag.shape[0], x : x + bag.shape[1]] = bag
    found = builtin.locate([photo])[0]
    assert len(found) == 5
    assert [one.category for one in found].count("bag") >= 4
    assert [one.main is not None for one in found].count(True) == 1
    for x, y in places:  # each has a box whose middle is on it
        assert any(
            x < 650 * (one.box.x0 + one.box.x1) < x + 380
            and y < 500 * (one.box.y0 + one.box.y1) < y + 380
            for one in found
        )


@pytest.mark.parametrize("value", [0, 128, 255, (30, 200, 30), "noise"])
def test_a_photo_of_nothing_has_no_product(
    builtin: OnnxLocator, value: int | tuple[int, int, int] | str
) -> None:
    photo = np.random.default_rng(0).integers(110, 190, (600, 800, 3)).astype(np.uint8)
    if value != "noise":
        photo[:] = value
    assert builtin.locate([photo]) == [[]]
