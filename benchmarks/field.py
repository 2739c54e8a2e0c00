"""Tasks that look like the field: goods that do not fill the photo, with the box of each.

- *clutter*: buyers' phone photos of shoes, glasses and other goods, and shops' photos of them.
  Half of the products, by SHA-256 of the code, are for development, the others for reporting.
- *placed*: query photos of the tasks in `datasets`, their objects cut out and placed on real street
  and room photos, at 8 to 60 % of the frame. No photo that a locator is trained on is used: the
  backgrounds are the street photos' `val` part and photos of COCO.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from benchmarks.datasets import SHARED, LabelledPhoto, Task, tasks
from satchel.adapt.compose.drawing import draw, with_shadow
from satchel.adapt.compose.foreground import RGBA, extract_foreground
from satchel.encode.embed import PhotoEncoder, embed
from satchel.files import write_atomically
from satchel.images import RGB, decode, encode_jpeg
from satchel.parallel import cores, map_in_order
from satchel.records import Box

PLACED: Final = Path(__file__).parents[1] / ".bench" / "placed"

SHARES: Final = (0.08, 0.6)
"""Area of a placed object's box as a share of the photo's; drawn log-uniformly."""

FRAME_WH: Final = (480, 640)
MOST_QUERIES: Final = 300
"""Placed queries of a task, evenly taken."""

MOST_GOODS: Final = 0.02
"""Share of a background that labelled goods of its own may cover, where that can be had."""

SIZES: Final = ((0.0, 0.08), (0.08, 0.25), (0.25, 0.5), (0.5, 1.01))
"""Bands of an object's share of the photo, by which figures are reported."""

Rng = np.random.Generator


def share_of(photo: LabelledPhoto) -> float:
    """Area of the object's box as a share of the photo's; 1 where it is not known."""
    return photo.box.width * photo.box.height if photo.box else 1.0


def field_tasks(split: str, encoder: PhotoEncoder) -> list[Task]:
    """The clutter task and the placed tasks of `split`, "dev" or "test".

    Args:
        encoder: its saliency shows roughly where an object is that stands on no even background.
    """
    plain = [_sampled(task) for task in tasks(split) if "all" not in task.name]
    return [clutter(split), *(placed(task, split, encoder) for task in plain)]


# -- clutter ---------------------------------------------------------------------------------------


