from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import draw
from satchel.errors import CorruptPhoto, PhotoError, PhotoTooLarge
from satchel.heic import coded_pixels
from satchel.images import clean, decode
from satchel.photo_header import PhotoLimits
from support.heic_writer import heic
from support.icc import P3, from_p3, matrix_profile
from support.memory import PEAK

needs_heic = pytest.mark.skipif(
    subprocess.run(
        [sys.executable, "-c", "import pi_heif"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="needs the extra heic",
)

PICTURE = draw("box", size_wh=(320, 256))


def near(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@needs_heic
@pytest.mark.parametrize("tiles", [(1, 1), (2, 5)])
def test_decodes_to_the_picture(tiles: tuple[int, int]) -> None:
    data = heic(PICTURE, tiles=tiles)
    assert near(decode(data), PICTURE) < 4
    assert near(decode(clean(data).data), PICTURE) < 4


@needs_heic
@pytest.mark.parametrize("turns", range(4))
def test_shows_upright(turns: int) -> None:
    data = heic(PICTURE, turns=turns)
    assert near(decode(data), np.rot90(PICTURE, turns)) < 4


@needs_heic
def test_colours_of_a_phone_become_srgb() -> None:
    levels = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3, indexing="ij"), -1)
    colours = np.kron(levels.reshape(36, 6, 3), np.ones((32, 32, 1))).astype(np.uint8)
    shown = decode(heic(colours, icc=matrix_profile(P3)), min_side_px=None)
    assert np.abs(shown - from_p3(colours)).max() < 10


@pytest.mark.parametrize("tiles", [(1, 1), (2, 5)])
def test_pixels_of_what_is_coded(tiles: tuple[int, int]) -> None:
    assert coded_pixels(heic(PICTURE, tiles=tiles)) == 320 * 256
    small = PICTURE[: 256 // tiles[0], : 320 // tiles[1]]
    assert coded_pixels(heic(PICTURE, tiles=tiles, thumbnail=small)) == 320 * 256


@needs_heic
def test_a_small_header_does_not_hide_a_large_picture() -> None:
    lying = heic(np.zeros((1_600, 1_600, 3), np.uint8), stated_wh=(100, 100))
    assert coded_pixels(lying) == 1_600 * 1_600
    with pytest.raises(PhotoTooLarge, match="MB of memory to decode"):
        decode(lying, limits=PhotoLimits(max_decode_bytes=10_000_000))


def test_a_configuration_that_lies_does_not_hide_it_either() -> None:
    """The parameter sets may come with the picture too, and the decoder obeys these."""
    small, large = heic(PICTURE[:32, :32]), heic(PICTURE)
    sets = large[large.index(b"hvcC") + 4 + 23 :]
    at = sets.index(b"\x42\x01")  # the sequence parameter set, of which its length is before
    size = int.from_bytes(sets[at - 2 : at])
    unit = size.to_bytes(4) + sets[at : at + size]
    start = small.index(b"mdat") + 4
    assert coded_pixels(small[:start] + unit + small[start:]) == 320 * 256


WHOLE = heic(PICTURE[:64, :64])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_damaged_file_decodes_or_is_refused(
    changes: list[tuple[float, int]], kept: float, header: bool
) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[int(place * ((600 if header else len(data)) - 1))] = value
    cut = bytes(data if header else data[: int(len(data) * kept)])
    with contextlib.suppress(CorruptPhoto):
        assert coded_pixels(cut) > 0
    with contextlib.suppress(PhotoError):
        assert decode(cut, limits=PhotoLimits(max_pixels=1_000_000)).shape[2] == 3


@needs_heic
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decoding_takes_no_more_memory_than_estimated(tmp_path: Path) -> None:
    pixels = 2_560 * 1_920
    (tmp_path / "small").write_bytes(heic(PICTURE))
    (tmp_path / "photo").write_bytes(heic(np.full((1_920, 2_560, 3), 99, np.uint8), turns=1))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "small"), str(tmp_path / "photo")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 4 * pixels < int(done.stdout) <= 14 * pixels
