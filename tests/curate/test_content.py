from __future__ import annotations

import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from conftest import SHARED
from satchel.curate.content import measure_content
from satchel.curate.faces import FaceFinder
from satchel.images import decode
from support.pictures import blank, maison, rgb, stamped, with_box

FACES, WATERMARK = 0.15, 0.3


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load()


# -- watermark ---------------------------------------------------------------------------------


@pytest.mark.parametrize("opacity", [0.3, 0.7, 1.0])
def test_text_on_the_background_is_found(finder: FaceFinder, opacity: float) -> None:
    for photo in maison(11):
        large = rgb(cv2.resize(photo, (720, 720), interpolation=cv2.INTER_CUBIC))
        assert measure_content(large, finder).watermark < WATERMARK
        marked = stamped(large, "SHOP-24", (12, 700), size=0.9, opacity=opacity)
        assert measure_content(marked, finder).watermark >= WATERMARK


def test_more_text_is_more_evidence(finder: FaceFinder) -> None:
    photo = with_box(blank(), (220, 120, 200, 200), (120, 60, 40))
    lines = [photo]
    for y, text in ((60, "luxury"), (380, "handbags"), (450, "shoulder")):
        lines.append(stamped(lines[-1], text, (30, y), size=1.0, opacity=0.8))
    evidence = [measure_content(picture, finder).watermark for picture in lines]
    assert evidence[0] == 0
    assert evidence == sorted(set(evidence))


def test_a_print_on_a_white_carton_is_no_watermark(finder: FaceFinder) -> None:
    carton = blank()
    cv2.rectangle(carton, (170, 60), (470, 420), (150, 150, 150), 2)
    printed = stamped(carton, "oatmilk", (220, 240), size=1.2, opacity=1.0)
    assert measure_content(printed, finder).watermark == 0
    bare = stamped(blank(), "oatmilk", (220, 240), size=1.2, opacity=1.0)
    assert measure_content(bare, finder).watermark >= WATERMARK


def test_scattered_crumbs_are_no_text(finder: FaceFinder) -> None:
    rng = np.random.default_rng(0)
    photo = blank()
    for x, y in rng.integers((20, 20), (620, 460), (40, 2)):
        cv2.circle(photo, (int(x), int(y)), 5, (90, 60, 30), -1)
    assert measure_content(photo, finder).watermark < WATERMARK


def test_nothing_is_said_of_uneven_ground(finder: FaceFinder) -> None:
    rng = np.random.default_rng(0)
    clouds = cv2.GaussianBlur(rng.normal(size=(480, 640, 3)), (0, 0), 6)
    ground = ((clouds - clouds.min()) / np.ptp(clouds) * 255).astype(np.uint8)
    marked = stamped(ground, "www.shop-24.example", (40, 400), size=1.5, opacity=1.0)
    figures = measure_content(with_box(marked, (400, 50, 100, 100), (0, 0, 0)), finder)
    assert (figures.watermark, figures.objects) == (0.0, 1)


# -- several objects ---------------------------------------------------------------------------

RED, BLUE, GREEN = (180, 30, 30), (30, 50, 170), (30, 130, 60)


def test_objects_are_counted(finder: FaceFinder) -> None:
    def count(*boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> int:
        picture = blank()
        for xywh, colour in boxes:
            picture = with_box(picture, xywh, colour)
        return measure_content(picture, finder).objects

    one = ((60, 60, 150, 150), RED)
    assert count() == 1
    assert count(one) == 1
    assert count(one, ((300, 60, 150, 150), BLUE)) == 2
    assert count(one, ((300, 60, 150, 150), RED)) == 1, "a pair of the same"
    assert count(one, ((300, 60, 90, 90), RED)) == 2, "much smaller is no pair: 0.36 of the size"
    assert count(one, ((300, 60, 40, 40), BLUE)) == 1, "a tag is not comparable: 0.07 of the size"
    assert count(one, ((300, 60, 150, 150), RED), ((60, 300, 150, 150), RED)) == 3
    assert count(one, ((300, 60, 150, 150), BLUE), ((60, 300, 150, 150), GREEN)) == 3
    assert count(one, ((214, 60, 150, 150), BLUE)) == 1, "a gap of 4 pixels is no gap"


def test_a_thing_inside_a_loop_is_one_with_it(finder: FaceFinder) -> None:
    """A chain with its pendant: the pendant's box lies within the chain's."""
    picture = blank()
    cv2.ellipse(picture, (320, 200), (200, 160), 0, 0, 360, (160, 130, 30), 14)
    pendant = with_box(picture, (280, 150, 80, 100), BLUE)
    assert measure_content(pendant, finder).objects == 1
    beside = with_box(picture, (550, 360, 80, 100), BLUE)
    assert measure_content(beside, finder).objects == 2


def test_a_pair_is_one_product_and_two_products_are_two(finder: FaceFinder) -> None:
    bag, *_, watch = maison(9)
    pair = np.hstack([bag, bag[:, ::-1]])
    assert measure_content(bag, finder).objects == 1
    assert measure_content(np.ascontiguousarray(pair), finder).objects == 1
    row = np.hstack([bag, watch, maison(13)[2]])
    assert measure_content(np.ascontiguousarray(row), finder).objects == 3


# -- any photo ---------------------------------------------------------------------------------


def test_good_photos_of_products_are_left_alone(finder: FaceFinder) -> None:
    seen = [measure_content(photo, finder) for photo in maison(3)]
    assert len(seen) >= 10
    assert all((f.watermark, f.objects) == (0, 1) and f.faces < FACES for f in seen)


def test_figures_do_not_depend_on_the_scale_of_decoding(finder: FaceFinder) -> None:
    small = stamped(
        with_box(blank((600, 450)), (100, 60, 200, 200), RED),
        "resale",
        (60, 400),
        size=1.2,
        opacity=1,
    )
    small = with_box(small, (350, 60, 200, 200), BLUE)
    large = rgb(cv2.resize(small, (1800, 1350), interpolation=cv2.INTER_CUBIC))
    ours, theirs = measure_content(small, finder), measure_content(large, finder)
    assert ours.objects == theirs.objects == 2
    assert ours.watermark == pytest.approx(theirs.watermark, abs=1 / 16)


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 2000), (2000, 3), (16, 16), (161, 159)])
def test_any_size_can_be_looked_at(finder: FaceFinder, size_wh: tuple[int, int]) -> None:
    figures = measure_content(blank(size_wh), finder)
    assert json.loads(json.dumps(asdict(figures))) == {"faces": 0, "watermark": 0, "objects": 1}


@pytest.mark.shared
def test_real_product_photos_are_left_alone(finder: FaceFinder) -> None:
    data = SHARED / "data"
    files = sorted((data / "luma" / "images").glob("*_main.jpg"))[::8]
    files += sorted((data / "dreambooth").glob("*/*.jpg"))[::6]
    files += sorted((data / "grocery" / "dataset").glob("iconic*/**/*.jpg"))[::4]
    seen = [measure_content(decode(path.read_bytes()), finder) for path in files]
    assert len(seen) > 75
    wrong = [f for f in seen if f.faces >= FACES or f.watermark >= WATERMARK or f.objects > 1]
    assert len(wrong) <= 1
