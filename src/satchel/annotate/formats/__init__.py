"""Annotation formats: one module each, with `read` and `write`, over `AnnotatedPhoto`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.annotate.formats import coco, cvat_xml, label_studio, voc, yolo
from satchel.annotate.records import AnnotatedPhoto, BoxProblem


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """A format.

    Attributes:
        title: for people.
        suffix: of its file; empty where it is a folder.
        read: yields photos, and what is left out, in bounded memory.
        write: writes photos, whole or not at all. Every class is given before the photos.
    """

    title: str
    suffix: str
    read: Callable[[Path], Iterator[AnnotatedPhoto | BoxProblem]]
    write: Callable[[Iterable[AnnotatedPhoto], Path, Sequence[str]], None]


FORMATS: Final = {
    "coco": AnnotationFormat("COCO JSON", ".json", coco.read, coco.write),
    "yolo": AnnotationFormat("YOLO or Darknet labels", "", yolo.read, yolo.write),
    "voc": AnnotationFormat("Pascal VOC XML", "", voc.read, voc.write),
    "cvat": AnnotationFormat("CVAT XML 1.1", ".xml", cvat_xml.read, cvat_xml.write),
    "label-studio": AnnotationFormat(
        "Label Studio JSON", ".json", label_studio.read, label_studio.write
    ),
}
"""By the name that `--format` takes."""
