"""`satchel identify --box`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.workspace import Workspace
from support.cli import satchel

MIDDLE = {"x0": 0.25, "y0": 0.25, "x1": 0.75, "y1": 0.75}


@pytest.fixture
def photos(tmp_path: Path) -> tuple[str, str]:
    """Two photos of 320 × 240 pixels."""
    paths = tmp_path / "disc.jpg", tmp_path / "ring.jpg"
    for path in paths:
        path.write_bytes(jpeg(path.stem, 50))
    return str(paths[0]), str(paths[1])


@pytest.mark.parametrize("box", ["0.25,0.25,0.75,0.75", "80,60,240,180px"])
def test_a_box_of_one_photo(filled: Workspace, photos: tuple[str, str], box: str) -> None:
    done = satchel(filled.folder, "identify", photos[0], "--json", "--box", box)
    assert json.loads(done.stdout)["boxes"] == [MIDDLE]


def test_a_box_for_each_photo(filled: Workspace, photos: tuple[str, str]) -> None:
    boxes = ["--box", "", "--box", "0.25,0.25,0.75,0.75"]
    apart = satchel(filled.folder, "identify", *photos, "--json", *boxes).stdout.splitlines()
    assert json.loads(apart[0])["boxes"] != [MIDDLE]
    assert json.loads(apart[1])["boxes"] == [MIDDLE]
    together = satchel(filled.folder, "identify", *photos, "--item", "--json", *boxes)
    assert json.loads(together.stdout)["boxes"][1] == MIDDLE


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("1,2,3", "expected a box x0,y0,x1,y1"),
        ("80,60,240,180", "for pixels add px"),
        ("0.9,0,0.1,1", "left is less than its right"),
    ],
)
def test_malformed_boxes_end_the_command(
    filled: Workspace, photos: tuple[str, str], box: str, message: str
) -> None:
    done = satchel(filled.folder, "identify", photos[0], "--box", box)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_another_number_of_boxes_than_photos(filled: Workspace, photos: tuple[str, str]) -> None:
    done = satchel(filled.folder, "identify", *photos, "--box", "0,0,1,1")
    assert done.returncode == 2
    assert "expected one --box for each of 2 photos" in done.stderr


def test_a_box_outside_of_one_photo_costs_no_other(
    filled: Workspace, photos: tuple[str, str]
) -> None:
    boxes = ["--box", "900,0,999,99px", "--box", "0,0,99,99px"]
    done = satchel(filled.folder, "identify", *photos, "--json", *boxes)
    assert done.returncode == 1
    assert "disc.jpg: expected a box with at least 8 × 8 pixels of the photo" in done.stderr
    assert json.loads(done.stdout)["photo"].endswith("ring.jpg")
