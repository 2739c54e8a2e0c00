"""COCO JSON: the annotations of all photos in one file.

Images, annotations and categories come in any order, and an annotation names its image by id. They
are sorted by photo in a temporary database on disk, so that memory does not grow with the file.

Beyond the standard, a box may have `attributes` (as CVAT writes them), `score` (as in result files)
and `annotated_by`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from satchel.annotate.checks import (
    MAX_BOXES,
    BadAnnotation,
    attributes_of,
    bounds,
    number,
    pixel_box,
    score_of,
    size_px,
    text,
)
from satchel.annotate.json_stream import Item, read_items
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.files import atomic_path
from satchel.records import LabelledBox

MAX_PATH_CHARS: Final = 1_000
MAX_CATEGORIES: Final = 10_000

SPOOL: Final = """
CREATE TABLE images (id TEXT PRIMARY KEY, line INTEGER, value TEXT);
CREATE TABLE boxes (image TEXT, line INTEGER, value TEXT);
CREATE TABLE categories (id TEXT PRIMARY KEY, name TEXT);
"""


def read(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of a COCO file in the order of its images, and what is left out.

    Raises:
        UsageError: it is no JSON, or has no images, annotations and categories.
    """
    with closing(sqlite3.connect("")) as spool:  # a temporary file, which SQLite deletes
        spool.executescript(SPOOL)
        yield from _spool(path, spool)
        spool.execute("CREATE INDEX by_image ON boxes (image)")
        categories = dict(spool.execute("SELECT id, name FROM categories").fetchall())
        images = spool.execute("SELECT id, line, value FROM images ORDER BY rowid")
        for image_id, line, value in images:
            chosen = "SELECT line, value FROM boxes WHERE image = ? ORDER BY rowid LIMIT ?"
            boxes = spool.execute(chosen, (image_id, MAX_BOXES + 1)).fetchall()
            yield from _photo(line, json.loads(value), boxes, categories)
        lost = "SELECT line, image FROM boxes WHERE image NOT IN (SELECT id FROM images)"
        for line, image_id in spool.execute(lost):
            yield BoxProblem.of("", line, f"the box is on image {image_id}, which is not listed")


def _spool(path: Path, spool: sqlite3.Connection) -> Iterator[BoxProblem]:
    seen: set[str] = set()
    for item in read_items(path):
        seen.add(item.key)
        try:
            _spool_item(item, spool)
        except BadAnnotation as error:
            yield BoxProblem.of("", item.line, str(error))
    missing = KEYS - seen
    if "" in seen or (seen and missing == KEYS) or ("annotations" in seen and missing):
        raise UsageError(
            f"expected a COCO file with images, annotations and categories, {path.name} lacks "
            f"{', '.join(sorted(missing))}; export it again as COCO, not as a result file"
        )


def _spool_item(item: Item, spool: sqlite3.Connection) -> None:
    if item.key not in ("images", "annotations", "categories"):
        return
    value = item.value
    if not isinstance(value, dict):
        raise BadAnnotation(f"expected an object in {item.key}, got {type(value).__name__}")
    match item.key:
        case "images":
            row = (_id(value, "id"), item.line, json.dumps(value))
            known = spool.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", row)
            if not known.rowcount:
                raise BadAnnotation(f"another image has the id {row[0]}")
        case "annotations":
            value = {key: value.get(key) for key in KEPT if value.get(key) is not None}
            row = (_id(value, "image_id"), item.line, json.dumps(value))
            spool.execute("INSERT INTO boxes VALUES (?, ?, ?)", row)
        case "categories":
            row_of_class = (_id(value, "id"), text(value.get("name"), "class name"))
            spool.execute("INSERT OR REPLACE INTO categories VALUES (?, ?)", row_of_class)


KEYS: Final = frozenset(("images", "annotations", "categories"))
KEPT: Final = (
    "image_id",
    "category_id",
    "bbox",
    "segmentation",
    "iscrowd",
    "attributes",
    "score",
    "annotated_by",
)
"""Keys of an annotation that are read."""