def clutter(split: str) -> Task:
    """Queries of one half of the products; both halves search all gallery photos."""
    folder = SHARED / "clutter"
    with (folder / "catalogue.csv").open() as file:
        gallery = [
            LabelledPhoto(row["code"], folder / row["photo"]) for row in csv.DictReader(file)
        ]
    odd = {"dev": 0, "test": 1}[split]
    with (folder / "queries.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if _digest(row["code"])[0] % 2 == odd]
    queries = [
        LabelledPhoto(row["code"], folder / row["photo"], _box(folder / row["photo"], row))
        for row in rows
    ]
    return Task(f"Clutter: shop → buyers ({split})", tuple(gallery), tuple(queries))


def _box(path: Path, row: dict[str, str]) -> Box:
    """The box of a row, given in pixels."""
    with Image.open(path) as photo:  # decoded, it may be smaller
        width, height = photo.size
    x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
    return Box(max(0, x0 / width), max(0, y0 / height), min(1, x1 / width), min(1, y1 / height))


# -- placed objects --------------------------------------------------------------------------------


def placed(task: Task, split: str, encoder: PhotoEncoder) -> Task:
    """The task with its query objects on other backgrounds; photos are made where missing."""
    folder = PLACED / hashlib.sha256(task.name.encode()).hexdigest()[:12]
    boxes = folder / "boxes.json"  # written last
    if not boxes.exists():
        folder.mkdir(parents=True, exist_ok=True)
        backgrounds = _Backgrounds(split)

        def make(query: LabelledPhoto) -> tuple[bytes, Box]:
            pixels = decode(query.path.read_bytes())
            foreground = extract_foreground(pixels, embed(encoder, [pixels])[0].box)
            seed = int.from_bytes(_digest(str(query.path.relative_to(SHARED)))[:8], "big")
            photo, box = _placed(foreground, backgrounds, np.random.default_rng(seed))
            return encode_jpeg(photo, 90), box

        found = []
        for at, (data, box) in enumerate(map_in_order(make, task.queries, workers=cores())):
            write_atomically(folder / f"{at:04}.jpg", data)
            found.append(box.xyxy)
        write_atomically(boxes, json.dumps(found).encode())
    queries = (
        LabelledPhoto(query.code, folder / f"{at:04}.jpg", Box(*box))
        for at, (query, box) in enumerate(
            zip(task.queries, json.loads(boxes.read_text()), strict=True)
        )
    )
    return Task(f"Placed, {task.name}", task.gallery, tuple(queries))


def _placed(sprite: RGBA, backgrounds: _Backgrounds, rng: Rng) -> tuple[RGB, Box]:
    """The object upright, with a soft shadow, anywhere in the frame; and its box."""
    width, height = FRAME_WH
    photo = backgrounds.cut(rng)
    share = float(np.exp(rng.uniform(*np.log(SHARES))))
    rows, columns = sprite.shape[:2]
    scale = np.sqrt(share * width * height / (rows * columns))
    scale = min(scale, 0.98 * width / columns, 0.98 * height / rows)
    wide, high = scale * columns, scale * rows
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    shadowed = with_shadow(sprite, rng)
    rim = (shadowed.shape[1] - columns) / 2
    matrix = np.array([[scale, 0, left - rim * scale], [0, scale, top - rim * scale], [0, 0, 1.0]])
    draw(photo, shadowed, matrix)
    box = Box(left / width, top / height, (left + wide) / width, (top + high) / height)
    return photo, box


class _Backgrounds:
    """Street photos, and rooms and places of COCO, half for each split."""

    def __init__(self, split: str) -> None:
        photos = [*_coco(SHARED / "street", "val.json"), *_coco(SHARED / "coco_bags", "boxes.json")]
        self._photos = photos[{"dev": 0, "test": 1}[split] :: 2]

    def cut(self, rng: Rng) -> RGB:
        """A random part with the frame's aspect ratio, which shows few goods."""
        width, height = FRAME_WH
        least: tuple[float, RGB] | None = None
        for _ in range(8):
            path, goods = self._photos[int(rng.integers(len(self._photos)))]
            pixels = decode(path.read_bytes())
            rows, columns = pixels.shape[:2]
            wide = min(columns, rows * width / height) * rng.uniform(0.6, 1)
            high = wide * height / width
            left, top = rng.uniform(0, columns - wide), rng.uniform(0, rows - high)
            covered = _covered(goods, (left, top, left + wide, top + high))
            if least is None or covered < least[0]:
                part = pixels[int(top) : int(top + high), int(left) : int(left + wide)]
                least = covered, cv2.resize(part, FRAME_WH).astype(np.uint8, copy=False)
            if covered <= MOST_GOODS:
                break
        assert least is not None
        return np.ascontiguousarray(least[1])


Corners = Sequence[float]


def _covered(goods: Sequence[Corners], window: Corners) -> float:
    """Share of a window that boxes of goods cover."""
    covered = 0.0
    for box in goods:
        across = min(box[2], window[2]) - max(box[0], window[0])
        down = min(box[3], window[3]) - max(box[1], window[1])
        covered += max(0.0, across) * max(0.0, down)
    return covered / ((window[2] - window[0]) * (window[3] - window[1]))


def _coco(folder: Path, annotations: str) -> list[tuple[Path, list[Corners]]]:
    """Photos of a COCO file, and the corners of their boxes in pixels."""
    data = json.loads((folder / annotations).read_text())
    boxes: dict[int, list[Corners]] = {photo["id"]: [] for photo in data["images"]}
    for item in data["annotations"]:
        x, y, width, height = item["bbox"]
        boxes[item["image_id"]].append((x, y, x + width, y + height))
    return [(folder / "images" / p["file_name"], boxes[p["id"]]) for p in data["images"]]


def _sampled(task: Task) -> Task:
    step = -(-len(task.queries) // MOST_QUERIES)
    return Task(task.name, task.gallery, task.queries[::step])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
