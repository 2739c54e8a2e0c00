"""YOLO and Darknet folders, as tools and people leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from satchel.annotate.formats import yolo
from satchel.annotate.formats.yolo_config import below, read_config
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.records import Box

MIDDLE = "0.5 0.5 0.5 0.5"


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def labels_of(path: Path) -> dict[str, list[str]]:
    return {
        photo.path: [box.label for box in photo.boxes]
        for photo in yolo.read(path)
        if isinstance(photo, AnnotatedPhoto)
    }


def test_a_darknet_folder_of_another_machine(tmp_path: Path) -> None:
    root = make(
        tmp_path,
        {
            "obj.data": "classes = 2\ntrain = /home/x/set/train.txt\nnames = data/obj.names\n",
            "obj.names": "bag\nshoe\n",
            "train.txt": "data/obj_train_data/a.jpg\n/home/x/set/obj_train_data/b.jpg\n"
            "data/obj_train_data/empty.jpg\n",
            "obj_train_data/a.txt": f"1 {MIDDLE}\n\n0 {MIDDLE}\n",
            "obj_train_data/b.txt": f"0 {MIDDLE} 0.75\n",
            "obj_train_data/b.jpg": "",
        },
    )
    assert labels_of(root) == {
        "data/obj_train_data/a.jpg": ["shoe", "bag"],
        "obj_train_data/b.jpg": ["bag"],  # the photo is there, so it is named from here
        "data/obj_train_data/empty.jpg": [],
    }
    assert labels_of(root / "obj.data") == labels_of(root)


@pytest.mark.parametrize(
    "names",
    [
        "names: [small bag, 'shoe, left']",
        "names: ['small bag', \"shoe, left\"]  # two",
        "names:\n  - small bag\n  - 'shoe, left'",
        "names:\n- small bag\n- shoe, left",
        "names:\n  1: shoe, left\n  0: small bag  # first",
        "names: {0: small bag, 1: 'shoe, left'}",
        "names: [\n  'small bag',\n  'shoe, left',\n]",
    ],
)
def test_data_yaml_as_people_write_it(names: str, tmp_path: Path) -> None:
    root = make(
        tmp_path,
        {
            "data.yaml": f"# a set\npath: ../data/set\ntrain: images/train\nval:\nnc: 2\n{names}\n",
            "images/train/a.png": "",
            "labels/train/a.txt": f"1 {MIDDLE}",
            "labels/train/b.txt": f"0 {MIDDLE}",
        },
    )
    expected = {"train/a.png": ["shoe, left"], "train/b.jpg": ["small bag"]}
    assert labels_of(root) == expected


def test_lists_of_folders_in_data_yaml(tmp_path: Path) -> None:
    root = make(
        tmp_path,
        {
            "data.yaml": "train: [train/images, ../valid/images]\nnames: [bag]\n",
            "train/images/a.jpg": "",
            "train/labels/a.txt": f"0 {MIDDLE}",
            "valid/labels/b.txt": f"0 {MIDDLE}",
            "valid/images/c.jpg": "",
        },
    )
    assert labels_of(root) == {
        "train/images/a.jpg": ["bag"],
        "valid/images/b.jpg": ["bag"],
        "valid/images/c.jpg": [],
    }


def test_a_folder_as_labelimg_leaves_it(tmp_path: Path) -> None:
    root = make(
        tmp_path,
        {"classes.txt": "bag\nshoe\n", "a.txt": f"1 {MIDDLE}", "a.JPG": "", "notes.md": "x"},
    )
    assert labels_of(root) == {"a.JPG": ["shoe"]}


def test_outlines_and_bad_lines(tmp_path: Path) -> None:
    lines = [
        "0 0.1 0.2 0.5 0.2 0.5 0.8",  # an outline
        "0 0.5 0.5 0.2",
        "0 0.5 0.5 x 0.2",
        "bag 0.5 0.5 0.2 0.2",
        "0 0.5 0.5 0.2 0.2 1.5",
        "-1 0.5 0.5 0.2 0.2",
    ]
    root = make(tmp_path, {"obj.names": "bag", "a.txt": "\n".join(lines)})
    *problems, photo = yolo.read(root)
    assert isinstance(photo, AnnotatedPhoto)
    assert [box.box for box in photo.boxes] == [Box(0.1, 0.2, 0.5, 0.8)]
    assert all(isinstance(one, BoxProblem) for one in problems)
    reasons = [problem.reason for problem in problems if isinstance(problem, BoxProblem)]
    expected = ["got 4 columns", "a number as coordinate", "a class number", "a score", "a class"]
    assert len(reasons) == len(expected)
    assert all(part in reason for part, reason in zip(expected, reasons, strict=True))


def test_a_class_file_of_the_wrong_length(tmp_path: Path) -> None:
    three = "".join(f"{index} {MIDDLE}\n" for index in (0, 1, 2))
    root = make(tmp_path, {"obj.names": "bag\nshoe\n", "a.txt": three})
    with pytest.raises(UsageError, match=r"1 of 3 boxes .* beyond the 2 names in obj.names"):
        list(yolo.read(root))
    make(tmp_path, {"obj.data": "classes = 3\nnames = obj.names\n"})
    with pytest.raises(UsageError, match=r"declares 3 classes, obj\.names names 2"):
        list(yolo.read(root))


def test_one_wrong_class_in_many_is_one_bad_box(tmp_path: Path) -> None:
    lines = [f"0 {MIDDLE}"] * 199 + [f"7 {MIDDLE}"]
    root = make(tmp_path, {"obj.names": "bag", "a.txt": "\n".join(lines)})
    problem, photo = yolo.read(root)
    assert isinstance(problem, BoxProblem)
    assert (problem.photo, problem.line) == ("a.jpg", 200)
    assert "class 7 is not in obj.names, which has 1 names" in problem.reason
    assert isinstance(photo, AnnotatedPhoto)
    assert len(photo.boxes) == 199


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.txt": f"0 {MIDDLE}"}, "names of the classes"),
        ({"obj.names": "\n \n"}, "a class name a line"),
        ({"obj.names": "bag\n\nshoe\n"}, "line 2: expected a class name"),
        ({"a.names": "x", "b.names": "x"}, "expected one .names file"),
        ({"obj.data": "classes = 1\n"}, "the file of class names"),
        ({"obj.data": "names = ../../etc/passwd\n"}, "the file of class names"),
        ({"data.yaml": "nc: 2\nnames: [a]\n"}, "declares 2 classes, data.yaml names 1"),
        ({"data.yaml": "names:\n  0: a\n  2: b\n"}, "the classes 0 to 1"),
        ({"data.yaml": "train: x\n"}, "under 'names:'"),
    ],
)
def test_class_files_that_cannot_be_used(
    files: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        list(yolo.read(make(tmp_path, files)))


def test_files_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "obj.names").write_bytes("가방".encode("cp949"))
    with pytest.raises(UsageError, match="in UTF-8"):
        read_config(tmp_path)


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    make(tmp_path, {"secret.txt": "0 .5 .5 .5 .5", "in/a.jpg": "", "in/obj.names": "bag"})
    root = tmp_path / "in"
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    for written in ("../secret.txt", str(tmp_path / "secret.txt"), "link.txt", "\0", "a\0b"):
        assert below(root, written) is None
    assert below(root, "C:\\set\\a.jpg") == (root / "a.jpg").resolve()
