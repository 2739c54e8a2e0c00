from __future__ import annotations

import numpy as np

from satchel.catalog.curation import _colours


def test_colours_that_are_not_known_are_nought() -> None:
    known = np.array([0.25, 0.5, 0.0], "<f2").tobytes()
    expected = [[0.25, 0.5, 0.0], [0.0] * 3, [0.0] * 3]
    assert np.array_equal(_colours([known, b"", known[:2]]), expected)
    assert _colours([]).shape == (0, 0)
    assert _colours([b"", b""]).shape == (2, 0)
