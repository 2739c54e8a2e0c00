"""YOLO and Darknet labels: one text file a photo, with a line a box.

A line is `class x y width height`, centre and size as fractions of the photo, and a score where the
box is a pre-label. A longer line is an outline, and counts as the box around it. Attributes do not
exist. A photo that is listed and has no label file has no boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, TypeVar

from satchel.annotate.checks import MAX_BOXES, BadAnnotation, bounds, box_of, number, score_of
from satchel.annotate.formats.yolo_config import YoloConfig, below, read_config, read_text
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.annotate.targets import folder_written_whole, inside
from satchel.errors import UsageError
from satchel.folders import is_photo, walk_files
from satchel.records import LabelledBox

NO_LABELS: Final = frozenset(
    f"{name}.txt"
    for name in ("train", "valid", "val", "test", "classes", "predefined_classes", "readme")
)
PHOTO_NAMES: Final = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG")
MOST_UNKNOWN: Final = 0.01
"""Share of boxes with a class beyond the class file, above which that file is a wrong one."""

AnyPath = TypeVar("AnyPath", Path, PurePosixPath)


class _Entry(NamedTuple):
    """A photo as it is to be named, and its label file; None where it has none."""

    photo: str
    labels: Path | None


def read(path: Path) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of a folder of labels, and what is left out.

    Args:
        path: the folder, or its `.data`, `.yaml` or `.names` file.

    Raises:
        UsageError: there are no class names, or not those of these labels.
    """
    config = read_config(path)
    _check_classes(config)
    for photo, labels in _entries(config):
        yield from _photo(photo, labels, config)


def _entries(config: YoloConfig) -> Iterator[_Entry]:
    """Yield every photo once: those of the lists, or without lists one for each label file."""
    seen: set[str] = set()
    listed = (entry for one in config.lists for entry in _listed(one, config.root))
    for entry in listed if config.lists else _labelled(config):
        key = entry.photo if entry.labels is None else str(entry.labels)
        if key not in seen:
            seen.add(key)
            yield entry


def _listed(source: Path, root: Path) -> Iterator[_Entry]:
    if source.is_file():
        for line in read_text(source).splitlines():
            if written := line.strip().replace("\\", "/"):
                yield _Entry(_name_of_listed(root, written), _labels_of_listed(root, written))
        return
    for file in walk_files(source):
        if is_photo(file):
            yield _Entry(_name(file, root), _labels_of(file))
    labels = _swapped(source, "images", "labels")
    if labels != source and labels.is_dir():  # its photos may lie elsewhere
        yield from (_of_labels(f, root) for f in walk_files(labels) if f.suffix == ".txt")


def _labelled(config: YoloConfig) -> Iterator[_Entry]:
    for file in walk_files(config.root):
        is_labels = file.suffix.lower() == ".txt" and file.name.lower() not in NO_LABELS
        if is_labels and file != config.source:
            yield _of_labels(file, config.root)


def _labels_of_listed(root: Path, written: str) -> Path | None:
    """Return the label file of a listed photo, whose path may be of another machine."""
    labels = PurePosixPath(written).with_suffix(".txt")
    for candidate in (_swapped(labels, "images", "labels"), labels):
        file = below(root, str(candidate))
        if file is not None and file.is_file():
            return file
    return None


def _labels_of(photo: Path) -> Path | None:
    labels = photo.with_suffix(".txt")
    candidates = (_swapped(labels, "images", "labels"), labels)
    return next((one for one in candidates if one.is_file()), None)


def _of_labels(labels: Path, root: Path) -> _Entry:
    """Name the photo of a label file: one of its name next to it or in `images`, or a JPEG."""
    folder = _swapped(labels, "labels", "images").parent
    for parent in dict.fromkeys((labels.parent, folder)):
        for suffix in PHOTO_NAMES:
            photo = parent / f"{labels.stem}{suffix}"
            if photo.is_file():
                return _Entry(_name(photo, root), labels)
    return _Entry(_name(folder / f"{labels.stem}.jpg", root), labels)


def _name_of_listed(root: Path, written: str) -> str:
    photo = below(root, written)
    if photo is not None and photo.is_file():
        return _name(photo, root)
    parts = [p for p in PurePosixPath(written).parts if p not in ("/", ".", "..") and ":" not in p]
    return "/".join(parts).removeprefix("images/")


def _name(photo: Path, root: Path) -> str:
    """Name a photo by its path below the root's folder `images`, or below the root."""
    return photo.relative_to(root).as_posix().removeprefix("images/")


def _swapped(path: AnyPath, name: str, other: str) -> AnyPath:
    """Replace the last folder `name` in a path by `other`."""
    parts = list(path.parts)
    for position in range(len(parts) - 1, -1, -1):
        if parts[position] == name:
            parts[position] = other
            return type(path)(*parts)
    return path


# -- one photo ------------------------------------------------------------------------------------


