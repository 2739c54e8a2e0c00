"""Label Studio JSON: an array of tasks, each with its people's annotations and models' predictions.

Of several annotations of one task, the one marked as ground truth counts, else the last one that
was not cancelled. Predictions count where no person annotated the task. Boxes are in percent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from satchel.annotate.checks import (
    MAX_BOXES,
    BadAnnotation,
    attributes_of,
    box_of,
    number,
    rotated_bounds,
    score_of,
    size_px,
    text,
)
from satchel.annotate.json_stream import read_items
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.files import atomic_path
from satchel.records import LabelledBox

PHOTO_KEY: Final = "photo"
"""Of a task's data: the path of the photo as Satchel wrote it."""
IMAGE_KEY: Final = "image"
BOX_NAME: Final = "box"
"""Of the control that draws boxes, in the labelling configuration that `label_config` makes."""
MAX_PATH_CHARS: Final = 2_000

_UPLOAD: Final = re.compile(r"^/?data/upload/\d+/[0-9a-f]{8}-")
"""How the server renames a file that is uploaded."""


def read(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of an export, and what is left out.

    Raises:
        UsageError: it is no JSON, or not the format that Label Studio calls "JSON".
    """
    for item in read_items(path):
        if item.key or (isinstance(item.value, dict) and "data" not in item.value):
            raise UsageError(
                f"expected an array of tasks with 'data' and 'annotations' in {path.name}; export "
                "the project as 'JSON', not as 'JSON-MIN' or another format"
            )
        yield from read_task(item.value, item.line)


def read_task(task: Any, line: int) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Read one task, as an export or the server gives it."""
    name = ""
    try:
        if not isinstance(task, dict):
            raise BadAnnotation(f"expected a task, got {type(task).__name__}")
        name = _photo_path(task.get("data"))
        results, who, checked = _results(task)
        size = _size(results)
        regions = [one for one in results if _is_box(one)]
        if len(regions) > MAX_BOXES:
            raise BadAnnotation(f"expected at most {MAX_BOXES:,} boxes on a photo")
    except BadAnnotation as error:
        yield BoxProblem.of(name, line, str(error))
        return
    boxes: list[LabelledBox] = []
    refused = 0
    for number_of_box, region in enumerate(regions, 1):
        try:
            boxes += _boxes(region, results, who, checked=checked)
        except BadAnnotation as error:
            refused += 1
            yield BoxProblem.of(name, line, f"box {number_of_box:,}: {error}")
    yield AnnotatedPhoto(name, *size, tuple(boxes), refused)


def _photo_path(data: Any) -> str:
    if not isinstance(data, dict):
        raise BadAnnotation("expected the task's data, found none")
    known = data.get(PHOTO_KEY) or data.get(IMAGE_KEY)
    texts = (value for value in data.values() if isinstance(value, str) and "/" in value)
    written = text(known or next(texts, None), "photo in the task's data", MAX_PATH_CHARS)
    if data.get(PHOTO_KEY):
        return written
    parts = urlsplit(written)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/photo.jpg
    path = local[0] if local else unquote(parts.path)
    return _UPLOAD.sub("", path).lstrip("/")


def _results(task: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None, bool]:
    """Return the regions that count, who drew them, and whether that was a person."""
    annotations = [one for one in _objects(task, "annotations") if not one.get("was_cancelled")]
    if annotations:
        last = max(annotations, key=lambda one: (bool(one.get("ground_truth")), _when(one)))
        return _objects(last, "result"), _who(last.get("completed_by")), True
    predictions = _objects(task, "predictions")
    if not predictions:
        return [], None, False
    last = max(predictions, key=_when)
    score = last.get("score")
    results = [{"score": score, **one} for one in _objects(last, "result")]
    return results, None, False


def _when(one: dict[str, Any]) -> str:
    return str(one.get("updated_at") or one.get("created_at") or "")


def _who(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return None if value in (None, "") else text(str(value), "name")


def _objects(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    objects = value.get(key) or []
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise BadAnnotation(f"expected a list of objects under {key!r}")
    return objects


def _is_box(region: dict[str, Any]) -> bool:
    return region.get("type") in ("rectanglelabels", "rectangle")


def _size(results: Sequence[dict[str, Any]]) -> tuple[int | None, int | None]:
    for one in results:
        if one.get("original_width") and one.get("original_height"):
            return (
                size_px(one["original_width"], "original_width"),
                size_px(one["original_height"], "original_height"),
            )
    return None, None


def _boxes(
    region: dict[str, Any], results: Sequence[dict[str, Any]], who: str | None, *, checked: bool
) -> list[LabelledBox]:
    """Return a region's box, once for each of its labels."""
    value = region.get("value")
    if not isinstance(value, dict):
        raise BadAnnotation("expected a value, found none")
    left, top, width, height = (
        number(value.get(name), name) for name in ("x", "y", "width", "height")
    )
    corners = [left, top, left + width, top + height]
    turned = number(value.get("rotation") or 0, "rotation")
    if turned:
        corners = _turned(corners, turned, region)
    same = [o for o in results if o is not region and o.get("id") and o["id"] == region.get("id")]
    labels = value.get("rectanglelabels") or _labels(same)
    if not isinstance(labels, list) or not labels:
        raise BadAnnotation("the box has no label; choose one in Label Studio")
    attributes = attributes_of(_attributes(same))
    given = region.get("score")
    score = None if checked else score_of(1 if given is None else given)
    box = box_of(corners, 100, 100)
    return [LabelledBox(box, text(one, "label"), attributes, score, who) for one in labels]


def _turned(corners: list[float], degrees: float, region: dict[str, Any]) -> list[float]:
    """Turn a box about its top left corner, which takes pixels: percents have two units."""
    width = size_px(region.get("original_width"), "original_width") / 100
    height = size_px(region.get("original_height"), "original_height") / 100
    scale = (width, height, width, height)
    pixels = [value * side for value, side in zip(corners, scale, strict=True)]
    turned = rotated_bounds(pixels, degrees, (pixels[0], pixels[1]))
    return [value / side for value, side in zip(turned, scale, strict=True)]


def _labels(same: Sequence[dict[str, Any]]) -> Any:
    """The labels of a region that were chosen with a control of their own."""
    values = [one["value"] for one in same if one.get("type") == "labels" and "value" in one]
    return next((value.get("labels") for value in values if isinstance(value, dict)), None)


def _attributes(same: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Answers about a region: choices, texts, numbers."""
    answers: dict[str, Any] = {}
    for one in same:
        kind, value = str(one.get("type")), one.get("value")
        if kind == "labels" or not isinstance(value, dict):
            continue
        answer = value.get("text" if kind == "textarea" else kind)
        if isinstance(answer, list):
            answer = ", ".join(map(str, answer))
        if answer is not None:
            answers[str(one.get("from_name"))] = answer
    return answers


# -- writing --------------------------------------------------------------------------------------


def write(photos: Iterable[AnnotatedPhoto], path: Path, labels: Sequence[str]) -> None:
    """Write photos as tasks to import, atomically.

    People's boxes become annotations, those of models predictions.

    Args:
        labels: of no use here: every region names its class.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[")
        for count, photo in enumerate(photos):
            image = f"/data/local-files/?d={quote(photo.path)}"
            row = json.dumps(task_of(photo, image), ensure_ascii=False)
            file.write(f"{',' if count else ''}\n{row}")
        file.write("\n]\n")


def task_of(photo: AnnotatedPhoto, image: str) -> dict[str, Any]:
    """Convert a photo to a task.

    Args:
        image: URL under which the server gives the photo to a browser.
    """
    task: dict[str, Any] = {"data": {IMAGE_KEY: image, PHOTO_KEY: photo.path}}
    people = [one for one in photo.boxes if one.score is None]
    models = [one for one in photo.boxes if one.score is not None]
    if people:
        task["annotations"] = [{"result": _regions(photo, people)}]
    if models:
        score = sum(one.score or 0 for one in models) / len(models)
        task["predictions"] = [{"result": _regions(photo, models), "score": round(score, 4)}]
    return task


def _regions(photo: AnnotatedPhoto, boxes: Sequence[LabelledBox]) -> list[dict[str, Any]]:
    regions: list[dict[str, Any]] = []
    for count, one in enumerate(boxes, 1):
        region: dict[str, Any] = {"id": f"box-{count}", "to_name": IMAGE_KEY}
        if photo.width and photo.height:
            region |= {"original_width": photo.width, "original_height": photo.height}
        place = {
            "x": round(100 * one.box.x0, 6),
            "y": round(100 * one.box.y0, 6),
            "width": round(100 * one.box.width, 6),
            "height": round(100 * one.box.height, 6),
            "rotation": 0,
        }
        drawn = {
            **region,
            "from_name": BOX_NAME,
            "type": "rectanglelabels",
            "value": {**place, "rectanglelabels": [one.label]},
        }
        if one.score is not None:
            drawn["score"] = round(one.score, 4)
        regions.append(drawn)
        regions += [
            {**region, "from_name": name, "type": "textarea", "value": {**place, "text": [value]}}
            for name, value in one.attributes.items()
        ]
    return regions
