from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from conftest import SHAPES, SHARED, draw
from satchel.curate.content import measure_content
from satchel.curate.faces import CENTERFACE, FaceFinder, _overlap, _peaks
from satchel.curate.shop_mark import find_mark, mark_share
from satchel.errors import EncoderError
from satchel.images import RGB, decode, encode_jpeg

MAISON = Path(__file__).resolve().parents[2] / "examples" / "maison" / "photos"
FACES, WATERMARK = 0.15, 0.3


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load()


def blank(size_wh: tuple[int, int] = (640, 480), shade: int = 250) -> RGB:
    return np.full((*size_wh[::-1], 3), shade, np.uint8)


def with_box(picture: RGB, xywh: tuple[int, int, int, int], colour: tuple[int, int, int]) -> RGB:
    x, y, w, h = xywh
    out = picture.copy()
    out[y : y + h, x : x + w] = colour
    return out


def stamped(picture: RGB, text: str, at: tuple[int, int], *, size: float, opacity: float) -> RGB:
    layer = picture.copy()
    cv2.putText(layer, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 20), 2, cv2.LINE_AA)
    mixed = cv2.addWeighted(layer, opacity, picture, 1 - opacity, 0)
    return decode(encode_jpeg(mixed.astype(np.uint8), 85), min_side_px=None)


def maison(every: int) -> Sequence[RGB]:
    return [decode(path.read_bytes()) for path in sorted(MAISON.glob("**/*.jpg"))[::every]]


# -- faces -------------------------------------------------------------------------------------


def test_boxes_are_read_from_the_maps_as_computed_by_hand() -> None:
    """A peak at row 3, column 5 with a size of 4 × 2 cells: middle (22, 14) px, 8 wide, 16 high."""
    heat = np.zeros((8, 10), np.float32)
    log_size = np.zeros((2, 8, 10), np.float32)
    heat[3, 5], heat[3, 4] = 0.9, 0.7  # the neighbour is on the slope of the same peak
    heat[7, 0] = 0.4  # not sure enough
    log_size[:, 3, 5] = np.log(4), np.log(2)
    assert _peaks(heat, log_size) == pytest.approx(np.array([[18, 6, 26, 22]]))


def test_of_boxes_that_overlap_the_surest_is_kept() -> None:
    heat = np.zeros((8, 10), np.float32)
    log_size = np.full((2, 8, 10), np.log(4), np.float32)
    heat[3, 3], heat[3, 5], heat[3, 9] = 0.8, 0.9, 0.7
    # 16 px wide each; the first two are 8 px apart (8 / 24 shared), the third 16 px further.
    assert _overlap(np.array([0, 0, 16, 16.0]), np.array([8, 0, 24, 16.0])) == pytest.approx(1 / 3)
    assert _peaks(heat, log_size)[:, 0] == pytest.approx([14, 30])


def test_products_have_no_faces(finder: FaceFinder) -> None:
    for photo in [*maison(7), *(draw(shape) for shape in SHAPES)]:
        assert measure_content(photo, finder).faces < FACES


def test_an_altered_model_is_refused(tmp_path: Path) -> None:
    card = json.loads(CENTERFACE.read_text())
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(EncoderError, match="expected the model at"):
        FaceFinder.load(tmp_path / "card.json")
    (tmp_path / card["file"]).write_bytes(b"another model")
    with pytest.raises(EncoderError, match="SHA-256"):
        FaceFinder.load(tmp_path / "card.json")


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(EncoderError, match="cannot load"):
        FaceFinder(b"no model", threads=1)


