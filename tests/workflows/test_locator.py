"""A detector by the command line: annotations → run → report → file that locates."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from satchel.errors import UsageError
from satchel.locate.onnx import OnnxLocator
from satchel.records import Problem
from satchel.train.locator.frozen import FrozenPhotos
from satchel.train.runs import Run
from satchel.train.settings import LocatorSettings
from satchel.workflows.locator import begin_locator
from satchel.workflows.locator_data import gather_photos
from satchel.workspace import Workspace
from support.cli import satchel
from support.crashing_decoder import crash_over_marked_photos, mark
from support.progress import Counter

QUICK = (
    "--set=side_px=64",
    "--set=threads=1",
    "--set=batch=4",
    "--set=precision=fp32",
    "--set=multi_scale=0",
    "--tracker=none",
)


def write_coco(folder: Path, count: int, *, extra: list[dict[str, object]] | None = None) -> Path:
    """Photos with a red rectangle each, boxes in COCO JSON; the fourth shows nothing."""
    (folder / "images").mkdir(parents=True)
    images, boxes = [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 60, (72, 96, 3)).astype(np.uint8)
        name = f"{number}.jpg"
        images.append({"id": number, "file_name": name, "width": 96, "height": 72})
        if number != 3:
            x, y = (int(v) for v in rng.integers(4, 40, 2))
            pixels[y : y + 28, x : x + 36] = (40, 40, 240)
            boxes.append((number, 1 + number % 2, [x, y, 36, 28]))
        cv2.imwrite(str(folder / "images" / name), pixels)
    data = {
        "images": images,
        "categories": [{"id": 1, "name": "Small Bag"}, {"id": 2, "name": "shoe"}],
        "annotations": [
            {"id": at, "image_id": image, "category_id": kind, "bbox": box}
            for at, (image, kind, box) in enumerate(boxes)
        ]
        + (extra or []),
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "shop")


def settings_of(data: Path, **changes: object) -> LocatorSettings:
    return LocatorSettings(data=str(data), class_map={"Small Bag": "bag"}, **changes)


def test_from_annotations_to_a_file_that_locates(tmp_path: Path, shop: Workspace) -> None:
    data = write_coco(tmp_path / "data", 10)
    done = satchel(
        shop.folder,
        *("train", "locator", str(data), "--map=Small Bag=bag", "--name=first", "--epochs=5"),
        *QUICK,
    )
    assert done.returncode == 0, done.stderr
    assert "8 photos to train on, 2 to validate with; bag " in done.stderr
    assert "1 photos without boxes" in done.stderr
    assert "loss is " in done.stderr
    data.unlink()  # the run has its own copy of the boxes
    told = satchel(shop.folder, "runs", "first").stdout
    assert "finished" in told
    done = satchel(shop.folder, "evaluate", "first")
    assert done.returncode == 0, done.stderr
    assert "AP50, all" in done.stdout
    page = (shop.runs / "first" / "val" / "report.html").read_text()
    assert "box offsets" in page  # a line of the chart of losses
    assert "loss is " in page
    done = satchel(shop.folder, "export", "first")
    assert done.returncode == 0, done.stderr
    locator = OnnxLocator.load(shop.models / "first" / "card.json")
    assert locator.card.class_names == ("bag", "shoe")
    assert locator.card.figures["ap"] >= 0
    locator.locate([np.zeros((50, 80, 3), np.uint8)])
    for words, complaint in (
        (("--resume=first", "--epochs=9"), "leave out --epochs"),
        (("--resume=first", f"--val={data}"), "leave out --val"),
        (("--map=Small Bag", str(data)), "expected a class and the name"),
    ):
        done = satchel(shop.folder, "train", "locator", *words)
        assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr


def test_what_is_bad_is_left_out_and_named(tmp_path: Path, shop: Workspace) -> None:
    extra: list[dict[str, object]] = [
        {"id": 90, "image_id": 0, "category_id": 1, "bbox": [500, 500, 9, 9]},
        {"id": 91, "image_id": 1, "category_id": 1, "bbox": [5, 5, 0, 9]},
    ]
    data = write_coco(tmp_path / "data", 10, extra=extra)
    (data.parent / "images" / "4.jpg").unlink()
    (data.parent / "images" / "5.jpg").write_bytes(b"no photo")
    cv2.imwrite(str(data.parent / "images" / "6.jpg"), np.zeros((96, 72, 3), np.uint8))
    problems: list[Problem] = []
    progress = Counter()
    found = gather_photos(shop, settings_of(data), on_problem=problems.append, progress=progress)
    said = " | ".join(map(str, problems))
    assert len(problems) == 5
    for words in ("outside the photo", "no area", "no such photo", "5.jpg", "without turning it"):
        assert words in said
    assert len(found.photos.photos) == progress.done == 7
    assert found.classes == ("bag", "shoe")
    assert found.empty == 1
    assert sum(found.boxes.values()) == 6
    again = gather_photos(shop, settings_of(data), on_problem=problems.append)
    assert again.photos == found.photos  # the same photos are held out


def test_a_photo_that_crashes_its_decoder_is_left_out(
    tmp_path: Path, shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_marked_photos(monkeypatch)
    data = write_coco(tmp_path / "data", 10)
    mark(data.parent / "images" / "4.jpg")
    problems: list[Problem] = []
    found = gather_photos(shop, settings_of(data), on_problem=problems.append)
    assert len(found.photos.photos) == 9
    assert ["SIGSEGV" in str(one) for one in problems] == [True]


def test_a_photo_whose_boxes_are_all_bad_teaches_nothing(tmp_path: Path, shop: Workspace) -> None:
    bad: dict[str, object] = {"id": 90, "image_id": 3, "category_id": 1, "bbox": [500, 500, 9, 9]}
    data = write_coco(tmp_path / "data", 10, extra=[bad])
    problems: list[Problem] = []
    found = gather_photos(shop, settings_of(data), on_problem=problems.append)
    assert (len(found.photos.photos), found.empty) == (9, 0)
    assert "3.jpg: none of its boxes can be used" in " | ".join(map(str, problems))


def test_a_validation_file_and_chosen_classes(tmp_path: Path, shop: Workspace) -> None:
    data, val = write_coco(tmp_path / "data", 6), write_coco(tmp_path / "val", 4)
    found = gather_photos(
        shop, settings_of(data, val_data=str(val), classes=("shoe",)), on_problem=print
    )
    assert [len(found.photos.of(part)) for part in ("train", "val")] == [6, 4]
    assert found.classes == ("shoe",)
    assert found.boxes == {"shoe": 3}  # two of the first six photos, one of the other four
    assert found.left_out == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": "nowhere.json"}, "found nothing"),
        ({"data": None}, "satchel annotate import"),
        ({"classes": ("hat",)}, "got none of hat"),
        ({"side_px": 100}, "multiples of 32"),
        ({"weights": "nowhere.onnx"}, r"nowhere\.onnx"),
        ({"class_weights": {"sock": 2.0}}, "class_weights names sock"),
    ],
)
def test_what_cannot_be_trained_leaves_no_run(
    tmp_path: Path, shop: Workspace, changes: dict[str, object], said: str
) -> None:
    data = write_coco(tmp_path / "data", 6)
    settings = settings_of(data).model_copy(update=changes)
    with pytest.raises(UsageError, match=said):
        begin_locator(shop, settings, "r", on_problem=print)
    assert not list(shop.runs.glob("*/run.json"))


def test_a_damaged_list_of_photos_is_named(tmp_path: Path, shop: Workspace) -> None:
    data = write_coco(tmp_path / "data", 6)
    run, found = begin_locator(shop, settings_of(data), "r", on_problem=print)
    assert FrozenPhotos.read(run) == found.photos
    path = Run(run.folder).folder / "photos.jsonl"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UsageError, match=r"photos\.jsonl cannot be read"):
        FrozenPhotos.read(run)