def _id(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        raise BadAnnotation(f"expected a number or text as {key}, got {found!r:.80}")
    return str(found)


def _photo(
    line: int,
    image: dict[str, Any],
    annotations: Sequence[tuple[int, str]],
    categories: dict[str, str],
) -> Iterator[AnnotatedPhoto | BoxProblem]:
    try:
        name = text(image.get("file_name"), "file_name", MAX_PATH_CHARS).replace("\\", "/")
    except BadAnnotation as error:
        yield BoxProblem.of("", line, str(error))
        return
    try:
        width, height = (size_px(image.get(key), key) for key in ("width", "height"))
        if len(annotations) > MAX_BOXES:
            raise BadAnnotation(f"expected at most {MAX_BOXES:,} boxes on a photo")
    except BadAnnotation as error:
        yield BoxProblem.of(name, line, str(error))
        return
    boxes = []
    for box_line, value in annotations:
        try:
            boxes.append(_box(json.loads(value), width, height, categories))
        except BadAnnotation as error:
            yield BoxProblem.of(name, box_line, str(error))
    yield AnnotatedPhoto(name, width, height, tuple(boxes), len(annotations) - len(boxes))


def _box(value: dict[str, Any], width: int, height: int, categories: dict[str, str]) -> LabelledBox:
    if value.get("iscrowd") == 1:
        raise BadAnnotation("it is a crowd (iscrowd = 1), not the box of one object")
    category = _id(value, "category_id")
    if category not in categories:
        raise BadAnnotation(f"class {category} is not among the categories")
    score = value.get("score")
    who = value.get("annotated_by")
    return LabelledBox(
        pixel_box(_corners(value), width, height),
        categories[category],
        attributes_of(value.get("attributes")),
        None if score is None else score_of(score),
        None if who is None else text(who, "name"),
    )


def _corners(value: dict[str, Any]) -> tuple[float, float, float, float]:
    box = value.get("bbox")
    if box is None and isinstance(outlines := value.get("segmentation"), list):
        flat = [number(one, "coordinate") for outline in outlines for one in _list(outline)]
        return bounds(zip(flat[::2], flat[1::2], strict=False))
    if len(_list(box)) != 4:
        raise BadAnnotation(f"expected bbox as [left, top, width, height], got {box!r:.80}")
    left, top, width, height = (number(one, "coordinate") for one in _list(box))
    return left, top, left + width, top + height


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadAnnotation(f"expected bbox as [left, top, width, height], got {value!r:.80}")
    return value


def write(photos: Iterable[AnnotatedPhoto], path: Path, labels: Sequence[str]) -> None:
    """Write photos to a COCO file, atomically; width and height of each must be known.

    Args:
        labels: every class, in the order of their ids, which begin at 1.
    """
    ids = {label: number for number, label in enumerate(labels, 1)}
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        TemporaryFile("w+", encoding="utf-8") as annotations,
    ):
        file.write('{"images": [')
        count = 0
        for number_of_photo, photo in enumerate(photos, 1):
            width, height = photo.size
            image = {
                "id": number_of_photo,
                "file_name": photo.path,
                "width": width,
                "height": height,
            }
            file.write(f"{',' if number_of_photo > 1 else ''}\n{_json(image)}")
            for box in photo.boxes:
                count += 1
                row = _annotation(count, number_of_photo, photo, box, ids)
                annotations.write(f"{',' if count > 1 else ''}\n{_json(row)}")
        file.write('\n],\n"annotations": [')
        annotations.seek(0)
        for block in iter(lambda: annotations.read(1 << 20), ""):
            file.write(block)
        rows = ",\n".join(_json({"id": ids[label], "name": label}) for label in labels)
        file.write(f'\n],\n"categories": [\n{rows}\n]}}\n')


def _annotation(
    number_of_box: int,
    number_of_photo: int,
    photo: AnnotatedPhoto,
    box: LabelledBox,
    ids: dict[str, int],
) -> dict[str, Any]:
    columns, rows = photo.size
    left, top = box.box.x0 * columns, box.box.y0 * rows
    width, height = box.box.width * columns, box.box.height * rows
    row: dict[str, Any] = {
        "id": number_of_box,
        "image_id": number_of_photo,
        "category_id": ids[box.label],
        "bbox": [round(value, 3) for value in (left, top, width, height)],
        "area": round(width * height, 1),
        "iscrowd": 0,
    }
    if box.attributes:
        row["attributes"] = dict(box.attributes)
    if box.score is not None:
        row["score"] = round(box.score, 4)
    if box.who is not None:
        row["annotated_by"] = box.who
    return row


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
