"""CVAT XML 1.1 for images: all photos in one file.

A box of source `auto` is a pre-label: a model drew it and no person touched it. Every other one is
a person's. Outlines (polygon, polyline, mask, ellipse) count as the boxes around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from satchel.annotate.checks import (
    MAX_BOXES,
    BadAnnotation,
    attributes_of,
    bounds,
    number,
    pixel_box,
    rotated_bounds,
    score_of,
    size_px,
    text,
)
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.files import atomic_path
from satchel.records import LabelledBox
from satchel.xml_stream import Element, read_elements

ROOT: Final = "annotations"
NO_BOXES: Final = frozenset(("tag", "points", "cuboid", "skeleton"))
PRE_LABEL: Final = "auto"
MAX_PATH_CHARS: Final = 1_000


def read(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of a CVAT file, and what is left out.

    Raises:
        UsageError: it is no XML, or CVAT's format for videos.
    """
    for element in read_elements(path, ROOT, frozenset(("image", "track", "version")), depth=2):
        if element.tag == "image":
            yield from _photo(element)
        elif element.tag == "track":
            raise UsageError(
                f"{path.name} is in 'CVAT for video'; export the task as 'CVAT for images 1.1'"
            )
        elif element.text.strip() != "1.1":
            raise UsageError(
                f"expected CVAT XML 1.1, got version {element.text.strip()!r:.20} in {path.name}; "
                "export the task as 'CVAT for images 1.1'"
            )


def _photo(image: Element) -> Iterator[AnnotatedPhoto | BoxProblem]:
    name = ""
    try:
        name = text(image.attributes.get("name"), "photo's name", MAX_PATH_CHARS)
        name = name.replace("\\", "/")
        width, height = (size_px(image.attributes.get(one), one) for one in ("width", "height"))
        if len(image.children) > MAX_BOXES:
            raise BadAnnotation(f"expected at most {MAX_BOXES:,} boxes on a photo")
    except BadAnnotation as error:
        yield BoxProblem.of(name, image.line, str(error))
        return
    boxes = []
    for shape in image.children:
        try:
            boxes.append(_box(shape, width, height))
        except BadAnnotation as error:
            yield BoxProblem.of(name, shape.line, str(error))
    yield AnnotatedPhoto(name, width, height, tuple(boxes), len(image.children) - len(boxes))


def _box(shape: Element, width: int, height: int) -> LabelledBox:
    if shape.tag in NO_BOXES:
        raise BadAnnotation(f"it is a {shape.tag}, not a box; draw a box")
    values = {one.attributes.get("name", ""): one.text.strip() for one in shape.all("attribute")}
    automatic = shape.attributes.get("source") == PRE_LABEL
    return LabelledBox(
        pixel_box(_corners(shape), width, height),
        text(shape.attributes.get("label"), "label"),
        attributes_of(values),
        score_of(shape.attributes.get("score", 1)) if automatic else None,
    )


def _corners(shape: Element) -> tuple[float, float, float, float]:
    def value(name: str) -> float:
        return number(shape.attributes.get(name), name)

    turned = number(shape.attributes.get("rotation", 0), "rotation")
    match shape.tag:
        case "box":
            box = value("xtl"), value("ytl"), value("xbr"), value("ybr")
        case "ellipse":
            x, y, rx, ry = value("cx"), value("cy"), value("rx"), value("ry")
            box = x - rx, y - ry, x + rx, y + ry
        case "mask":
            left, top = value("left"), value("top")
            return left, top, left + value("width"), top + value("height")
        case "polygon" | "polyline":
            pairs = (point.split(",") for point in shape.attributes.get("points", "").split(";"))
            return bounds((number(x, "x"), number(y, "y")) for x, y in map(_pair, pairs))
        case _:
            raise BadAnnotation(f"it is a {shape.tag!r:.40}, not a box; draw a box")
    return rotated_bounds(box, turned, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))


def _pair(parts: list[str]) -> tuple[str, str]:
    if len(parts) != 2:
        raise BadAnnotation("expected points as x,y;x,y;…")
    return parts[0], parts[1]


def write(photos: Iterable[AnnotatedPhoto], path: Path, labels: Sequence[str]) -> None:
    """Write photos to a CVAT file, atomically; width and height of each must be known.

    Args:
        labels: every class, for the task that the file describes.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write("  <version>1.1</version>\n  <meta><task><labels>\n")
        for label in labels:
            file.write(f"    <label><name>{escape(label)}</name></label>\n")
        file.write("  </labels></task></meta>\n")
        for number_of_photo, photo in enumerate(photos):
            file.write(_image(number_of_photo, photo))
        file.write("</annotations>\n")


def _image(number_of_photo: int, photo: AnnotatedPhoto) -> str:
    width, height = photo.size
    head = (
        f'  <image id="{number_of_photo}" name={quoteattr(photo.path)} width="{width}" '
        f'height="{height}">\n'
    )
    boxes = "".join(_shape(box, width, height) for box in photo.boxes)
    return f"{head}{boxes}  </image>\n"


def _shape(box: LabelledBox, width: int, height: int) -> str:
    scale = (width, height, width, height)
    edges = " ".join(
        f'{edge}="{value * side:.3f}"'
        for edge, value, side in zip(("xtl", "ytl", "xbr", "ybr"), box.box.xyxy, scale, strict=True)
    )
    manual = box.score is None
    source = 'source="manual"' if manual else f'source="{PRE_LABEL}" score="{box.score:.4f}"'
    attributes = "".join(
        f"<attribute name={quoteattr(name)}>{escape(value)}</attribute>"
        for name, value in box.attributes.items()
    )
    return (
        f'    <box label={quoteattr(box.label)} {source} occluded="0" {edges} '
        f'z_order="0">{attributes}</box>\n'
    )
