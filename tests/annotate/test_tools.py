"""What CVAT, Label Studio and VOC tools write, beyond what Satchel writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import SHARED
from satchel.annotate.formats import coco, cvat_xml, label_studio, voc
from satchel.annotate.photo_finder import PhotoFinder
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.records import Box

# -- CVAT -----------------------------------------------------------------------------------------

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>1</id><name>bags</name><labels><label><name>bag</name></label></labels></task></meta>
  <image id="0" name="shop/가방.jpg" width="200" height="100">
    <box label="bag" source="manual" occluded="0" xtl="20" ytl="10" xbr="100" ybr="90" z_order="0">
      <attribute name="material">leather</attribute>
    </box>
    <box label="bag" source="auto" occluded="0" xtl="20" ytl="10" xbr="100" ybr="90" z_order="0"/>
    <box label="bag" source="file" occluded="0" xtl="80" ytl="40" xbr="120" ybr="60" rotation="90"/>
    <polygon label="shoe" source="manual" points="10.00,20.00;30.00,20.00;30.00,50.00"/>
    <ellipse label="hat" source="manual" cx="50" cy="50" rx="10" ry="20"/>
    <mask label="belt" source="manual" rle="1" left="10" top="20" width="30" height="40"/>
    <points label="bag" source="manual" points="1,1"/>
    <box label="bag" xtl="20" ytl="10" xbr="x" ybr="90"/>
    <polygon label="shoe" points="10;20"/>
  </image>
  <image id="1" width="10" height="10"/>
</annotations>
"""


