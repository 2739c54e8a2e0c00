"""Types of numpy arrays, by their elements; shapes are said where the arrays are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Halves = npt.NDArray[np.float16]
Ints = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
