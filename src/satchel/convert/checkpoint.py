"""Checkpoints: tensors of a safetensors file, read one at a time as float32.

The format: 8 bytes with the length of a JSON header, the header, the tensors' bytes. Everything is
checked before a tensor is read, and nothing in the file can run: files that are pickled can, and
are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel.arrays import Floats
from satchel.errors import EncoderError, UsageError

SUFFIX: Final = ".safetensors"
WEIGHTS: Final = tuple(
    f"{name}{SUFFIX}" for name in ("open_clip_model", "open_clip_pytorch_model", "model")
)
"""Usual names of checkpoints, the first that there is; open_clip's have the projection."""

MAX_HEADER_BYTES: Final = 16 << 20
MAX_TENSORS: Final = 20_000
MAX_SIDES: Final = 6
MAX_BYTES: Final = 16 << 30

SIZES: Final = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
"""Types of tensors that are read → bytes of a number."""

OTHERS: Final = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Types of tensors that may be in a file, and are no weights of an image encoder."""

PICKLED: Final = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle", ".jit", ".torchscript")


def refuse_pickle(path: Path) -> None:
    """Refuse files that run code when they are read, by their name or first bytes.

    Raises:
        EncoderError: it is one.
    """
    with path.open("rb") as file:
        first = file.read(4)
    if path.suffix.lower() not in PICKLED and first[:2] not in (b"PK", b"\x80\x02", b"\x80\x04"):
        return
    raise EncoderError(
        f"{path.name} is a pickle or TorchScript file, which can run any code when it is read, and "
        "is not opened. Take the safetensors file of the same model (most model pages have one: "
        "model.safetensors or open_clip_model.safetensors). If there is none, convert it on a "
        "machine that you can spare: load it there with torch.load(FILE, weights_only=True), save "
        "it with safetensors.torch.save_file, and bring that file here"
    )


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Checkpoint:
    """The tensors of one file.

    Attributes:
        path: of the file.
        shapes: name → shape, of every tensor.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the header.

        Raises:
            EncoderError: it is no safetensors file, or only a part of one, or too large.
            OSError: it cannot be read.
        """
        refuse_pickle(path)
        self.path = path
        self._start, header = _header(path)
        self._tensors = {name: _tensor(path, name, one) for name, one in header.items()}
        self.shapes = {name: one.shape for name, one in self._tensors.items()}
        self._check_extent()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def read(self, name: str) -> Floats:
        """Read one tensor as float32.

        Raises:
            KeyError: there is none of this name.
            EncoderError: it does not hold floating-point numbers, or they are not all finite.
        """
        one = self._tensors[name]
        if one.dtype not in SIZES:
            raise EncoderError(
                f"{self.path.name}: expected floating-point numbers in {name}, got {one.dtype}"
            )
        with self.path.open("rb") as file:
            file.seek(self._start + one.begin)
            data = file.read(one.end - one.begin)
        values = _as_float32(data, one.dtype).reshape(one.shape)
        if not np.isfinite(values).all():
            raise EncoderError(
                f"{self.path.name}: {name} holds numbers that are not finite: the file is damaged; "
                "fetch it again"
            )
        return values

    def _check_extent(self) -> None:
        ends = sorted((one.begin, one.end) for one in self._tensors.values())
        if any(begin < before for (_, before), (begin, _) in pairwise(ends)):
            raise EncoderError(f"{self.path.name} is damaged: tensors overlap; fetch it again")
        expected, found = self._start + ends[-1][1], self.path.stat().st_size
        if found < expected:
            raise EncoderError(
                f"{self.path.name} is not whole: its header says {expected:,} bytes, the file has "
                f"{found:,}; the download ended early: fetch it again"
            )
        if found > expected:
            raise EncoderError(
                f"{self.path.name} is damaged: its header says {expected:,} bytes, the file has "
                f"{found:,}; fetch it again"
            )


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the tensors' bytes begin, and the header without its notes."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise EncoderError(
            f"expected a checkpoint of {MAX_BYTES >> 30} GiB at most, got {size / 2**30:.1f} in "
            f"{path.name}"
        )
    with path.open("rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or not 2 <= length <= MAX_HEADER_BYTES:
            raise EncoderError(
                f"expected a safetensors file, got something else in {path.name}: a page saved in "
                "its place, a Git LFS pointer, or another format; fetch the file itself"
            )
        data = file.read(length)
    if len(data) < length:
        raise EncoderError(
            f"{path.name} is not whole: it ends within its header; the download ended early: fetch "
            "it again"
        )
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise EncoderError(f"{path.name} is no safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    if not 0 < len(header) <= MAX_TENSORS:
        raise EncoderError(
            f"{path.name}: expected 1 to {MAX_TENSORS:,} tensors, got {len(header):,}"
        )
    return 8 + length, header


def _tensor(path: Path, name: str, one: Any) -> _Tensor:
    try:
        dtype, shape, (begin, end) = one["dtype"], one["shape"], one["data_offsets"]
        size = (SIZES | OTHERS)[dtype]
        sides = all(type(side) is int and side >= 0 for side in (*shape, begin, end))
        whole = sides and len(shape) <= MAX_SIDES and end - begin == size * math.prod(shape)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise EncoderError(
            f"{path.name}: the header says of {name[:80]!r} what cannot be ({str(one)[:120]}); "
            "expected a type, a shape, and where its bytes are"
        )
    return _Tensor(dtype, tuple(shape), begin, end)


def _as_float32(data: bytes, dtype: str) -> Floats:
    if dtype == "BF16":  # the upper half of a float32
        high = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return high.view(np.float32)
    kind = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]
    return np.frombuffer(data, kind).astype(np.float32)


def only_checkpoint(folder: Path) -> Path:
    """The checkpoint in a folder: open_clip's before others, since it has the projection.

    Raises:
        UsageError, EncoderError: there is none, or several and none of a known name.
    """
    found = sorted(folder.glob(f"*{SUFFIX}"))
    for name in WEIGHTS:
        if (path := folder / name) in found:
            return path
    if len(found) == 1:
        return found[0]
    for path in sorted(folder.iterdir()) if not found else ():
        if path.is_file() and path.suffix.lower() in PICKLED:
            refuse_pickle(path)
    names = ", ".join(path.name for path in found) or "none"
    raise UsageError(f"expected one safetensors file in {folder}, found {names}; name the file")
