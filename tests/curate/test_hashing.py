from __future__ import annotations

import cv2
import numpy as np
import pytest

from conftest import draw
from satchel.curate.hashing import perceptual_hash, pixel_digest
from satchel.images import decode, encode_jpeg
from support.pictures import rgb


def distance(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.bitwise_count(perceptual_hash(a).bits ^ perceptual_hash(b).bits).sum())


def test_the_hash_is_that_of_opencvs_cosine_transform() -> None:
    picture = draw("ring", 3, (64, 64))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    low = cv2.dct(grey)[:16, :16]
    assert np.array_equal(perceptual_hash(picture).bits, np.packbits(low > np.median(low)))


def test_sampling_first_flips_few_bits_of_the_hash_of_all_pixels() -> None:
    for seed in range(6):
        picture = rgb(cv2.resize(clouds(seed), (1100, 900), interpolation=cv2.INTER_LINEAR))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float64)
        low = cv2.dct(small)[:16, :16]
        exact = np.packbits(low > np.median(low))
        assert np.bitwise_count(exact ^ perceptual_hash(picture).bits).sum() <= 4


def clouds(seed: int) -> np.ndarray:
    """A picture with content at all the frequencies that the hash looks at."""
    coarse = np.random.default_rng(seed).integers(30, 220, (18, 24, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_other_pictures_far(seed: int) -> None:
    picture = clouds(seed)
    smaller = cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    darker = (picture * 0.8).astype(np.uint8)
    for copy in (decode(encode_jpeg(picture, 40)), smaller, darker):
        assert distance(picture, copy) <= 22
    # Independent bits: 128 ± 8 of 256 differ, so that 80 is six standard deviations away.
    assert all(distance(picture, clouds(other)) > 80 for other in range(5, 25))


def test_a_blank_picture_says_that_its_hash_is_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 4, (300, 300, 3))
    assert not perceptual_hash((200 + noise).astype(np.uint8)).informative
    assert not perceptual_hash(np.full((80, 90, 3), 255, np.uint8)).informative
    assert perceptual_hash(draw("disc")).informative


def test_the_digest_is_of_pixels_and_shape_alone() -> None:
    picture = draw("box", 2)
    data = encode_jpeg(picture, 90)
    commented = data[:2] + b"\xff\xfe\x00\x06copy" + data[2:]
    assert pixel_digest(decode(data)) == pixel_digest(decode(commented))
    assert pixel_digest(picture) == pixel_digest(picture[:, ::-1][:, ::-1])
    assert pixel_digest(picture) != pixel_digest(picture.reshape((*picture.shape[1::-1], 3)))
    other = picture.copy()
    other[7, 9, 1] ^= 1
    assert pixel_digest(picture) != pixel_digest(other)