def _photo(
    name: str, labels: Path | None, config: YoloConfig
) -> Iterator[AnnotatedPhoto | BoxProblem]:
    try:
        lines = read_text(labels).splitlines() if labels is not None else []
    except UsageError as error:
        yield BoxProblem.of(name, 1, str(error))
        return
    boxes: list[LabelledBox] = []
    refused = 0
    for number_of_line, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(boxes) >= MAX_BOXES:
                raise BadAnnotation(f"expected at most {MAX_BOXES:,} boxes on a photo")
            boxes.append(_box(line.split(), config))
        except BadAnnotation as error:
            refused += 1
            yield BoxProblem.of(name, number_of_line, str(error))
            if len(boxes) >= MAX_BOXES:
                break
    yield AnnotatedPhoto(name, None, None, tuple(boxes), refused)


def _box(columns: list[str], config: YoloConfig) -> LabelledBox:
    label = _label(columns[0], config)
    values = [number(column, "coordinate") for column in columns[1:]]
    if len(values) in (4, 5):
        x, y, width, height = values[:4]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        score = score_of(values[4]) if len(values) == 5 else None
        return LabelledBox(box_of(corners), label, score=score)
    if len(values) >= 6 and len(values) % 2 == 0:
        outline = bounds(zip(values[::2], values[1::2], strict=True))
        return LabelledBox(box_of(outline), label)
    raise BadAnnotation(
        f"expected 'class x y width height', got {len(columns)} columns; correct the line"
    )


def _label(column: str, config: YoloConfig) -> str:
    if not column.isdecimal() or len(column) > 9:
        raise BadAnnotation(f"expected a class number, got {column!r:.40}")
    if int(column) >= len(config.names):
        raise BadAnnotation(
            f"class {int(column)} is not in {config.source.name}, which has {len(config.names)} "
            "names; correct one of them"
        )
    return config.names[int(column)]


def _check_classes(config: YoloConfig) -> None:
    """Refuse a class file that is not of these labels: every name may be wrong then.

    Raises:
        UsageError: more than a few boxes have a class beyond it.
    """
    classes: Counter[int] = Counter()
    for _, labels in _entries(config):
        try:
            lines = read_text(labels).splitlines() if labels is not None else []
        except UsageError:  # reported when the photo is read
            continue
        firsts = (line.split(maxsplit=1)[0] for line in lines if line.strip())
        classes.update(int(first) for first in firsts if first.isdecimal() and len(first) <= 9)
    total = classes.total()
    unknown = sum(count for index, count in classes.items() if index >= len(config.names))
    if unknown > MOST_UNKNOWN * total:
        raise UsageError(
            f"{unknown:,} of {total:,} boxes have a class beyond the {len(config.names)} names in "
            f"{config.source.name} (the highest is {max(classes)}): it is not the class file of "
            "these labels; find the right one"
        )


# -- writing --------------------------------------------------------------------------------------


def write(photos: Iterable[AnnotatedPhoto], folder: Path, labels: Sequence[str]) -> None:
    """Write a folder of label files, with obj.names, obj.data, train.txt and data.yaml.

    Photos are expected under `images/`, label files lie under `labels/`.

    Args:
        folder: made; must not exist, or be empty.
        labels: every class, in the order of their numbers.
    """
    numbers = {label: index for index, label in enumerate(labels)}
    with folder_written_whole(folder) as temporary:
        (temporary / "labels").mkdir()
        (temporary / "images").mkdir()
        with (temporary / "train.txt").open("w", encoding="utf-8") as listed:
            for photo in photos:
                name = inside(photo.path)
                listed.write(f"images/{name}\n")
                path = temporary / "labels" / name.with_suffix(".txt")
                path.parent.mkdir(parents=True, exist_ok=True)
                lines = (f"{_line(box, numbers[box.label])}\n" for box in photo.boxes)
                path.write_text("".join(lines), encoding="utf-8")
        names = "".join(f"{label}\n" for label in labels)
        (temporary / "obj.names").write_text(names, encoding="utf-8")
        data = f"classes = {len(labels)}\ntrain = train.txt\nnames = obj.names\n"
        (temporary / "obj.data").write_text(data, encoding="utf-8")
        (temporary / "data.yaml").write_text(_data_yaml(labels), encoding="utf-8")


def _line(box: LabelledBox, index: int) -> str:
    found = box.box
    x, y = (found.x0 + found.x1) / 2, (found.y0 + found.y1) / 2
    score = "" if box.score is None else f" {box.score:.4f}"
    return f"{index} {x:.8f} {y:.8f} {found.width:.8f} {found.height:.8f}{score}"


def _data_yaml(labels: Sequence[str]) -> str:
    quoted = ("'" + label.replace("'", "''") + "'" for label in labels)
    names = "".join(f"  {index}: {label}\n" for index, label in enumerate(quoted))
    return f"path: .\ntrain: train.txt\nval: train.txt\nnc: {len(labels)}\nnames:\n{names}"
