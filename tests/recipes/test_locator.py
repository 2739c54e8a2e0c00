"""Scenes of the built-in detector's recipe, from tiny inputs of their shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from recipes.locator import recipe, sprites
from recipes.locator.draft import Draft
from recipes.locator.glasses import glasses_sprites
from recipes.locator.goods import Sprite, recoloured, turned
from recipes.locator.people import people_sprites
from recipes.locator.scenes import DEFAULTS, Scenes
from recipes.locator.sprites import emoji_sprites, rendered_sprites
from recipes.locator.stem import AfterStem, StemMaps
from recipes.locator.stock import Stock
from recipes.locator.street import (
    StreetPhoto,
    cut_part,
    street_photos,
    street_sprites,
    with_pairs,
)
from recipes.maison.models import MODELS
from satchel.adapt.compose.drawing import draw
from satchel.images import RGB
from satchel.locate.card import CATEGORIES
from satchel.locate.onnx import OnnxLocator
from satchel.progress import SILENT
from satchel.records import Box, Detection
from satchel.train.batches import Step
from satchel.train.locator.figures import Boxes
from satchel.train.locator.lite0 import Lite0Detector
from satchel.train.locator.training import LocatorTask

BAG, SHOE, BELT = (CATEGORIES.index(name) for name in ("bag", "shoe", "belt"))


def disc(category: str = "bag", side: int = 60) -> Sprite:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    mask = np.where(x**2 + 2 * y**2 < (side / 2) ** 2, 255, 0).astype(np.uint8)
    colours = np.stack([mask, mask // 2, mask // 8], 2)
    sprite = Sprite.of(np.dstack([colours, mask]), category)
    assert sprite is not None
    return sprite


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """Two photos, 120 × 180: a red bag, two shoes of a pair, a belt; a third photo without any."""
    (tmp_path / "images").mkdir()
    boxes = [
        ("bag", (20, 30, 50, 44)),
        ("shoe", (30, 150, 20, 16)),
        ("shoe", (56, 152, 20, 16)),
        ("belt", (60, 90, 30, 12)),
        ("tie", (0, 0, 30, 30)),
    ]
    photo = np.random.default_rng(0).integers(90, 130, (180, 120, 3)).astype(np.uint8)
    cv2.ellipse(photo, (45, 52), (25, 22), 0, 0, 360, (250, 10, 10), -1)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(photo).save(tmp_path / "images" / name)
    names = sorted({name for name, _ in boxes})
    data = {
        "categories": [{"id": at, "name": name} for at, name in enumerate(names)],
        "images": [{"id": at, "file_name": f"{name}.png"} for at, name in enumerate("abc")],
        "annotations": [
            {"image_id": image, "category_id": names.index(name), "bbox": box}
            for image in (0, 1)
            for name, box in boxes
        ],
    }
    for part in ("train", "val"):
        (tmp_path / f"{part}.json").write_text(json.dumps(data))
    return tmp_path


@pytest.fixture
def photos(street: Path) -> list[StreetPhoto]:
    return street_photos(street / "train.json", street / "images")


def test_emoji_are_sorted_by_their_names(tmp_path: Path) -> None:
    drawn = np.zeros((64, 64, 4), np.uint8)
    drawn[8:56, 16:48] = (200, 30, 30, 255)
    # handbag, sneaker, apple; a face, a person with a skirt of two code points, a man's shoe
    for name in ("1f45c", "1f45f", "1f34e", "1f600", "1f9d1-200d-1f3a4", "1f45e"):
        Image.fromarray(drawn).save(tmp_path / f"{name}.webp", lossless=True)
    found = [CATEGORIES[one.label] for one in emoji_sprites(tmp_path)]
    assert found == ["other product", "bag", "shoe", "shoe"]


def test_glasses_depend_on_their_number_alone() -> None:
    three, two = glasses_sprites(3), glasses_sprites(2)
    assert all((a.pixels == b.pixels).all() for a, b in zip(three, two, strict=False))
    assert three[0].pixels.shape != three[1].pixels.shape
    for one in three:
        assert CATEGORIES[one.label] == "eyewear"
        assert (one.pixels[..., :3] <= one.pixels[..., 3:]).all()  # premultiplied


def test_goods_are_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sprites, "MODELS", [m for m in MODELS if m.category == "Watch"])
    monkeypatch.setattr(sprites, "RENDERED_PX", 32)
    first = rendered_sprites(tmp_path, views=1)
    assert [CATEGORIES[one.label] for one in first] == ["watch"]
    monkeypatch.delattr(sprites, "_render")
    (again,) = rendered_sprites(tmp_path, views=1)
    assert (again.pixels == first[0].pixels).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_box_is_what_is_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = turned(disc(), float(rng.uniform(-180, 180)), 0.35, rng)
    good = good.fitted(np.array([40.0, 50.0, 140.0, 130.0]))
    canvas = np.zeros((200, 200, 3), np.uint8)
    draw(canvas, good.sprite.pixels, good.matrix)
    ys, xs = np.nonzero(canvas[..., 0] > 127)
    seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert good.box == pytest.approx(np.array(seen), abs=1.5)
    assert good.box[2] - good.box[0] == pytest.approx(100)
    assert (good.box[:2] + good.box[2:]) / 2 == pytest.approx(np.array([90, 90]))


def test_a_mirrored_good_keeps_its_outline() -> None:
    sprite = disc()
    pixels = sprite.pixels.copy()
    pixels[:, :20] = 0
    half = Sprite.of(pixels, "bag")
    assert half is not None
    other = Sprite.of(half.mirrored().pixels, "bag")
    assert other is not None
    for outline in (half.mirrored().outline, other.outline):
        assert outline[:, 0].min() == pytest.approx(other.outline[:, 0].min(), abs=1)
        assert outline[:, 0].max() == pytest.approx(other.outline[:, 0].max(), abs=1)


def test_recoloured_goods_stay_premultiplied() -> None:
    texture = np.random.default_rng(1).integers(0, 256, (30, 30, 3)).astype(np.uint8)
    for seed in range(8):
        found = recoloured(disc(), texture, np.random.default_rng(seed))
        assert (found.pixels[..., :3] <= found.pixels[..., 3:]).all()
        assert (found.pixels[..., 3] == disc().pixels[..., 3]).all()


def test_pairs_of_shoes_are_one(photos: list[StreetPhoto]) -> None:
    first, _, last = photos
    assert len(first.boxes) == 4  # a tie is none of the categories
    assert last.boxes.shape == (0, 4)
    joined = with_pairs(first)
    assert joined.labels.tolist() == [BAG, BELT, SHOE]
    assert joined.boxes[2].tolist() == [30, 150, 76, 168]
    far = replace(first, boxes=first.boxes + np.array([[0], [0], [300], [0]]))
    assert len(with_pairs(far).boxes) == 4
    assert with_pairs(last).boxes.shape == (0, 4)
    pair = float(46 * 18)
    assert with_pairs(first, least_area=pair).labels.tolist() == [BAG, BELT, SHOE]
    single = with_pairs(first, least_area=pair + 1)
    assert sorted(map(tuple, single.boxes)) == sorted(map(tuple, first.boxes))


def test_goods_are_cut_out_of_photos(photos: list[StreetPhoto]) -> None:
    found = street_sprites(photos)
    assert [one.label for one in found] == [BAG, BAG]
    height, width = found[0].pixels.shape[:2]
    assert (width, height) == pytest.approx((100, 88), abs=6)  # enlarged twice
    assert found[0].pixels[height // 2, width // 2, 0] > 200


def test_a_part_of_a_photo_has_its_boxes() -> None:
    photo = np.zeros((100, 80, 3), np.uint8)
    photo[40:60, 30:50] = 255
    box = np.array([[30.0, 40.0, 50.0, 60.0]])
    cut, boxes = cut_part(photo, box, np.array([20.0, 30.0]), np.array([40.0, 50.0]), (160, 200))
    assert cut.shape == (200, 160, 3)
    ys, xs = np.nonzero(cut[..., 0] > 127)
    seen = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert boxes[0] == pytest.approx(seen, abs=1)
    cut, boxes = cut_part(
        photo, box, np.array([-20.0, -10.0]), np.array([120.0, 120.0]), (120, 120)
    )
    assert boxes[0].tolist() == [50, 50, 70, 70]
    assert cut.shape == (120, 120, 3)


class FoundPerson:
    """A locator that finds one person, in the same place of every photo."""

    id, pad = "stub", 0.0

    def __init__(self, box: Box) -> None:
        self._box = box

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        return [[Detection(self._box, "person", 0.9)] for _ in photos]


def test_people_are_cut_out_in_parts(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(90, 130, (200, 120, 3)).astype(np.uint8)
    photo[20:180, 40:80] = (20, 200, 30)
    Image.fromarray(photo).save(tmp_path / "p.png")
    photos = [StreetPhoto(tmp_path / "p.png", np.empty((0, 4)), np.empty(0, np.int64))] * 2
    found = people_sprites(photos, FoundPerson(Box(0.3, 0.08, 0.7, 0.92)))
    assert [CATEGORIES[one.label] for one in found] == ["garment"] * 3
    heights = [len(one.pixels) for one in found]
    assert heights == pytest.approx([0.43 * 160, 0.55 * 160, 0.9 * 160], abs=8)
    assert people_sprites(photos, FoundPerson(Box(0.3, 0.6, 0.7, 0.92))) == []  # too small


@pytest.fixture
def stock(photos: list[StreetPhoto]) -> Stock:
    return Stock({"street": [disc(), disc("shoe", 40)], "glasses": glasses_sprites(2)}, photos)


def test_a_scene_is_a_function_of_seed_and_number(stock: Stock) -> None:
    settings = replace(DEFAULTS, side_px=96)
    ours, theirs = (Scenes(stock, 40, 7, settings) for _ in range(2))
    assert ours.main_first
    for at in (3, 0, 11):
        for mine, other in zip(ours[at], theirs[at], strict=True):
            np.testing.assert_array_equal(mine, other)
    assert any((ours[0][0].shape != ours[at][0].shape) for at in range(1, 9))
    assert (ours[5][0].shape != Scenes(stock, 40, 8, settings)[5][0].shape) or (
        ours[5][0] != Scenes(stock, 40, 8, settings)[5][0]
    ).any()
    with pytest.raises(IndexError):
        ours[40]


def test_every_box_lies_in_its_scene(stock: Stock) -> None:
    scenes = Scenes(stock, 60, 0, replace(DEFAULTS, side_px=96))
    sizes = []
    for at in range(60):
        pixels, boxes, labels = scenes[at]
        height, width = pixels.shape[:2]
        assert max(height, width) == 96
        assert pixels.dtype == np.uint8
        assert boxes.dtype == np.float32
        assert len(boxes) == len(labels) >= 1
        assert (boxes >= 0).all()
        assert (boxes <= np.array([width, height] * 2)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        sizes.append(np.prod(boxes[0, 2:] - boxes[0, :2]) / (width * height))
    assert min(sizes) < 0.1
    assert max(sizes) > 0.8


def only(kind: str | None, **changes: object) -> dict[str, object]:
    kinds = {one: float(one == kind) for one in ("zoomed", "whole", "studio", "shelves")}
    return {"side_px": 96, **kinds, **changes}


def scenes_of(stock: Stock, changes: dict[str, object]) -> Scenes:
    return Scenes(stock, 30, 2, replace(DEFAULTS, **changes))  # type: ignore[arg-type]


def test_goods_larger_than_the_frame_fill_it(stock: Stock) -> None:
    scenes = scenes_of(stock, only(None, large=1.0, large_size=(1.25, 1.3), cut_off=0.0))
    covered = []
    for at in range(30):
        pixels, boxes, _ = scenes[at]
        covered.append(np.prod(boxes[0, 2:] - boxes[0, :2]) / pixels[..., 0].size)
    assert max(covered) > 0.95
    assert np.mean(covered) > 0.6  # the others are as large as fits


def test_goods_are_cut_off_by_the_edge(stock: Stock) -> None:
    changes = only(None, large=0.0, main_size=(0.1, 0.12), pairs=0.0, cut_off=1.0)
    scenes = scenes_of(stock, changes)
    at_the_edge = 0
    for at in range(30):
        pixels, boxes, _ = scenes[at]
        height, width = pixels.shape[:2]
        gaps = [boxes[0, 0], boxes[0, 1], width - boxes[0, 2], height - boxes[0, 3]]
        at_the_edge += min(gaps) < 0.5
    assert at_the_edge == 30


def test_a_studio_shows_one_good(stock: Stock) -> None:
    scenes = scenes_of(stock, only("studio"))
    assert {len(scenes[at][1]) for at in range(30)} == {1}


def test_the_main_good_on_a_shelf_is_central(stock: Stock) -> None:
    scenes = scenes_of(stock, only("shelves"))
    for at in range(30):
        pixels, boxes, labels = scenes[at]
        assert len(boxes) >= 2
        assert len(set(labels.tolist())) == 1
        sides = np.array([pixels.shape[1], pixels.shape[0]] * 2)
        assert Boxes.true(boxes / sides, labels).main_place() == 0


def test_zoomed_scenes_show_one_good_of_a_photo(stock: Stock) -> None:
    scenes = scenes_of(replace(stock, sprites={}), only("zoomed"))  # nothing to compose
    labels = {int(scenes[at][2][0]) for at in range(30)}
    assert labels == {BAG, SHOE, BELT}


def test_a_whole_photo_shows_small_shoes_one_by_one(stock: Stock) -> None:
    scenes = scenes_of(stock, only("whole", side_px=180, pair_size=1.0))
    _, boxes, labels = scenes[0]
    assert sorted(labels.tolist()) == sorted([BAG, SHOE, SHOE, BELT])
    assert labels[0] == BAG  # the largest
    assert boxes[0, 2:] - boxes[0, :2] == pytest.approx([50, 44])
    scenes = scenes_of(stock, only("whole", side_px=180, pair_size=0.01))
    assert sorted(scenes[0][2].tolist()) == sorted([BAG, SHOE, BELT])


def test_maps_of_the_stem_are_written_once(tmp_path: Path, stock: Stock) -> None:
    scenes = Scenes(stock, 2, 0, replace(DEFAULTS, side_px=64))
    network = Lite0Detector(len(CATEGORIES)).eval()
    maps = StemMaps(tmp_path, 2)
    maps.write(scenes, network, side_px=64, seed=0, bar=SILENT)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    maps.write(scenes, network, side_px=64, seed=0, bar=SILENT)
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (batch,) = maps.batches([Step(0, 0, np.array([1, 0]), 64)])
    assert batch.images.shape == (2, 8, 8, 40)
    (_, boxes, labels), main = maps.view(1)
    assert (batch.labels[0, : len(labels)] == labels).all()
    assert (batch.boxes[0, : len(boxes)] == boxes).all()
    assert batch.mains[0] == main
    given = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        after = AfterStem(network)(given)
    assert after.classes.shape == (2, 64 + 16 + 4, len(CATEGORIES))


def test_only_what_is_visible_has_a_box() -> None:
    canvas = np.zeros((100, 100, 3), np.uint8)
    boxes = [
        (np.array([-60.0, 0, 40, 50]), 1),  # 40 % shows
        (np.array([-70.0, 0, 30, 50]), 2),  # 30 %
        (np.array([20.0, 20, 25, 60]), 3),  # 5 pixels wide
        (np.array([-90.0, -90, 10, 10]), 4),  # 1 %, but the main one
    ]
    found, labels = Draft(canvas, boxes, 3).visible()
    assert labels.tolist() == [4, 1]
    assert found.tolist() == [[0, 0, 10, 10], [0, 0, 40, 50]]
    mirrored, _ = Draft(canvas, boxes, 3).mirrored().visible()
    assert mirrored.tolist() == [[90, 0, 100, 10], [60, 0, 100, 50]]


def test_the_recipe_end_to_end(
    tmp_path: Path, stock: Stock, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {"epochs": 1, "batch": 2, "photos_per_epoch": 4, "side_px": 64, "precision": "fp32"}
    monkeypatch.setattr(recipe, "SETTINGS", recipe.SETTINGS.model_copy(update=tiny))
    monkeypatch.setattr(recipe, "VAL_SCENES", 3)
    val = recipe.val_scenes(street_photos(street / "val.json", street / "images"))
    assert len(val) == 3
    scenes = Scenes(stock, 8, 0, replace(DEFAULTS, side_px=64))
    runs, out = tmp_path / "runs", tmp_path / "out"
    runs.mkdir()
    out.mkdir()
    best = recipe.train(LocatorTask(CATEGORIES, scenes, val), runs / "r", SILENT)
    card = recipe.write_builtin(out, best, val)
    assert card.main_score is not None
    assert {"main_iou", "ap"} <= set(card.figures)
    locator = OnnxLocator.load(out / "satchel-locator.json")
    boxes, scores, main = locator.predict(scenes[0][0])
    assert main is not None
    assert boxes.shape == (len(main), 4)
    assert scores.shape == (len(main), len(CATEGORIES))
    assert main.sum() == pytest.approx(1, abs=1e-4)
