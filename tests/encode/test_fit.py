"""Standard cosines, and the file that keeps how an encoder compares with the built-in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.encode.fit import (
    NOT_MEASURED,
    EncoderFit,
    fit_path,
    from_standard,
    read_fit,
    to_standard,
    write_fit,
)
from satchel.errors import EncoderError

SPACE = "a" * 64


@given(st.floats(0.05, 3), st.floats(-1, 1), st.floats(-0.999, 1))
def test_a_threshold_decides_as_in_the_reference(scale: float, cosine: float, least: float) -> None:
    """The same photos are on the same side, whether their cosine or the threshold is converted."""
    own = np.array([1 - (1 - cosine) * scale])
    if abs(cosine - least) > 1e-6 and own >= -1:
        assert (own >= from_standard(least, scale)) == (to_standard(own, scale) >= least)


def test_cosines_of_the_reference_stay_as_they_are_to_the_bit() -> None:
    cosines = np.array([-1, 0.1, 0.3, 0.995, 1], np.float32)
    assert to_standard(cosines, 1.0) is cosines
    assert from_standard(0.1, 1.0) == 0.1


def test_a_tenth_of_the_distance() -> None:
    assert to_standard(np.array([0.96, 1.0]), 0.1) == pytest.approx([0.6, 1])
    assert to_standard(np.array([0.5]), 0.1) == -1  # further than the built-in one's ever are
    assert from_standard(0.6, 0.1) == pytest.approx(0.96)
    assert from_standard(0.0, 3.0) == -1  # no cosine is smaller


def test_a_fit_is_kept_for_its_space_alone(tmp_path: Path) -> None:
    assert read_fit(tmp_path, SPACE) == NOT_MEASURED
    fit = EncoderFit(distance=0.1, searched=0.06, colours=2, patches=0, photos=96, queries=200)
    write_fit(tmp_path, SPACE, fit)
    assert read_fit(tmp_path, SPACE) == fit
    assert read_fit(tmp_path, "b" * 64) == NOT_MEASURED


@pytest.mark.parametrize("text", ["{", '{"distance": 0}', '{"distances": 1}'])
def test_a_damaged_fit_says_what_to_do(tmp_path: Path, text: str) -> None:
    write_fit(tmp_path, SPACE, NOT_MEASURED)
    fit_path(tmp_path, SPACE).write_text(text)
    with pytest.raises(EncoderError, match="run `satchel index`"):
        read_fit(tmp_path, SPACE)
