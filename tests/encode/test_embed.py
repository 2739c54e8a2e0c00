from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from conftest import draw
from satchel.encode.card import LITE
from satchel.encode.colour import colour_histogram
from satchel.encode.embed import Closer, as_query, embed
from satchel.encode.encoder import Encoder
from satchel.images import RGB
from satchel.locate.query_share import SURE
from satchel.locate.rules import PAD
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box, Detection

RIGHT = Box(0.5, 0.25, 1.0, 0.75)
TINY = Box(0.999999, 0.5, 1.0, 0.5 + 1e-12)


@dataclass
class Says:
    """A locator that answers what the test says, photo by photo."""

    answers: list[list[Detection]]
    pad: float = 0.1
    asked: list[RGB] = field(default_factory=list)

    @property
    def id(self) -> str:
        return "0" * 64

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        self.asked += photos
        return [self.answers.pop(0) for _ in photos]


def placed(shape: str = "cross") -> RGB:
    """A shape in the right half of a photo, another one in the left, on stripes."""
    photo = np.full((240, 480, 3), 230, np.uint8)
    photo[:, ::2] = 120
    photo[60:180, 240:480] = draw(shape, size_wh=(240, 120))
    photo[80:160, 20:180] = draw("bars", 1, (160, 80))
    return photo


def encoded(encoder: Encoder, photo: RGB, box: Box) -> np.ndarray:
    """What one pass makes of a box of a photo."""
    return encoder.encode(encoder.crop_shape.cut(photo, box)[None]).vectors[0]


def mean(*weighted: tuple[float, np.ndarray]) -> np.ndarray:
    total = np.sum([weight * vector for weight, vector in weighted], axis=0)
    return np.asarray(total / np.linalg.norm(total))


def test_without_a_box_saliency_decides(encoder: Encoder) -> None:
    photo = placed()
    output = encoder.encode(encoder.crop_shape.cut(photo, WHOLE_PHOTO)[None])
    box = salient_box(output.saliency[0])
    query, kept = (embed(encoder, [photo], gallery=one)[0] for one in (False, True))
    assert query.box == kept.box == box
    assert query.detections is kept.detections is None
    assert (query.whole == output.vectors[0]).all()
    expected = mean((2, output.vectors[0]), (1, encoded(encoder, photo, box)))
    assert kept.vector == pytest.approx(expected, abs=1e-6)


def test_a_given_box_is_encoded_in_one_pass(encoder: Encoder) -> None:
    photo = placed()
    (query,) = embed(encoder, [photo], boxes=[RIGHT])
    crop = encoder.crop_shape.cut(photo, RIGHT.padded(PAD))
    output = encoder.encode(crop[None])
    assert query.box == RIGHT
    assert query.vector == pytest.approx(output.vectors[0], abs=1e-6)
    assert (query.colours == colour_histogram(crop, output.saliency[0])).all()


def test_gallery_photos_are_encoded_whole_and_then_their_object(encoder: Encoder) -> None:
    photo = placed()
    locator = Says([[Detection(RIGHT, "bag", 0.8)]])
    (kept,) = embed(encoder, [photo], locator=locator, gallery=True)
    crop, whole = (encoded(encoder, photo, box) for box in (RIGHT.padded(0.1), WHOLE_PHOTO))
    assert kept.box == RIGHT
    assert kept.whole == pytest.approx(whole, abs=1e-6)
    assert kept.vector == pytest.approx(mean((2, whole), (1, crop)), abs=1e-6)


def test_a_query_shows_the_more_of_the_good_the_surer_it_is_the_main_one(encoder: Encoder) -> None:
    photo = placed()
    says = [[Detection(RIGHT, "bag", 0.8, sure)] for sure in (0.3, 0.5, 0.9, 0.99)]
    found = embed(encoder, [photo] * 4, locator=Says(says))
    assert {one.box for one in found} == {RIGHT}
    whole, crop = (encoded(encoder, photo, box) for box in (WHOLE_PHOTO, RIGHT.padded(0.1)))
    for one, share in zip(found, (1, 0.6, 0.3, 0), strict=True):
        assert one.vector == pytest.approx(mean((share, whole), (1 - share, crop)), abs=1e-5)
    colours = [one.colours for one in found]
    assert (colours[0] == colours[1]).all()
    assert (colours[2] == colours[3]).all()
    assert np.abs(colours[1] - colours[2]).max() > 0.01