def test_shapes_of_cvat(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT, encoding="utf-8")
    found = list(cvat_xml.read(path))
    (photo,) = (one for one in found if isinstance(one, AnnotatedPhoto))
    assert (photo.path, photo.size) == ("shop/가방.jpg", (200, 100))
    assert photo.checked
    assert [(box.label, box.score) for box in photo.boxes] == [
        ("bag", None),
        ("bag", 1.0),
        ("bag", None),
        ("shoe", None),
        ("hat", None),
        ("belt", None),
    ]
    assert photo.boxes[0].attributes == {"material": "leather"}
    assert photo.boxes[0].box == Box(0.1, 0.1, 0.5, 0.9)
    # 40 × 20 around (100, 50), turned by a quarter
    assert photo.boxes[2].box.xyxy == pytest.approx((0.45, 0.3, 0.55, 0.7))
    assert photo.boxes[3].box == Box(0.05, 0.2, 0.15, 0.5)
    assert photo.boxes[4].box == Box(0.2, 0.3, 0.3, 0.7)
    assert photo.boxes[5].box == Box(0.05, 0.2, 0.2, 0.6)
    problems = [one for one in found if isinstance(one, BoxProblem)]
    assert [(problem.photo, problem.line) for problem in problems] == [
        ("shop/가방.jpg", 14),
        ("shop/가방.jpg", 15),
        ("shop/가방.jpg", 16),
        ("", 18),
    ]


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<version>1.1</version><track id='0' label='bag'/>", "as 'CVAT for images 1.1'"),
        ("<version>2.0</version>", "expected CVAT XML 1.1, got version '2.0'"),
    ],
)
def test_other_kinds_of_cvat(inner: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations>{inner}</annotations>")
    with pytest.raises(UsageError, match=reason):
        list(cvat_xml.read(path))


# -- Label Studio ---------------------------------------------------------------------------------


def region(label: str | None = "bag", **other: object) -> dict:
    value: dict[str, object] = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    if label:
        value["rectanglelabels"] = [label]
    return {
        "id": "r1",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "value": value,
        **other,
    }


def task(image: str = "/data/upload/3/0a1b2c3d-bag.jpg", **other: object) -> dict:
    return {"id": 1, "data": {"image": image}, **other}


def read_tasks(tasks: object, path: Path) -> list[AnnotatedPhoto | BoxProblem]:
    path.write_text(json.dumps(tasks))
    return list(label_studio.read(path))


def test_a_persons_boxes_win_over_predictions(tmp_path: Path) -> None:
    drawn = {"result": [region("shoe")], "completed_by": {"email": "jin@example.com", "id": 1}}
    guessed = {"result": [region("bag", score=0.75)], "score": 0.5, "created_at": "2"}
    older = {"result": [region("hat")], "created_at": "1"}
    found = read_tasks(
        [
            task(annotations=[drawn], predictions=[guessed]),
            task(annotations=[{**drawn, "was_cancelled": True}], predictions=[older, guessed]),
            task(annotations=[]),
        ],
        tmp_path / "a.json",
    )
    boxes = [photo.boxes for photo in found if isinstance(photo, AnnotatedPhoto)]
    assert [[(b.label, b.score, b.who) for b in one] for one in boxes] == [
        [("shoe", None, "jin@example.com")],
        [("bag", 0.75, None)],
        [],
    ]
    assert boxes[0][0].box.xyxy == pytest.approx((0.1, 0.2, 0.4, 0.6))


def test_the_last_annotation_counts_unless_one_is_the_truth(tmp_path: Path) -> None:
    def drawn(label: str, at: str, **other: object) -> dict:
        return {"result": [region(label)], "updated_at": at, "completed_by": 7, **other}

    found = read_tasks(
        [
            task(annotations=[drawn("new", "2026-02-01"), drawn("old", "2026-01-01")]),
            task(annotations=[drawn("new", "2026-02-01"), drawn("true", "1", ground_truth=True)]),
        ],
        tmp_path / "a.json",
    )
    assert [one.boxes[0].label for one in found if isinstance(one, AnnotatedPhoto)] == [
        "new",
        "true",
    ]


def test_answers_about_a_box_are_its_attributes(tmp_path: Path) -> None:
    about = {"id": "r1", "original_width": 200, "original_height": 100}
    results = [
        region(),
        {**about, "type": "choices", "from_name": "state", "value": {"choices": ["new", "tag"]}},
        {**about, "type": "textarea", "from_name": "note", "value": {"text": ["scratch"]}},
        {**about, "type": "number", "from_name": "size", "value": {"number": 30}},
        {"id": "other", "type": "choices", "from_name": "x", "value": {"choices": ["y"]}},
    ]
    (photo,) = read_tasks([task(annotations=[{"result": results}])], tmp_path / "a.json")
    assert isinstance(photo, AnnotatedPhoto)
    assert photo.boxes[0].attributes == {"state": "new, tag", "note": "scratch", "size": "30"}


def test_labels_of_a_control_of_their_own_and_turned_boxes(tmp_path: Path) -> None:
    plain = region(None, type="rectangle")
    plain["value"]["rotation"] = 90
    results = [plain, {"id": "r1", "type": "labels", "value": {"labels": ["bag", "new"]}}]
    (photo,) = read_tasks([task(annotations=[{"result": results}])], tmp_path / "a.json")
    assert isinstance(photo, AnnotatedPhoto)
    assert [box.label for box in photo.boxes] == ["bag", "new"]
    # (20, 20) in pixels, 60 × 40, turned clockwise about that corner: x from −20, so clipped to 0
    assert photo.boxes[0].box.xyxy == pytest.approx((0, 0.2, 0.1, 0.8))


@pytest.mark.parametrize(
    ("image", "path"),
    [
        ("/data/upload/3/0a1b2c3d-bag%20one.jpg", "bag one.jpg"),
        ("/data/local-files/?d=shop/bag.jpg", "shop/bag.jpg"),
        ("https://example.com/photos/bag.jpg?x=1", "photos/bag.jpg"),
        ("s3://bucket/folder/bag.jpg", "folder/bag.jpg"),
    ],
)
def test_photos_by_their_urls(image: str, path: str, tmp_path: Path) -> None:
    (photo,) = read_tasks([task(image)], tmp_path / "a.json")
    assert isinstance(photo, AnnotatedPhoto)
    assert photo.path == path


def test_bad_tasks_and_regions(tmp_path: Path) -> None:
    unlabelled = region(None)
    found = read_tasks(
        [
            task(annotations=[{"result": [region(), unlabelled, region(value=None)]}]),
            {"data": {}},
            {"data": {"image": 3}},
            task(annotations="x"),
        ],
        tmp_path / "a.json",
    )
    problems = [one.reason for one in found if isinstance(one, BoxProblem)]
    assert [reason.partition(";")[0] for reason in problems] == [
        "box 2: the box has no label",
        "box 3: expected a value, found none",
        "expected a photo in the task's data, got None",
        "expected a photo in the task's data, got 3",
        "expected a list of objects under 'annotations'",
    ]
    assert sum(isinstance(one, AnnotatedPhoto) for one in found) == 1


@pytest.mark.parametrize("value", [[{"image": "a.jpg", "label": []}], {"images": [1]}])
def test_other_exports_of_label_studio(value: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="export the project as 'JSON'"):
        read_tasks(value, tmp_path / "a.json")


# -- Pascal VOC -----------------------------------------------------------------------------------

VOC = """<annotation>
  <folder>x</folder><filename>a.jpg</filename>
  <size><width>200</width><height>100</height><depth>3</depth></size>
  <object>
    <name>bag</name><pose>Left</pose><difficult>1</difficult>
    <bndbox><xmax>100</xmax><xmin>20</xmin><ymin>10</ymin><ymax>90</ymax></bndbox>
    <part><name>strap</name><bndbox><xmin>1</xmin></bndbox></part>
  </object>
  <object><name>bag</name></object>
</annotation>
"""


def test_a_voc_folder_with_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC)
    (tmp_path / "b.xml").write_text("<annotation><size>")
    (tmp_path / "c.xml").write_text("<annotation><object/></annotation>")
    found = list(voc.read(tmp_path))
    (photo,) = (one for one in found if isinstance(one, AnnotatedPhoto))
    assert [(box.box, dict(box.attributes)) for box in photo.boxes] == [
        (Box(0.1, 0.1, 0.5, 0.9), {"pose": "Left", "difficult": "1"})
    ]
    problems = [one for one in found if isinstance(one, BoxProblem)]
    assert [(one.photo, one.line) for one in problems] == [("a.jpg", 9), ("b.xml", 1), ("c.jpg", 1)]
    assert "expected a <bndbox>" in problems[0].reason
    assert "cannot be read near line 1" in problems[1].reason
    assert "the photo's width in pixels" in problems[2].reason


# -- real files -----------------------------------------------------------------------------------


@pytest.mark.shared
def test_real_street_photos_with_boxes() -> None:
    path = SHARED / "data" / "street" / "train.json"
    expected = json.loads(path.read_text())
    found = list(coco.read(path))
    photos = [one for one in found if isinstance(one, AnnotatedPhoto)]
    assert len(photos) == len(expected["images"]) == 800
    assert sum(len(photo.boxes) for photo in photos) == len(expected["annotations"]) == 2_475
    assert len(found) == len(photos)
    finder = PhotoFinder(path.parent)
    assert all(finder.find(photo.path) for photo in photos)
