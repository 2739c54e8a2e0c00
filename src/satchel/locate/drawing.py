"""Pictures of what a locator found: boxes with class and score on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from satchel.images import RGB
from satchel.locate.locator import main_detection
from satchel.records import Box, Detection

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

DARK: Final[Colour] = (20, 20, 24)
LIGHT: Final[Colour] = (255, 255, 255)
MAIN: Final[Colour] = (255, 176, 0)

LINES: Final = 110
"""Width of the main box's line: the photo's mean side ÷ this."""

TEXTS: Final = 38
"""Height of the text, likewise."""

NOTHING: Final = "no product found"


@dataclass(frozen=True, slots=True)
class _Style:
    """A box's line and the plate of its text: a colour, with a dark or light partner."""

    line: Colour
    text: Colour
    plate: Colour
    width: int


def draw_box(photo: RGB, box: Box) -> RGB:
    """Draw one box without class and score on a copy of a photo; see `draw_detections`."""
    picture = Image.fromarray(photo)
    thick = max(2, round((picture.width + picture.height) / 2 / LINES))
    style = _Style(MAIN, DARK, MAIN, thick)
    _draw_box(ImageDraw.Draw(picture), _pixels(box, picture), style)
    return np.asarray(picture)


def draw_detections(photo: RGB, detections: Sequence[Detection]) -> RGB:
    """Draw the detections on a copy of a photo, the main one thick and above the others.

    Every line has a dark border, so that it shows on any background; lines and text grow with the
    photo.

    Args:
        photo: shape (h, w, 3), uint8.
        detections: of it; none: the copy says so.

    Returns:
        shape (h, w, 3), uint8.
    """
    picture = Image.fromarray(photo)
    canvas = ImageDraw.Draw(picture)
    side = (picture.width + picture.height) / 2
    thick = max(2, round(side / LINES))
    font = ImageFont.load_default(max(12, round(side / TEXTS)))
    main = main_detection(detections)
    styles = [
        (one, _Style(LIGHT, LIGHT, DARK, max(1, thick // 2)))
        for one in detections
        if one is not main
    ]
    if main is not None:
        styles.append((main, _Style(MAIN, DARK, MAIN, thick)))
    for one, style in styles:
        _draw_box(canvas, _pixels(one.box, picture), style)
    # The main one's text gets its place first, and the others go around it.
    taken: list[Corners] = []
    for one, style in reversed(styles):
        text = caption(one)
        at = _place(canvas, text, font, _pixels(one.box, picture), taken)
        _draw_plate(canvas, text, font, at, style)
        taken.append(at)
    if not detections:
        size = _plate_size(canvas, NOTHING, font)
        _draw_plate(canvas, NOTHING, font, (0, 0, *size), _Style(LIGHT, LIGHT, DARK, thick))
    return np.asarray(picture)


def caption(detection: Detection) -> str:
    """Class and score of a detection, as they are drawn."""
    return f"{detection.category or 'object'} {detection.score:.2f}"


def _pixels(box: Box, picture: Image.Image) -> Corners:
    """Corners in pixels, inside the picture."""
    right, bottom = picture.width - 1, picture.height - 1
    x0, y0 = min(right, round(box.x0 * picture.width)), min(bottom, round(box.y0 * picture.height))
    x1, y1 = round(box.x1 * picture.width) - 1, round(box.y1 * picture.height) - 1
    return x0, y0, max(x0, min(right, x1)), max(y0, min(bottom, y1))


def _draw_box(canvas: ImageDraw.ImageDraw, corners: Corners, style: _Style) -> None:
    x0, y0, x1, y1 = corners
    border = max(1, style.width // 2)
    canvas.rectangle(
        (x0 - border, y0 - border, x1 + border, y1 + border),
        outline=DARK,
        width=style.width + 2 * border,
    )
    canvas.rectangle(corners, outline=style.line, width=style.width)


def _draw_plate(
    canvas: ImageDraw.ImageDraw, text: str, font: Font, plate: Corners, style: _Style
) -> None:
    canvas.rectangle(plate, fill=style.plate, outline=DARK)
    middle = (plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2
    canvas.text(middle, text, font=font, fill=style.text, anchor="mm")


def _plate_size(canvas: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    """Width and height in pixels of a text with some room around it."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    height = bottom - top
    return round(right - left + height), round(1.8 * height)


def _place(
    canvas: ImageDraw.ImageDraw, text: str, font: Font, box: Corners, taken: Sequence[Corners]
) -> Corners:
    """Where a text goes: above its box, or below its upper edge, where no other text is.

    Lower places in the box follow while there is a text already; the last one is taken anyway.
    """
    width, height = _plate_size(canvas, text, font)
    right, bottom = canvas.im.size
    x = max(0, min(box[0], right - width))
    below = range(box[1], max(box[1] + 1, min(box[3], bottom - height)), max(1, height))
    for top in (box[1] - height, *below):
        plate = (x, top, x + width, top + height)
        if top >= 0 and not any(_overlap(plate, other) for other in taken):
            return plate
    return (
        x,
        max(0, min(box[1], bottom - height)),
        x + width,
        max(height, min(box[1] + height, bottom)),
    )


def _overlap(a: Corners, b: Corners) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