@pytest.mark.parametrize("certain", [0.3, 0.5, 0.9, 0.99])
def test_a_gallery_photo_is_the_same_query(shipped_encoder: Encoder, certain: float) -> None:
    photo = placed()
    locator = Says([[Detection(RIGHT, "bag", 0.8, certain)]] * 2)
    kept, query = (
        embed(shipped_encoder, [photo], locator=locator, gallery=one)[0] for one in (True, False)
    )
    assert (kept.query is not None) is (certain >= 0.4)
    same = as_query(kept, 1)
    assert same.vector == pytest.approx(query.vector, abs=1e-6)
    assert same.whole == pytest.approx(query.whole, abs=1e-6)
    assert same.colours == pytest.approx(query.colours, abs=1e-6)
    assert same.patches is not None
    assert query.patches is not None
    assert np.abs(same.patches.astype(int) - query.patches).max() <= 1


@pytest.mark.parametrize("gallery", [False, True])
def test_an_object_of_few_pixels_is_decoded_again(encoder: Encoder, gallery: bool) -> None:
    large = placed()
    small = cv2.resize(large, (60, 30), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    box = Box(0.5, 0.25, 0.9, 0.7)  # less than a fifth of the photo
    asked: list[tuple[int, Box]] = []

    def closer(at: int, shown: Box) -> RGB:
        asked.append((at, shown))
        return large

    def embedded(photo: RGB, closer: Closer | None = None) -> np.ndarray:
        locator = Says([[Detection(box, "bag", 0.8, 0.99)]])
        found = embed(encoder, [photo], locator=locator, gallery=gallery, closer=closer)[0]
        return as_query(found, 1).vector

    assert embedded(small, closer) == pytest.approx(embedded(large), abs=1e-6)
    assert asked == [(0, box.padded(0.1))]
    assert np.abs(embedded(small) - embedded(large)).max() > 1e-3
    asked.clear()
    embedded(large, closer)
    assert asked == []


def three_passes(light: Encoder, photo: RGB, cut: Box) -> list[np.ndarray]:
    """What the passes over the whole photo, a box, and the salient part of that box make."""
    second = light.encode(light.crop_shape.cut(photo, cut)[None])
    inner = salient_box(second.saliency[0]).within(cut)
    return [encoded(light, photo, box) for box in (WHOLE_PHOTO, cut, inner)]


def test_three_passes_keep_the_whole_photo_first() -> None:
    light, photo = Encoder.load(LITE), placed()
    (found,) = embed(light, [photo], boxes=[RIGHT])
    passes = three_passes(light, photo, RIGHT.padded(PAD))
    assert found.box == RIGHT
    assert found.whole == pytest.approx(passes[0], abs=1e-6)
    assert found.vector == pytest.approx(mean(*((1, one) for one in passes)), abs=1e-6)


@pytest.mark.parametrize("certain", [0.99, 0.9, 0.5, 0.1])
def test_of_three_passes_saliency_crops_unless_the_locator_is_sure(certain: float) -> None:
    light, photo = Encoder.load(LITE), placed()
    locator = Says([[Detection(RIGHT, "bag", 0.8, certain)]])
    (found,) = embed(light, [photo], locator=locator)
    first = light.encode(light.crop_shape.cut(photo, WHOLE_PHOTO)[None])
    cut = RIGHT.padded(locator.pad) if certain >= SURE else salient_box(first.saliency[0])
    assert found.box == RIGHT
    expected = mean(*((1, one) for one in three_passes(light, photo, cut)))
    assert found.vector == pytest.approx(expected, abs=1e-6)


def test_of_several_photos_each_is_located_or_given_or_empty(encoder: Encoder) -> None:
    photos = [placed("disc"), placed("ring"), placed("box")]
    two = [Detection(Box(0, 0, 0.1, 0.1), "shoe", 0.9, 0.01), Detection(RIGHT, "bag", 0.7, 0.99)]
    locator = Says([two, []])
    located, given, empty = embed(encoder, photos, locator=locator, boxes=[None, RIGHT, None])
    assert [len(one.detections or ()) for one in (located, empty)] == [2, 0]
    assert len(locator.asked) == 2
    assert located.detections == tuple(two)
    assert given.detections is None
    assert empty.detections == ()
    assert [one.box for one in (located, given, empty)] == [RIGHT, RIGHT, WHOLE_PHOTO]
    alone = [
        embed(encoder, [photos[0]], boxes=[RIGHT], locator=locator)[0],
        embed(encoder, [photos[1]], boxes=[RIGHT], locator=locator)[0],
        embed(encoder, [photos[2]])[0],
    ]
    for one, other in zip((located, given, empty), alone, strict=True):
        assert one.vector == pytest.approx(other.vector, abs=1e-6)


def test_a_box_of_less_than_a_pixel_shows_one(shipped_encoder: Encoder) -> None:
    (found,) = embed(shipped_encoder, [placed()], boxes=[TINY])
    assert np.isfinite(found.vector).all()
