"""Bad boxes are left out by photo and line, whatever the format; the others are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from annotate.photos import LABELS, one_photo
from satchel.annotate.checks import BadAnnotation, box_of, pixel_box, rotated_bounds
from satchel.annotate.formats import FORMATS
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.records import WHOLE_PHOTO, Box

N = 1_000
BAD = (17, 500, 999)  # boxes, of photos of ten boxes each

# A box as each format writes it → one that cannot be used.
DAMAGE = {
    "coco": (r'"bbox": \[([\d.]+), [\d.]+, [\d.]+', r'"bbox": [\1, -900, 10'),
    "yolo": (r"^(\d+) [\d.]+ ", r"\1 7.5 "),
    "voc": (r"<xmax>[\d.]+</xmax>", "<xmax>0</xmax>"),
    "cvat": (r'xbr="[\d.]+"', 'xbr="nan"'),
    "label-studio": (r'"width": [\d.]+, "height"', r'"width": 0.0, "height"'),
}


def read(name: str, path: Path) -> tuple[list[AnnotatedPhoto], list[BoxProblem]]:
    found = list(FORMATS[name].read(path))
    return (
        [one for one in found if isinstance(one, AnnotatedPhoto)],
        [one for one in found if isinstance(one, BoxProblem)],
    )


def damage(name: str, path: Path, photo: int, box: int) -> tuple[Path, int]:
    """Damage one box; return its file and line."""
    files = {"voc": f"Annotations/{photo:03}.xml", "yolo": f"labels/{photo:03}.txt"}
    file = path / files[name] if name in files else path
    lines = file.read_text().splitlines(keepends=True)
    pattern, bad = DAMAGE[name]
    at = [i for i, line in enumerate(lines) if re.search(pattern, line)]
    if name == "label-studio":  # one task a line
        spans = list(re.finditer(pattern, lines[at[photo]]))
        line, start, end = at[photo], *spans[box].span()
        lines[line] = lines[line][:start] + '"width": 0.0, "height"' + lines[line][end:]
    else:
        line = at[box] if name in files else at[photo * 10 + box]
        lines[line] = re.sub(pattern, bad, lines[line])
    file.write_text("".join(lines))
    return file, line + 1


@pytest.mark.parametrize("name", FORMATS)
def test_three_bad_boxes_of_a_thousand(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"annotations{FORMATS[name].suffix}"
    photos = [one_photo(f"{number:03}.jpg", 10) for number in range(N // 10)]
    FORMATS[name].write(photos, path, LABELS)
    expected: list[tuple[str, int]] = []
    for number in reversed(BAD):  # a damaged box is no longer found as one
        _, line = damage(name, path, *divmod(number, 10))
        expected.insert(0, (f"{number // 10:03}.jpg", line))
    found, problems = read(name, path)
    assert [(problem.photo, problem.line) for problem in problems] == expected
    assert str(problems[0]).startswith(f"001.jpg, line {expected[0][1]:,}: ")
    assert sum(len(photo.boxes) for photo in found) == N - len(BAD)
    assert len(found) == N // 10
    assert [photo.path for photo in found if photo.refused] == [one for one, _ in expected]


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ((10, 10, 10, 20), "no area"),
        ((20, 10, 10, 20), "no area"),
        ((10, 10, 10.2, 20), "no area"),
        ((700, 10, 800, 20), "outside the photo of 640 × 480"),
        ((-30, 10, 20, 20), "outside the photo"),
        ((0, 0, float("nan"), 20), "finite"),
        ((0, 0, float("inf"), 20), "finite"),
        ((0, 0, 10), "four finite numbers"),
    ],
)
def test_a_box_that_is_none(corners: tuple[float, ...], reason: str) -> None:
    with pytest.raises(BadAnnotation, match=reason):
        pixel_box(corners, 640, 480)


def test_a_box_that_juts_out_a_little_is_clipped() -> None:
    assert pixel_box((-10, 0, 320, 500), 640, 480) == Box(0, 0, 0.5, 1)
    assert pixel_box((-1, -1, 641, 481), 640, 480) == WHOLE_PHOTO
    assert box_of((-0.1, 0.5, 0.5, 1.0)) == Box(0, 0.5, 0.5, 1)


def test_a_turned_box_becomes_the_rectangle_around_it() -> None:
    # A 20 × 10 box turned by a quarter about its corner (10, 10): x ∈ [0, 10], y ∈ [10, 30].
    assert rotated_bounds((10, 10, 30, 20), 90, (10, 10)) == pytest.approx((0, 10, 10, 30))
    assert rotated_bounds((10, 10, 30, 20), 0, (0, 0)) == (10, 10, 30, 20)


def test_coco_boxes_of_no_image_and_no_class(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    photo = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}
    good = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 10, 10]}
    value = {
        # classes and boxes before the photos that they are of
        "annotations": [
            good,
            {**good, "image_id": 9},
            {**good, "category_id": 4},
            {**good, "iscrowd": 1},
            {**good, "bbox": [0, 0, 10]},
            {**good, "bbox": None, "segmentation": [[10, 10, 30, 10, 30, 40]]},
            "no object",
        ],
        "info": {"images": []},
        "categories": [{"id": 3, "name": "bag"}],
        "images": [photo, {**photo, "file_name": "b.jpg"}, {**photo, "id": 2, "width": 0}],
    }
    path.write_text(json.dumps(value))
    found, problems = read("coco", path)
    assert [photo.path for photo in found] == ["a.jpg"]
    assert [box.box for box in found[0].boxes] == [Box(0, 0, 0.1, 0.1), Box(0.1, 0.1, 0.3, 0.4)]
    reasons = " | ".join(problem.reason for problem in problems)
    for reason in (
        "expected an object in annotations, got str",
        "another image has the id 1",
        "class 4 is not among the categories",
        "a crowd",
        "expected bbox as [left, top, width, height]",
        "expected the photo's width in pixels, got 0",
        "on image 9, which is not listed",
    ):
        assert reason in reasons
    assert len(problems) == 7


def test_too_many_boxes_on_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "out"
    FORMATS["yolo"].write([one_photo("a.jpg", 1), one_photo("b.jpg", 1)], path, LABELS)
    (path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1\n" * 10_001)
    found, problems = read("yolo", path)
    assert [len(photo.boxes) for photo in found] == [10_000, 1]
    assert ["at most 10,000" in problem.reason for problem in problems] == [True]
