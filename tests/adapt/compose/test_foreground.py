"""Cut-outs: what is product and what is ground, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import draw
from satchel.images import encode_jpeg
from satchel.records import WHOLE_PHOTO, Box

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.adapt.compose.foreground import (
    even_background_mask,
    extract_foreground,
    extract_foregrounds,
)
from support.pictures import rgb

GROUND = 246


def studio(draws_on: bool = True, size_wh: tuple[int, int] = (300, 240)) -> np.ndarray:
    """A red disc of radius 70 at (150, 120) on a nearly white ground, as a JPEG leaves it."""
    picture = np.full((size_wh[1], size_wh[0], 3), GROUND, np.uint8)
    if draws_on:
        cv2.circle(picture, (150, 120), 70, (190, 30, 40), -1)
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])


def disc(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (x - 150 * scale) ** 2 + (y - 120 * scale) ** 2 <= (70 * scale) ** 2


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_an_even_ground_is_flooded_away() -> None:
    mask = even_background_mask(studio())
    assert mask is not None
    assert overlap(mask > 127, disc(mask.shape)) > 0.95


def test_a_white_label_stays_and_the_ground_through_a_handle_goes() -> None:
    picture = studio()
    cv2.circle(picture, (150, 120), 22, (GROUND,) * 3, -1)  # the very ground
    cv2.rectangle(picture, (175, 100), (195, 140), (255, 252, 240), -1)  # a cream label
    mask = even_background_mask(picture)
    assert mask is not None
    assert mask[120, 150] == 0
    assert mask[120, 185] == 255


def test_a_pale_gap_in_the_outline_does_not_let_the_flood_in() -> None:
    picture = studio()
    cv2.circle(picture, (150, 120), 60, (GROUND + 6,) * 3, -1)  # nearly the ground's white
    cv2.line(picture, (150, 120), (150, 20), (GROUND + 6,) * 3, 2)
    mask = even_background_mask(picture)
    assert mask is not None
    assert overlap(mask > 127, disc(mask.shape)) > 0.9


def test_specks_are_no_part_of_the_product() -> None:
    picture = studio()
    cv2.rectangle(picture, (20, 20), (24, 24), (0, 0, 0), -1)
    mask = even_background_mask(picture)
    assert mask is not None
    assert mask[22, 22] == 0


def test_on_uneven_ground_the_box_is_divided() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 90, (30, 38, 3), dtype=np.uint8)
    picture = rgb(cv2.resize(noise, (300, 240), interpolation=cv2.INTER_CUBIC))
    cv2.circle(picture, (150, 120), 70, (240, 180, 60), -1)
    assert even_background_mask(picture) is None
    box = Box(0.22, 0.15, 0.78, 0.85)
    found = extract_foreground(picture, box)
    assert abs(found.shape[0] - 141) <= 8
    assert abs(found.shape[1] - 141) <= 8
    share = float((found[..., 3] > 127).mean())
    assert share == pytest.approx(np.pi / 4, abs=0.06)


def test_where_nothing_can_be_divided_the_box_is_taken_with_soft_edges() -> None:
    picture = np.tile(np.linspace(0, 255, 300, dtype=np.uint8)[None, :, None], (240, 1, 3))
    found = extract_foreground(np.ascontiguousarray(picture), Box(0.25, 0.25, 0.75, 0.75))
    mask = found[..., 3]
    assert mask.max() == 255
    assert mask[mask.shape[0] // 2, 0] < 200  # an edge that fades


def test_colours_are_multiplied_by_the_mask() -> None:
    found = extract_foreground(studio()).astype(int)
    assert (found[..., :3] <= found[..., 3:] + 1).all()
    middle = found[found.shape[0] // 2, found.shape[1] // 2]
    assert np.abs(middle - (190, 30, 40, 255)).max() <= 6


def test_extraction_resumes_where_a_killed_process_stopped(tmp_path: Path) -> None:
    data = {f"p{at}": encode_jpeg(draw(shape, at), 92) for at, shape in enumerate(("disc", "box"))}
    data["broken"] = b"no photo"
    names, boxes = tuple(data), (WHOLE_PHOTO,) * 3
    reads: list[str] = []

    def read(name: str) -> bytes:
        reads.append(name)
        return data[name]

    whole = extract_foregrounds(tmp_path / "a.npy", names, boxes, read, side_px=48)
    assert whole.foreground(0).shape[2] == 4
    assert max(whole.foreground(0).shape[:2]) <= 48
    assert whole.photo(1).shape == (36, 48, 3)  # as the photo is, 240 by 320
    assert (whole.photo(2) == 128).all()  # an unreadable one is grey, and does not stop the rest

    # As a kill leaves it: the second row was never written.
    rows = np.lib.format.open_memmap(tmp_path / "a.npy", mode="r+")
    kept = rows[[0, 2]].copy()
    rows[1] = np.zeros((), rows.dtype)
    rows.flush()
    reads.clear()
    again = extract_foregrounds(tmp_path / "a.npy", names, boxes, read, side_px=48)
    assert reads == ["p1"]
    assert (again.rows[[0, 2]] == kept).all()
    assert (again.rows == whole.rows).all()

    other = extract_foregrounds(tmp_path / "a.npy", names, boxes, read, side_px=32)
    assert other.side_px == 32