@pytest.mark.shared
def test_a_face_is_found_where_someone_wears_glasses(finder: FaceFinder) -> None:
    """The boxes of eyewear in street photos were drawn by people, not by a face finder."""
    coco = json.loads((SHARED / "data" / "street" / "val.json").read_text())
    eyewear = next(kind["id"] for kind in coco["categories"] if kind["name"] == "eyewear")
    names = {image["id"]: Path(image["file_name"]).name for image in coco["images"]}
    worn = [a for a in coco["annotations"] if a["category_id"] == eyewear and a["bbox"][2] >= 24]
    found, large = 0, 0
    for glasses in worn[:20]:
        file = SHARED / "data" / "street" / "images" / names[glasses["image_id"]]
        photo = decode(file.read_bytes())
        x, y, w, h = (round(v) for v in glasses["bbox"])
        top, left = max(0, y - w), max(0, x - w // 2)
        crop = np.ascontiguousarray(photo[top : y + h + round(1.5 * w), left : x + w + w // 2])
        boxes = finder.find(crop)
        size = np.array([crop.shape[1], crop.shape[0]] * 2)
        middle = np.array([x - left + w / 2, y - top + h / 2])
        inside = [(box[:2] < middle).all() and (middle < box[2:]).all() for box in boxes * size]
        found += any(inside)
        large += measure_content(crop, finder).faces >= FACES
    assert len(worn) >= 20
    assert found >= 19
    assert large >= 18


@pytest.mark.shared
def test_a_whole_person_is_no_face(finder: FaceFinder) -> None:
    photos = sorted((SHARED / "data" / "street" / "images").glob("*.jpg"))[::25]
    seen = [measure_content(decode(path.read_bytes()), finder) for path in photos]
    assert len(seen) == 40
    assert all(figures.faces < FACES for figures in seen)
    assert all((figures.watermark, figures.objects) == (0, 1) for figures in seen)


# -- watermark ---------------------------------------------------------------------------------


@pytest.mark.parametrize("opacity", [0.3, 0.7, 1.0])
def test_text_beside_the_product_is_found(finder: FaceFinder, opacity: float) -> None:
    for photo in maison(11):
        large = cv2.resize(photo, (720, 720), interpolation=cv2.INTER_CUBIC)
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
    large = cv2.resize(small, (1800, 1350), interpolation=cv2.INTER_CUBIC)
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


# -- a shop's mark -----------------------------------------------------------------------------


def shop(n: int, seed: int = 0) -> list[RGB]:
    """Different drawn products on cluttered ground."""
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(n):
        noise = cv2.GaussianBlur(rng.normal(size=(240, 320, 3)), (0, 0), 5) * 250
        drawn = draw(SHAPES[number % len(SHAPES)], seed=seed + number).astype(float)
        photos.append(np.clip(drawn * 0.7 + noise + 20, 0, 255).astype(np.uint8))
    return photos


def mark_all(photos: Sequence[RGB]) -> list[RGB]:
    return [stamped(p, "© resale.example", (20, 130), size=1.0, opacity=0.5) for p in photos]


def test_what_a_shop_stamps_is_found_across_the_products() -> None:
    marked, clean = mark_all(shop(24)), shop(12, seed=100)
    mark = find_mark(marked)
    assert mark is not None
    rows = mark.at // 320
    # Letters stand on the line y = 130 of 240 and are 22 high, with g and p 9 below: of 320 rows,
    # 144 to 185.
    assert np.percentile(rows, 2) > 120
    assert np.percentile(rows, 98) < 190
    assert min(mark_share(photo, mark) for photo in marked) >= 0.5
    assert max(mark_share(photo, mark) for photo in clean) < 0.3
    again = mark_all(clean)
    assert min(mark_share(photo, mark) for photo in again) >= 0.5, "photos it was not found in"


def test_photos_without_a_mark_have_nothing_in_common() -> None:
    assert find_mark(shop(24)) is None
    assert find_mark(maison(1)[:30]) is None


def test_too_few_photos_say_nothing() -> None:
    assert find_mark(mark_all(shop(23))) is None
    assert find_mark([]) is None


def test_a_mark_on_half_of_the_photos_is_not_taken_for_the_shops() -> None:
    assert find_mark([*mark_all(shop(12)), *shop(12, seed=50)]) is None


def naive_share(
    photo: RGB, mark_at: npt.NDArray[np.intp], gradients: npt.NDArray[np.float32]
) -> float:
    """`carries`, place by place, with differences instead of a filter."""
    grey = cv2.cvtColor(
        cv2.resize(photo, (320, 320), interpolation=cv2.INTER_LINEAR), cv2.COLOR_RGB2GRAY
    ).astype(int)
    hits = 0
    for place, (gx, gy) in zip(mark_at, gradients.T, strict=True):
        r, c = divmod(int(place), 320)
        near = grey[r - 1 : r + 2, c - 1 : c + 2]
        across = near[:, 2] - near[:, 0]
        down = near[2] - near[0]
        x, y = (int(d[0] + 2 * d[1] + d[2]) // 4 for d in (across, down))
        hits += 0.5 < (x * gx + y * gy) / (gx * gx + gy * gy) < 2
    return hits / len(mark_at)


def test_share_of_a_mark_is_that_of_a_slow_count() -> None:
    marked = mark_all(shop(24))
    mark = find_mark(marked)
    assert mark is not None
    for photo in (marked[0], shop(3, seed=9)[2]):
        assert mark_share(photo, mark) == pytest.approx(naive_share(photo, mark.at, mark.gradients))
