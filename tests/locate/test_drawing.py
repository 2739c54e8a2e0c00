from __future__ import annotations

import numpy as np
import pytest

from satchel.locate.drawing import DARK, LIGHT, MAIN, caption, draw_box, draw_detections
from satchel.records import WHOLE_PHOTO, Box, Detection

BACKGROUNDS = {"white": 255, "grey": 128, "black": 0}
BAG = Detection(Box(0.2, 0.3, 0.8, 0.9), "bag", 0.87)
SHOE = Detection(Box(0.05, 0.05, 0.3, 0.2), "shoe", 0.5)


def photo(shade: int, size_wh: tuple[int, int] = (600, 400)) -> np.ndarray:
    return np.full((*size_wh[::-1], 3), shade, np.uint8)


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((picture == colour).all(-1).mean())


@pytest.mark.parametrize("shade", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_lines_show_on_any_background(shade: int) -> None:
    before = photo(shade)
    drawn = draw_detections(before, [SHOE, BAG])
    assert (before == shade).all()  # a copy was drawn on
    # Across the left edges, from the background to the inside: the line, and dark on both sides.
    for box, colour in ((BAG.box, MAIN), (SHOE.box, LIGHT)):
        middle = round((box.y0 + box.y1) / 2 * 400)
        row = drawn[middle, round(box.x0 * 600) - 12 : round(box.x0 * 600) + 12]
        line = np.flatnonzero((row == colour).all(-1) & (row != shade).any(-1))
        dark = np.flatnonzero((row == DARK).all(-1))
        if colour == (shade,) * 3:  # white on white: its dark border shows alone
            assert len(dark) >= 2
        else:
            assert dark.min() < line.min() <= line.max() < dark.max()


def test_the_main_one_is_thick_and_grows_with_the_photo() -> None:
    def widths(size_wh: tuple[int, int]) -> int:
        drawn = draw_detections(photo(128, size_wh), [BAG])
        return int((drawn[size_wh[1] * 6 // 10] == MAIN).all(-1).sum()) // 2

    assert widths((600, 400)) >= 4
    assert widths((3000, 2000)) == pytest.approx(5 * widths((600, 400)), abs=3)
    drawn = draw_detections(photo(128), [SHOE, BAG])
    assert share(drawn, MAIN) > 2 * share(drawn, LIGHT)


@pytest.mark.parametrize(
    "box", [WHOLE_PHOTO, Box(0, 0, 0.01, 0.01), Box(0.99, 0.99, 1, 1), Box(0.9999, 0, 1, 0.0001)]
)
@pytest.mark.parametrize("size_wh", [(600, 400), (33, 40), (8, 2000)])
def test_any_box_of_any_photo(box: Box, size_wh: tuple[int, int]) -> None:
    drawn = draw_detections(photo(200, size_wh), [Detection(box, None, 0.4), BAG])
    assert drawn.shape == (*size_wh[::-1], 3)
    assert (draw_box(photo(200, size_wh), box) != 200).any()


def test_texts_do_not_lie_on_each_other() -> None:
    same = [Detection(BAG.box, name, 0.9 - n / 10) for n, name in enumerate(("bag", "shoe", "hat"))]
    drawn = draw_detections(photo(128), same)
    one = share(draw_detections(photo(128), same[1:2]), DARK)
    assert share(drawn, DARK) > 1.2 * one


def test_no_product_is_said() -> None:
    assert share(draw_detections(photo(200), []), DARK) > 0.005


def test_captions() -> None:
    assert caption(BAG) == "bag 0.87"
    assert caption(Detection(BAG.box, None, 0.333)) == "object 0.33"
