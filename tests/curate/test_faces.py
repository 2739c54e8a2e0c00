from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, SHARED, draw
from satchel.curate.content import measure_content
from satchel.curate.faces import CENTERFACE, FaceFinder, _overlap, _peaks
from satchel.errors import EncoderError
from satchel.images import RGB, decode

MAISON = Path(__file__).resolve().parents[2] / "examples" / "maison" / "photos"

FACES, WATERMARK = 0.15, 0.3


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load()


def maison(every: int) -> Sequence[RGB]:
    return [decode(path.read_bytes()) for path in sorted(MAISON.glob("**/*.jpg"))[::every]]


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
