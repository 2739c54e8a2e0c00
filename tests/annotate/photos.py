"""Random annotated photos, and what two of them have in common."""

from __future__ import annotations

from hypothesis import strategies as st

from satchel.annotate.records import AnnotatedPhoto
from satchel.records import Box, LabelledBox

LABELS = ("bag", "small leather good", "구두", 'a "quoted" & <odd>, one: #1', "it's")

names = st.text(st.sampled_from("abc가힣éß 0_-."), min_size=1, max_size=12).map(
    lambda text: text.strip(" .") or "x"
)
values = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@st.composite
def pixel_boxes(draw, width: int, height: int, *, attributes: bool, score: float | None):
    x0 = draw(st.floats(0, width - 1))
    y0 = draw(st.floats(0, height - 1))
    x1 = draw(st.floats(x0 + 1, width))
    y1 = draw(st.floats(y0 + 1, height))
    return LabelledBox(
        Box(x0 / width, y0 / height, x1 / width, y1 / height),
        draw(st.sampled_from(LABELS)),
        draw(st.dictionaries(values, values, max_size=3)) if attributes else {},
        score,
    )


@st.composite
def annotated_photos(draw, *, attributes: bool = True):
    """Photos with unique paths; a photo's boxes are all a person's, or all pre-labels."""
    paths = draw(st.lists(st.tuples(names, names), max_size=4, unique=True))
    photos = []
    for folder, name in paths:
        width, height = draw(st.integers(2, 9_000)), draw(st.integers(2, 9_000))
        score = draw(st.none() | st.floats(0, 1))
        box = pixel_boxes(width, height, attributes=attributes, score=score)
        boxes = draw(st.lists(box, max_size=4))
        photos.append(AnnotatedPhoto(f"{folder}/{name}.jpg", width, height, tuple(boxes)))
    return photos


def one_photo(path: str = "a/b.jpg", boxes: int = 1, width: int = 640, height: int = 480):
    """A photo of known size with `boxes` boxes side by side."""
    step = 1 / (boxes + 1)
    found = (
        LabelledBox(Box(i * step, 0.25, i * step + step / 2, 0.75), "bag") for i in range(boxes)
    )
    return AnnotatedPhoto(path, width, height, tuple(found))
