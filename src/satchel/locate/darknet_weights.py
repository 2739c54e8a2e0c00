"""Darknet's `.weights` files: a header, then float32 values in the order of the layers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from satchel.arrays import Floats
from satchel.errors import LocatorError
from satchel.locate.darknet_cfg import Section
from satchel.validation import reason

MAX_WEIGHTS_BYTES: Final = 1_000_000_000

HEADER: Final = struct.Struct("<iii")
"""Major, minor and revision; then the number of pictures seen, in 8 bytes from version 0.2 on."""


class Weights:
    """Hands out the values layer by layer.

    Attributes:
        data: the file's bytes, for its SHA-256.
    """

    def __init__(self, name: str, data: bytes) -> None:
        """Read the header.

        Raises:
            LocatorError: the file is too short, or its header is none of Darknet's.
        """
        self.data = data
        self._name = name
        if len(data) < HEADER.size + 8:
            raise LocatorError(
                f"{name} has {len(data)} bytes: it is empty or truncated; copy it again"
            )
        major, minor, _ = HEADER.unpack_from(data)
        if not (0 <= major < 1000 and 0 <= minor < 1000):
            raise LocatorError(
                f"{name} is no Darknet weights file: its header says version {major}.{minor}"
            )
        start = HEADER.size + (8 if major * 10 + minor >= 2 else 4)
        count = (len(data) - start) // 4
        self._odd = (len(data) - start) % 4
        self._values = np.frombuffer(data, "<f4", count, start)
        self._taken = 0

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Read a weights file.

        Raises:
            LocatorError: it is missing, too large, truncated or of another kind.
        """
        try:
            size = path.stat().st_size
            if size > MAX_WEIGHTS_BYTES:
                raise LocatorError(
                    f"{path} has {size:,} bytes, expected {MAX_WEIGHTS_BYTES:,} at most"
                )
            return cls(path.name, path.read_bytes())
        except OSError as error:
            raise LocatorError(
                f"expected the weights of the Darknet cfg at {path}: {reason(error)}; put the "
                ".weights file next to the .cfg, with the same name"
            ) from None

    def convolution(
        self, layer: Section, shape: tuple[int, int, int, int], normalised: bool, epsilon: float
    ) -> tuple[Floats, Floats]:
        """The kernel, of this shape, and the bias of a layer, batch normalisation folded in.

        Raises:
            LocatorError: the file ends before, or a value is not finite.
        """
        filters, size = shape[0], int(np.prod(shape))
        needed = size + filters * (4 if normalised else 1)
        left = len(self._values) - self._taken
        if needed > left:
            raise layer.fault(
                f"needs {needed:,} weights, {self._name} has {left:,} left: it is truncated or "
                "belongs to another cfg"
            )
        bias = self._take(filters)
        if normalised:
            scale, mean, variance = (self._take(filters) for _ in range(3))
            deviation = np.sqrt(np.maximum(variance, 0) + np.float32(epsilon), dtype=np.float32)
            factor = np.divide(scale, deviation, dtype=np.float32)
            bias = np.subtract(bias, mean * factor, dtype=np.float32)
        else:
            factor = np.ones(filters, np.float32)
        kernel = self._take(size).reshape(shape) * factor[:, None, None, None]
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise layer.fault(
                f"its weights in {self._name} are not finite numbers: the file is damaged or "
                "belongs to another cfg"
            )
        return kernel, bias

    def finish(self) -> None:
        """Check that all values were taken.

        Raises:
            LocatorError: some are left.
        """
        left = len(self._values) - self._taken
        if left or self._odd:
            raise LocatorError(
                f"{self._name} has {left:,} more weights ({4 * left + self._odd:,} bytes) than "
                "the layers of the cfg take: it belongs to another cfg"
            )

    def _take(self, count: int) -> Floats:
        values = self._values[self._taken : self._taken + count].astype(np.float32, copy=False)
        self._taken += count
        return values
