"""Pascal VOC: one XML file a photo.

Corners are pixels from the photo's edge, from 0, as CVAT, LabelImg and others write them. The
challenge's own files count pixels from 1, which makes at most one pixel of difference.

Beyond the standard, an object may have `attributes` (as CVAT writes them) and a `score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from xml.sax.saxutils import escape

from satchel.annotate.checks import (
    MAX_BOXES,
    BadAnnotation,
    attributes_of,
    number,
    pixel_box,
    score_of,
    size_px,
    text,
)
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.annotate.targets import folder_written_whole, inside
from satchel.errors import UsageError
from satchel.folders import walk_files
from satchel.records import LabelledBox
from satchel.xml_stream import Element, read_elements

ROOT: Final = "annotation"
STANDARD: Final = ("pose", "truncated", "occluded", "difficult")
"""Elements of an object that become attributes."""


def read(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of one VOC file, or of all in a folder, and what is left out.

    Raises:
        UsageError: `path` is one file, and no XML.
    """
    if path.is_file():
        yield from _read_file(path)
        return
    for file in walk_files(path):
        if file.suffix.lower() != ".xml":
            continue
        try:
            yield from _read_file(file)
        except UsageError as error:  # one bad file does not cost the others
            yield BoxProblem.of(file.relative_to(path).as_posix(), 1, str(error))


def _read_file(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    for photo in read_elements(path, ROOT, frozenset((ROOT,)), depth=1):
        name = (photo.value("filename") or f"{path.stem}.jpg").replace("\\", "/")
        try:
            size = next(iter(photo.all("size")), Element("size", photo.line, {}))
            width, height = (size_px(size.value(side), side) for side in ("width", "height"))
            objects = photo.all("object")
            if len(objects) > MAX_BOXES:
                raise BadAnnotation(f"expected at most {MAX_BOXES:,} boxes on a photo")
        except BadAnnotation as error:
            yield BoxProblem.of(name, photo.line, str(error))
            continue
        boxes = []
        for one in objects:
            try:
                boxes.append(_box(one, width, height))
            except BadAnnotation as error:
                yield BoxProblem.of(name, one.line, str(error))
        yield AnnotatedPhoto(name, width, height, tuple(boxes), len(objects) - len(boxes))


def _box(element: Element, width: int, height: int) -> LabelledBox:
    edges = next(iter(element.all("bndbox")), None)
    if edges is None:
        raise BadAnnotation("expected a <bndbox> in the object, found none")
    corners = [number(edges.value(edge), edge) for edge in ("xmin", "ymin", "xmax", "ymax")]
    values = {name: value for name in STANDARD if (value := element.value(name))}
    for table in element.all("attributes"):
        for one in table.all("attribute"):
            values[one.value("name") or ""] = one.value("value") or ""
    score = element.value("score")
    return LabelledBox(
        pixel_box(corners, width, height),
        text(element.value("name"), "class name"),
        attributes_of(values),
        None if score is None else score_of(score),
    )


def write(photos: Iterable[AnnotatedPhoto], folder: Path, labels: Sequence[str]) -> None:
    """Write a folder `Annotations` with one file a photo; a photo's folders are kept.

    Args:
        folder: made; must not exist, or be empty.
        labels: of no use here: every object names its class.
    """
    with folder_written_whole(folder) as temporary:
        for photo in photos:
            name = PurePosixPath("Annotations", inside(photo.path)).with_suffix(".xml")
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_document(photo), encoding="utf-8")


def _document(photo: AnnotatedPhoto) -> str:
    width, height = photo.size
    lines = [
        "<annotation>",
        f"  <filename>{escape(photo.path)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
        *(_object(box, width, height) for box in photo.boxes),
        "</annotation>",
    ]
    return "\n".join(lines) + "\n"


def _object(box: LabelledBox, width: int, height: int) -> str:
    scale = (width, height, width, height)
    edges = "".join(
        f"<{edge}>{value * side:.3f}</{edge}>"
        for edge, value, side in zip(
            ("xmin", "ymin", "xmax", "ymax"), box.box.xyxy, scale, strict=True
        )
    )
    parts = [f"<name>{escape(box.label)}</name>"]
    parts += [
        f"<{name}>{escape(box.attributes[name])}</{name}>"
        for name in STANDARD
        if name in box.attributes
    ]
    further = [
        f"<attribute><name>{escape(name)}</name><value>{escape(value)}</value></attribute>"
        for name, value in box.attributes.items()
        if name not in STANDARD
    ]
    if further:
        parts.append(f"<attributes>{''.join(further)}</attributes>")
    if box.score is not None:
        parts.append(f"<score>{box.score:.4f}</score>")
    return f"  <object>{''.join(parts)}<bndbox>{edges}</bndbox></object>"
