"""ICC profiles, written by hand (ICC.1:2022)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
P3 = np.array(
    [[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
"""Linear Display P3 → XYZ at D50."""
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
)
"""Linear sRGB → XYZ at D50."""


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)


def _xyz(numbers: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*numbers)


def _text(text: str) -> bytes:
    utf16 = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(utf16), 28) + utf16


def profile(
    space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr"
) -> bytes:
    """A profile of version 4.3 with these tags and those that all have."""
    tags = {b"desc": _text("a test"), b"cprt": _text("none"), b"wtpt": _xyz(D50), **tags}
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s4s24xI",
        start + len(data), b"lcms", 0x04300000, kind, space, connection, b"acsp", b"APPL", 0,
    )  # fmt: skip
    header += _fixed(*D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def matrix_profile(to_xyz: np.ndarray) -> bytes:
    """An RGB profile with these primaries and the curve of sRGB."""
    curve = b"para" + struct.pack(">IHH", 0, 3, 0)
    curve += _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    tags |= {
        name + b"XYZ": _xyz(to_xyz[:, at].tolist()) for at, name in enumerate((b"r", b"g", b"b"))
    }
    return profile(b"RGB ", b"XYZ ", tags)


def cmyk_profile(lab: np.ndarray) -> bytes:
    """A CMYK profile that mixes 16 corners: `lab`, shape (2, 2, 2, 2, 3), the last ink the last."""
    ramp = bytes(range(256))
    lut = b"mft1" + struct.pack(">IBBBx", 0, 4, 3, 2) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    scaled = lab * (2.55, 1, 1) + (0, 128, 128)
    lut += 4 * ramp + np.rint(scaled).astype(np.uint8).tobytes() + 3 * ramp
    return profile(b"CMYK", b"Lab ", {b"A2B0": lut}, b"prtr")


def from_p3(levels: np.ndarray) -> np.ndarray:
    """What levels in Display P3 are in sRGB, both in [0, 255]: straight from the definition."""
    encoded = levels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    wanted = np.clip(linear @ (np.linalg.inv(SRGB) @ P3).T, 0, 1)
    curved = np.where(wanted <= 0.0031308, wanted * 12.92, 1.055 * wanted ** (1 / 2.4) - 0.055)
    return 255 * curved
