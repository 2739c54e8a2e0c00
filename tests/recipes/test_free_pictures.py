"""The free pictures of the built-in encoder's recipe, from small folders of their shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.errors import UsageError
from satchel.images import decode
from satchel.records import WHOLE_PHOTO, Box

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from recipes.free_pictures import emoji, street, training_photos


def webp(path: Path) -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 16:48] = (200, 30, 30, 255)
    Image.fromarray(picture).save(path, lossless=True)


def test_emoji_that_differ_by_a_tone_of_skin_are_one(tmp_path: Path) -> None:
    for name in ("1f45c", "1f44b", "1f44b-1f3fb", "1f44b-1f3ff"):
        webp(tmp_path / f"{name}.webp")
    assert [picture.path.stem for picture in emoji(tmp_path)] == ["1f44b", "1f45c"]
    shown = decode(emoji(tmp_path)[0].read())
    assert shown[0, 0].tolist() == [255] * 3  # what is transparent is white
    with pytest.raises(UsageError, match="WebP"):
        emoji(tmp_path / "none")


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """One photo, 200 × 400: a green bag, a small shoe, a large belt."""
    photo = np.full((400, 200, 3), 128, np.uint8)
    photo[100:200, 50:150] = (0, 160, 0)
    (tmp_path / "images").mkdir()
    Image.fromarray(photo).save(tmp_path / "images" / "a.jpg", quality=95)
    boxes = {"bag": [50, 100, 100, 100], "shoe": [0, 0, 30, 30], "belt": [0, 0, 100, 100]}
    told = {
        "categories": [{"id": number, "name": name} for number, name in enumerate(boxes)],
        "images": [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 400}],
        "annotations": [
            {"image_id": 7, "category_id": number, "bbox": box}
            for number, box in enumerate(boxes.values())
        ],
    }
    (tmp_path / "train.json").write_text(json.dumps(told))
    return tmp_path


def test_boxes_of_things_and_whole_people(streets: Path) -> None:
    bag, person = street(streets / "train.json", streets / "images")
    assert (person.within, person.box) == (WHOLE_PHOTO, None)
    shown = decode(bag.read())
    assert shown.shape[:2] == (130, 130)  # 100 pixels and 15 around them
    assert bag.box is not None
    x0, y0, x1, y1 = np.round(np.array([bag.box.x0, bag.box.y0, bag.box.x1, bag.box.y1]) * 130)
    inside = shown[int(y0) + 2 : int(y1) - 2, int(x0) + 2 : int(x1) - 2].astype(int)
    assert np.abs(inside - (0, 160, 0)).max() < 20
    assert np.abs(shown[:10].astype(int) - 128).max() < 20


def test_each_picture_is_a_product_and_people_are_found(streets: Path) -> None:
    class Sees:
        """Finds its object in the upper left quarter."""

        crop_shape = CropShape(32)
        n_passes = 3

        def encode(self, crops: np.ndarray) -> EncoderOutput:
            saliency = np.zeros((len(crops), 4, 4), np.float32)
            saliency[:, :2, :2] = 1
            return EncoderOutput(np.ones((len(crops), 2), np.float32) / np.sqrt(2), saliency)

    photos = training_photos(street(streets / "train.json", streets / "images"), Sees())
    assert photos.labels.tolist() == [0, 1]
    assert isinstance(photos.boxes[1], Box)
    assert (photos.boxes[1].x1, photos.boxes[1].y1) < (0.7, 0.7)
    assert decode(photos.read("1")).shape == (400, 200, 3)
